"""Which kernels notebooks (.ipynb) and pages (the front matter of .md and .qmd) in a directory name, within bounds."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from clinder.target.files import load_yaml, read_file
from clinder.text import one_line

_MOST_PAGES = 2000  # that are looked at
_MOST_ENTRIES = 50_000  # of directories, all in all
_MAX_DEPTH = 20  # of folders
_MAX_FILE = 16 << 20  # bytes
_MAX_ALL = 64 << 20  # bytes, all in all
_MAX_FRONT_MATTER = 64 << 10  # characters
_MAX_NAME = 100  # characters
_NO_PAGES = ("_build", "node_modules", "site-packages", "__pycache__")


class Named(NamedTuple):
    """A kernel that a page names: its name, its language if the page says it, and whether MyST would start it."""

    name: str
    language: str = ""
    has_code: bool = True


def find_kernels(directory: Path) -> dict[Named, list[str]]:
    """Return the kernels that pages name, each with the pages' paths below the directory.

    What can't be read, or is no page, names none; so does what lies beyond the bounds.
    """
    kernels: dict[Named, list[str]] = {}
    rest = _MAX_ALL
    for path in _pages(directory):
        try:
            content = read_file(path, min(_MAX_FILE, rest))
        except (OSError, ValueError):
            continue
        rest -= len(content)
        if named := _kernel_of(path.suffix, content):
            kernels.setdefault(named, []).append(os.path.relpath(path, directory))
    return kernels


def _pages(directory: Path) -> Iterator[Path]:
    pages = entries = 0
    for folder, folders, names in os.walk(directory):
        entries += len(folders) + len(names)
        is_deep = len(Path(folder).parts) - len(directory.parts) >= _MAX_DEPTH  # os.walk calls itself for each level
        folders[:] = [] if is_deep else sorted(name for name in folders if _may_hold_pages(name))
        for name in sorted(names):
            if name.endswith((".ipynb", ".md", ".qmd")):
                pages += 1
                yield Path(folder, name)
            if pages >= _MOST_PAGES:
                return
        if entries > _MOST_ENTRIES:
            return


def _may_hold_pages(folder: str) -> bool:
    return folder[0] != "." and folder not in _NO_PAGES


def _kernel_of(suffix: str, content: bytes) -> Named | None:
    """Return the kernel that a page names, if it names one."""
    try:
        text = content.decode("utf-8")
        page, has_code = _notebook(text) if suffix == ".ipynb" else _front_matter(text)
        name = page["kernelspec"]["name"]
        language = page["kernelspec"].get("language") or page.get("language_info", {}).get("name") or ""
    except Exception:  # noqa: BLE001  (whatever a parser stumbles over, a page that can't be read names no kernel)
        return None
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME or not isinstance(language, str):
        return None
    return Named(one_line(name), one_line(language, _MAX_NAME), has_code)


def _notebook(text: str) -> tuple[Any, bool]:
    notebook = json.loads(text)
    return notebook["metadata"], any(cell.get("cell_type") == "code" for cell in notebook.get("cells", []))


def _front_matter(text: str) -> tuple[Any, bool]:
    """Return the YAML between the two lines of hyphens with which a page may begin, and whether it has cells."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    head, end, _ = text[:_MAX_FRONT_MATTER].removeprefix("---").partition("\n---")
    return load_yaml(head) if end and text.startswith("---\n") else None, "{code-cell}" in text
