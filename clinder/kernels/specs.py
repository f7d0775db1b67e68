"""Which kernels there are, under which names, and the directory of kernelspecs in which tools find them."""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from clinder.kernels.remote import KernelSpec, is_kernel_name
from clinder.target.files import load_yaml, read_file

# The name that tools ask for when a notebook has none (jupyter_client, NATIVE_KERNEL_NAME).
_DEFAULT = ("python3", "python")

_MOST_FILES = 100_000
_MOST_SECONDS = 5.0
_MAX_NOTEBOOK = 1 << 26  # bytes
_MAX_PAGE = 1 << 20
_NO_NOTEBOOKS = {"node_modules", "_build", "_site", "site-packages"}


class Named(NamedTuple):
    """A kernel that a notebook names, and its language if the notebook says it."""

    name: str
    language: str


def aliases(specs: Mapping[str, KernelSpec], named: Iterable[Named]) -> tuple[dict[str, str], list[str]]:
    """Return which of these names that the session has not can stand for a kernel that it has, and which can't.

    A name stands for the only kernel of its language; of a name without a language, for the only kernel.
    """
    have = {name.lower() for name in specs}
    found: dict[str, str] = {}
    unknown: list[str] = []
    for name, language in sorted({*named, Named(*_DEFAULT)}):
        if name.lower() in have:
            continue
        same = [each for each, spec in specs.items() if not language or spec.language.lower() == language.lower()]
        if len(same) == 1:
            found[name] = same[0]
        elif name != _DEFAULT[0]:
            unknown.append(name)
    return found, sorted(set(unknown) - set(found))


def kernel_names(project: Path) -> set[Named]:
    """Return the kernels that notebooks of a project name: .ipynb, and the front matter of .md and .qmd."""
    deadline = time.monotonic() + _MOST_SECONDS
    found = set()
    for number, file in enumerate(_files(project)):
        if number >= _MOST_FILES or time.monotonic() > deadline:
            break
        found |= set(_named_by(file))
    return found


def _files(project: Path) -> Iterator[Path]:
    for directory, directories, files in os.walk(project):
        directories[:] = [each for each in directories if not each.startswith(".") and each not in _NO_NOTEBOOKS]
        for file in files:
            yield Path(directory, file)


def _named_by(file: Path) -> Iterator[Named]:
    try:
        if file.suffix == ".ipynb":
            metadata = json.loads(read_file(file, _MAX_NOTEBOOK))["metadata"]
        elif file.suffix in (".md", ".qmd"):
            metadata = _front_matter(read_file(file, _MAX_PAGE))
        else:
            return
        spec = metadata["kernelspec"]
        name = spec["name"]
        language = spec.get("language") or metadata.get("language_info", {}).get("name") or ""
    except Exception:  # noqa: BLE001  (what is no notebook names no kernel)
        return
    if is_kernel_name(name) and isinstance(language, str):
        yield Named(name, language[:100])


def _front_matter(page: bytes) -> Any:
    """Return the YAML between the two lines of hyphens with which a page may begin."""
    begin, _, rest = page.replace(b"\r\n", b"\n").partition(b"---\n")
    return load_yaml(rest.partition(b"\n---")[0].decode()) if not begin else None


def write_specs(home: Path, specs: Mapping[str, KernelSpec], more: Mapping[str, str], project: Path) -> None:
    """Write a kernelspec for each kernel, and for each other name of one."""
    for name, real in {**{name: name for name in specs}, **more}.items():
        directory = home / "kernels" / name.lower()
        directory.mkdir(parents=True)
        content = {
            "argv": [*_bridge(), "{connection_file}", str(home), real, str(project)],
            "display_name": specs[real].display_name,
            "language": specs[real].language,
            # Not by a signal: one that comes before the process handles it would end the process.
            "interrupt_mode": "message",
        }
        (directory / "kernel.json").write_text(json.dumps(content))


def _bridge() -> list[str]:
    """Return the command of a bridge, which finds the modules that this process finds, and none of a notebook's."""
    path = [str(Path(entry).absolute()) for entry in sys.path]
    code = f"import sys; sys.path[:] = {path!r}; from clinder.kernels.bridge import main; main()"
    return [sys.executable, "-I", "-c", code]
