"""Which earlier commit has the very environment of this one, so that the image a hub has of it can be used again.

A hub names an image after a commit. What defines the environment in it are some files (repo2docker,
repo2docker/buildpacks/*): those of binder/ or .binder/, else those in the root. When the image holds anything more of
the repository, or when the history in the checkout does not tell, nothing is reused: a build is slow, a wrong
environment is worse.
"""

import re
import stat
from collections.abc import Iterator
from fnmatch import fnmatch
from typing import NamedTuple

from dulwich.objects import Blob, Commit, ObjectID, Tree
from dulwich.repo import Repo

from clinder.target.checkout import Checkout

_FILES = frozenset(
    [
        *(b"Dockerfile", b"default.nix", b"environment.yml", b"environment.yaml", b"Pipfile", b"Pipfile.lock"),
        *(b"requirements.txt", b"requirements3.txt", b"setup.py", b"pyproject.toml", b"runtime.txt", b"apt.txt"),
        *(b"install.R", b"DESCRIPTION", b"Project.toml", b"JuliaProject.toml", b"Manifest.toml", b"REQUIRE"),
        *(b"postBuild", b"start"),
    ]
)
_MANIFESTS = (b"JuliaManifest", b"Manifest-v")  # which Julia itself prefers to Manifest.toml


class _NoReuse(Exception):
    """Why the commit itself has to be launched."""


class Reuse(NamedTuple):
    """The commit whose image can be used again, None to build the one that was asked for; and a line that says why."""

    commit: str | None
    line: str


def find_environment(commit: str, checkout: Checkout | None) -> Reuse:
    """Return the newest of a commit and its ancestors that changed the environment."""
    try:
        if checkout is None:
            raise _NoReuse("there is no git checkout here, whose history would tell which")
        if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", commit):
            raise _NoReuse(f"{commit} is no full commit id, so this checkout may have another one of that name")
        newest, changed = _newest(checkout.repo, ObjectID(commit.encode()))
    except _NoReuse as why:
        return Reuse(None, f"no image is reused: {why}")
    except Exception as error:  # noqa: BLE001  (see clinder.target.checkout)
        return Reuse(None, f"no image is reused: the history in this checkout can't be read ({type(error).__name__})")
    found = newest.decode()
    if found == commit:
        return Reuse(found, f"no image is reused: {commit[:10]} itself changed the environment ({changed})")
    line = f"reusing the image of {found[:10]}, the newest commit that changed the environment ({changed})"
    return Reuse(found, f"{line}, instead of building {commit[:10]}")


class _Definition(NamedTuple):
    """What defines the environment in a commit: files (mode and hash by path), and the directory that they are in."""

    directory: bytes
    files: dict[bytes, tuple[int, ObjectID]]


def _newest(repo: Repo, commit: ObjectID) -> tuple[ObjectID, str]:
    """Return the newest commit that changed the environment which this one has, and which files it changed."""
    current = _commit(repo, commit, commit)
    definition = _definition(repo, current)
    _check(repo, current, definition)
    while True:
        others = []
        # As git follows a file's history: where a merge took the environment of a parent as it was, on from there.
        for parent in current.parents:
            before = _commit(repo, parent, current.id)
            others.append(_definition(repo, before))
            if others[-1] == definition:
                current = before
                break
        else:
            _check(repo, current, definition)  # the rest of the repository was another one then
            return current.id, _changed(repo, current, definition, others)


def _commit(repo: Repo, commit: ObjectID, after: ObjectID) -> Commit:
    """Return a commit, the parent of the one before it in the walk; a shallow clone may not have it."""
    try:
        found = repo[commit]
    except KeyError:
        if commit == after:
            raise _NoReuse(f"{commit.decode()[:10]} is not in this checkout") from None
        raise _NoReuse(
            f"the history in this checkout ends at {after.decode()[:10]}, before the answer is known. "
            "Fetch all of it (with actions/checkout: fetch-depth: 0)"
        ) from None
    if not isinstance(found, Commit):
        raise _NoReuse(f"{commit.decode()[:10]} is no commit")
    return found


def _tree(repo: Repo, tree: ObjectID) -> Tree:
    try:
        found = repo[tree]
    except KeyError:
        raise _NoReuse("this checkout is a partial clone, without the files of earlier commits") from None
    assert isinstance(found, Tree)
    return found


def _definition(repo: Repo, commit: Commit) -> _Definition:
    """Return what defines the environment at a commit, as repo2docker chooses it (BuildPack.binder_dir)."""
    root = _tree(repo, commit.tree)
    # A link or a submodule of that name is a directory for repo2docker as well. Such a definition has no files here.
    own = [name for name in (b".binder", b"binder") if name in root and not stat.S_ISREG(root[name][0])]
    if not own:
        return _Definition(b"", {name: root[name] for name in root if _defines(name)})
    if len(own) > 1:
        return _Definition(b" and ".join(own), {})
    mode, tree = root[own[0]]
    return _Definition(own[0], dict(_files(repo, tree, own[0] + b"/")) if stat.S_ISDIR(mode) else {})


def _defines(name: bytes) -> bool:
    return name in _FILES or name.startswith(_MANIFESTS)


def _files(repo: Repo, tree: ObjectID, prefix: bytes) -> Iterator[tuple[bytes, tuple[int, ObjectID]]]:
    """Yield all files below a directory: what lies beside postBuild in binder/ is most likely there for it."""
    for name, mode, found in _tree(repo, tree).items():
        if stat.S_ISDIR(mode):
            yield from _files(repo, found, prefix + name + b"/")
        else:
            yield prefix + name, (mode, found)


def _changed(repo: Repo, commit: Commit, definition: _Definition, others: list[_Definition]) -> str:
    """Return the names of the files that a commit changed; refuse one that took some away."""
    changed = set(definition.files) if not others else set()
    kept = {*definition.files, *_tree(repo, commit.tree)}
    for before in others:
        for path in before.files:
            if path not in kept:
                raise _NoReuse(f"{commit.id.decode()[:10]} deleted or renamed {_shown(path)}")
        changed |= {path for path, _ in set(before.files.items()) ^ set(definition.files.items())}
    return ", ".join(map(_shown, sorted(changed)))


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "replace")


# What may put more of the repository into the image than the files that define it


def _check(repo: Repo, commit: Commit, definition: _Definition) -> None:
    """Raise unless the environment at a commit comes from its files alone."""
    if not definition.files:
        raise _NoReuse(
            f"{_shown(definition.directory)} can't be followed"
            if definition.directory
            else "no file here defines an environment"
        )
    for found, (mode, _) in definition.files.items():
        if not stat.S_ISREG(mode):
            raise _NoReuse(f"{_shown(found)} is no regular file")
    rest = {_shown(n) for n in _tree(repo, commit.tree) if n not in definition.files and n != definition.directory}
    scripts = ""
    helpers: dict[str, str] = {}
    for found, (_, blob) in definition.files.items():
        path, text = _shown(found), _text(repo, blob)
        name = path.removeprefix(f"{_shown(definition.directory)}/")
        if not _defines(name.encode()):
            helpers[name] = helpers.get(name, "") + text
        elif why := _more(name, text, rest, in_root=not definition.directory):
            raise _NoReuse(f"{path} {why}")
        elif name in _SCRIPTS:
            scripts += text
    _check_helpers(scripts, helpers, rest)


def _check_helpers(scripts: str, helpers: dict[str, str], rest: set[str]) -> None:
    """Raise if a file beside the scripts in binder/, which one of them or another such file uses, uses the rest."""
    helpers = {name: text for name, text in helpers.items() if not name.endswith((".md", ".rst"))}
    scripts = "\n".join([scripts, *helpers.values()])
    for name, text in helpers.items():
        used = "*" in scripts or any(part in scripts for part in name.split("/"))  # a pattern can mean anything
        if used and (why := _script(text, rest)):
            raise _NoReuse(f"{name}, beside what defines the environment, {why}")


_SCRIPTS = ("postBuild", "start", "install.R", "default.nix")


def _text(repo: Repo, blob: ObjectID) -> str:
    try:
        found = repo[blob]
    except KeyError:
        raise _NoReuse("this checkout is a partial clone, without the files of this commit") from None
    assert isinstance(found, Blob)
    return found.data.decode("utf-8-sig", "replace")


def _more(name: str, text: str, rest: set[str], *, in_root: bool) -> str | None:
    """Say what a file takes from the rest of the repository, whose names in the root are given; None if nothing."""
    if "\0" in text:
        return "can't be read"
    if name == "Dockerfile":
        return "may copy the repository into the image"
    if name in ("setup.py", "DESCRIPTION", "pyproject.toml"):  # elsewhere than in the root they mean nothing
        tables = set(re.findall(r"^\s*\[*\s*[\"']?(project|build-system)\b", text, re.MULTILINE))
        package = name != "pyproject.toml" or len(tables) == 2
        return "installs the repository itself" if in_root and package else None
    if name in ("Project.toml", "JuliaProject.toml") and re.search(r"^\s*name\s*=", text, re.MULTILINE):
        return "makes the repository itself a package"
    if name.startswith("Pipfile") or name.endswith(("Project.toml", "Manifest.toml")) or "Manifest-v" in name:
        return "names a path in the repository" if _PATH.search(text) else None
    if name in ("requirements.txt", "requirements3.txt"):
        return _local(text)
    if name in ("environment.yml", "environment.yaml"):
        return _conda(text)
    if name in _SCRIPTS:
        return _script(text, rest)
    return None


# A key of TOML or JSON for a path, or a value that is one. In a table of Julia's, "file" would be a package's name.
_PATH = re.compile(r"\b(path|file)[\"']?\s*[=:]\s*[\"']|file:|[=:]\s*[\"']\.{1,2}[/\"']")


def _local(requirements: str) -> str | None:
    """Tell whether one of pip's requirements is something in the repository (pip, req/req_file.py)."""
    without_comments = re.sub(r"^\s*#.*", "", requirements, flags=re.MULTILINE)
    for line in re.sub(r"\\\r?\n", "", without_comments).splitlines():
        words = re.sub(r"\s#.*", "", line).strip()
        option = re.match(r"--[\w-]+|-\w|", words)
        assert option
        if re.match(r"-r|-c|--requirem|--cons", option[0]):
            return f"includes another file ({words})"
        value = re.split(r"\s-|;", words[option.end() :].lstrip("= \t"))[0].strip()
        remote = re.search(r"://(?!\.)", value) and "file:" not in value
        directory = re.match(r"-e|--ed", option[0]) or re.search(r"^\.|/|\bfile:", value)
        if value and not remote and (directory or re.search(_ARCHIVE, value)):
            return f"installs something of the repository ({value})"
    return None


_ARCHIVE = r"\.(whl|zip|tar|tgz|tbz|txz|tlz|tar\.\w+|conda)(\[.*)?$"


def _conda(text: str) -> str | None:
    import yaml

    try:
        content = yaml.safe_load(text) or {}
        listed = [*(content.get("dependencies") or []), *(content.get("channels") or [])]
        plain = [each for each in listed if isinstance(each, str)]
        pip = [each.get("pip") or [] for each in listed if isinstance(each, dict)]
        lines = [str(line) for each in pip for line in ([each] if isinstance(each, str) else each)]
    except (yaml.YAMLError, AttributeError, TypeError, ValueError, RecursionError):
        return "can't be read"
    for each in plain:
        if re.match(r"[./~]|file:", each) or (re.search(_ARCHIVE, each) and "://" not in each):
            return f"installs something of the repository ({each})"
    return _local("\n".join(lines))


def _script(text: str, rest: set[str]) -> str | None:
    """Tell whether a script mentions something of the repository but what defines the environment."""
    code = re.sub(r"^\s*#.*", "", text, flags=re.MULTILINE)
    for word in _words(code):
        path = re.sub(r"^((\$(REPO_DIR|HOME|PWD)|~|\.|/home/\w+)(/+|$))+", "", word)
        parts = path.split("/")
        everything = not path or ".." in parts or "REPO_DIR" in path or path in ("pwd", "getwd")
        if everything or parts[0] in rest or ("*" in parts[0] and any(fnmatch(name, parts[0]) for name in rest)):
            return f"may use the rest of the repository ({word})"
    for module in re.findall(r"(?:\bimport|\bfrom|\s-m)\s+(\w+)", code):
        if {module, f"{module}.py"} & rest:
            return f"may use the rest of the repository ({module})"
    for commands, files in _UNNAMED.items():
        if (command := re.search(rf"\b({commands})\b", code)) and (found := rest.intersection(files.split())):
            return f"may use the rest of the repository ({command[0]} reads {min(found)})"
    return None


def _words(code: str) -> Iterator[str]:
    for word in re.split(r"[\s\"'`;|&()<>,=:@\\\[\]{}]+", re.sub(r"\$\{(\w+)\}", r"$\1", code)):
        if word:
            yield word
        if re.match(r"-\w.", word):  # an option of one letter and its value, as in -rfile
            yield word[2:]


# Commands that read files in the current directory which nobody need name
_UNNAMED = {
    "make": "Makefile makefile GNUmakefile",
    "npm|npx|yarn|pnpm|jlpm": "package.json",
    "poetry|pdm|hatch|flit|uv|pixi": "pyproject.toml uv.toml pixi.toml",
    "pipenv": "Pipfile Pipfile.lock",
    "(conda|mamba|micromamba) env": "environment.yml environment.yaml",
    "julia|Pkg": "Project.toml JuliaProject.toml",
    "R|Rscript|renv|source": ".Rprofile renv.lock",
    "install_local|install_deps|devtools": "DESCRIPTION",
    "submodule": ".gitmodules",
    "lfs|dvc": ".gitattributes .dvc dvc.yaml",
    "nix-shell|nix-build|nix-env": "default.nix shell.nix",
    "tox|nox|doit|cmake|cargo|bundle": "tox.ini noxfile.py dodo.py CMakeLists.txt Cargo.toml Gemfile",
}
