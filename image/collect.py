"""Copies what clinder needs to run, and nothing else, into a directory that becomes the image's whole file system.

Run by the Dockerfile's first stage. What Python modules are needed is not listed here: it is found. Beginning with
clinder's own modules, every import statement of every module is followed, those inside functions too, through the
installed libraries and the standard library. Shared libraries are those that ``ldd`` names.
"""

import ast
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

# Modules of the standard library that others import for a use of their own which clinder has none of: interactive
# sessions, other tests, windows, compilers, servers of mail and files, and databases.
UNUSED = frozenset(
    [
        *("_pyrepl", "antigravity", "bdb", "cProfile", "code", "codeop", "ctypes", "curses", "dbm", "doctest"),
        *("ensurepip", "idlelib", "multiprocessing", "pdb", "profile", "pstats", "pty", "pydoc", "pydoc_data"),
        *("readline", "sqlite3", "test", "this", "tkinter", "trace", "tracemalloc", "turtle", "turtledemo"),
        *("unittest", "venv", "webbrowser", "wsgiref", "xmlrpc"),
    ]
)
# What no import statement names: the interpreter starts with these, and looks the parts of two packages up by name.
# Of clinder everything is taken, that whose libraries are extras as well: it says which are missing.
ALSO = ("site", "runpy")
ALSO_WHOLE = ("clinder", "encodings", "importlib")

# Of the system: names and certificates, and who root is. Without what is required the build fails.
REQUIRED = ("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/ssl/certs/ca-certificates.crt", "/usr/lib/ssl")
OPTIONAL = ("/etc/ssl/openssl.cnf", "/etc/services", "/etc/protocols", "/etc/host.conf", "/etc/os-release")
NAME_SERVICES = ("libnss_files.so.2", "libnss_dns.so.2")


def modules() -> Iterator[Path]:
    """Yield the file of each module that is needed, once."""
    todo = [*ALSO, *(name for package in ALSO_WHOLE for name in walk(package))]
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name in seen or name.partition(".")[0] in UNUSED:
            continue
        seen.add(name)
        path = find(name)
        if path is None:
            continue
        yield path
        if "." in name:
            todo.append(name.rpartition(".")[0])
        if path.suffix == ".py":
            todo.extend(imports(name, path))


def walk(package: str) -> Iterator[str]:
    """Yield the names of a package and of all modules in it."""
    root = find(package)
    assert root
    for path in root.parent.rglob("*.py"):
        parts = path.relative_to(root.parent.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def find(name: str) -> Path | None:
    """Return the file of a module; None for one that is built in, or not there."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, AttributeError, ValueError):
        return None
    if spec and spec.origin == "frozen":  # the interpreter has it built in, and looks for some of these files
        stem = Path(sysconfig.get_path("stdlib"), *name.split("."))
        return next((file for file in (stem / "__init__.py", stem.with_suffix(".py")) if file.exists()), None)
    return Path(spec.origin) if spec and spec.origin and spec.has_location else None


def imports(name: str, path: Path) -> Iterator[str]:
    """Yield the names that a module's import statements may mean."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            module = ".".join(filter(None, [base, node.module or ""]))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def libraries(paths: list[Path]) -> Iterator[Path]:
    """Yield the shared libraries that programs and extension modules are linked with."""
    said = subprocess.run(["/usr/bin/ldd", *map(str, paths)], capture_output=True, text=True, check=True).stdout
    for line in said.splitlines():
        if line.endswith("not found"):
            sys.exit(f"ldd: {line.strip()}")
        yield from (Path(word) for word in line.split() if word.startswith("/") and not word.endswith(":"))


def licences(needed: set[Path], linked: list[Path]) -> Iterator[Path]:
    """Yield what says whose work is copied, and under which licence: Python's, the installed libraries', Debian's."""
    yield Path(sysconfig.get_path("stdlib"), "LICENSE.txt")
    for distribution in importlib.metadata.distributions():
        files = distribution.files or []
        if any(Path(str(file.locate())) in needed for file in files):
            folders = {file.parts[0] for file in files if file.parts[0].endswith(".dist-info")}
            yield from (Path(str(distribution.locate_file(folder))) for folder in folders)
    # It says no to what pip installed, and Debian may know a file by another name than the true one: not an error.
    command = ["/usr/bin/dpkg-query", "--search", *(os.path.realpath(path) for path in linked)]
    for line in subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines():
        yield Path("/usr/share/doc", line.partition(":")[0], "copyright")


def copy(path: Path, root: Path) -> None:
    """Copy a file, a link with what it leads to, or a directory, to its own place below root."""
    target = root / path.relative_to("/")
    if target.is_symlink() or (target.exists() and not path.is_dir()):
        return
    # A directory above may be a link, as /lib is: then its target has the file.
    real = Path(os.path.realpath(path.parent)) / path.name
    if real != path:
        make_links(path, root)
        copy(real, root)
    elif path.is_symlink():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path.readlink())
        copy(Path(os.path.normpath(path.parent / path.readlink())), root)
    elif path.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        for entry in path.iterdir():
            copy(entry, root)
    elif path.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)


def make_links(path: Path, root: Path) -> None:
    """Make the links among the directories above path."""
    for directory in reversed(path.parents):
        target = root / directory.relative_to("/")
        if directory.is_symlink() and not target.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(directory.readlink())


def main(root: Path) -> None:
    """Fill root."""
    needed = list(modules())
    compiled = [Path(importlib.util.cache_from_source(str(path))) for path in needed if path.suffix == ".py"]
    data = [path.with_name("cacert.pem") for path in needed if path.match("certifi/__init__.py")]
    names = [path for name in NAME_SERVICES for path in Path("/usr/lib").glob(f"*/{name}")]
    linked = [path for path in (*needed, Path(os.path.realpath(sys.executable)), *names) if path.suffix != ".py"]
    shared = [*names, *libraries(linked)]
    for path in (*needed, *data, *shared, Path(sys.executable), Path("/usr/local/bin/clinder"), *map(Path, REQUIRED)):
        if not path.exists():
            sys.exit(f"{path}: not there")
        copy(path, root)
    said = licences({*needed}, [*linked, *shared])
    for path in (*compiled, Path(sys.prefix, "pyvenv.cfg"), *map(Path, OPTIONAL), *said):
        copy(path, root)  # if it exists
    for directory in ("tmp", "root", "proc", "sys", "dev"):
        (root / directory).mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
