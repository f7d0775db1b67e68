"""Which kernels the notebooks and the pages of a directory name, as MyST reads them, within bounds."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clinder.target.files import load_yaml, read_file
from clinder.text import one_line

_MOST_PAGES = 2000  # that are looked at
_MOST_ENTRIES = 50_000  # of directories, all in all
_MAX_DEPTH = 20  # of folders
_MAX_FILE = 16 << 20  # bytes
_MAX_ALL = 64 << 20  # bytes, all in all
_MAX_FRONT_MATTER = 64 << 10  # characters
_NO_PAGES = ("_build", "node_modules", "site-packages", "__pycache__")


def find_kernels(directory: Path) -> dict[str, list[str]]:
    """Return the names of the kernels that pages with code name, each with the pages' paths below the directory.

    What can't be read, or is no page, names none; so does what lies beyond the bounds.
    """
    kernels: dict[str, list[str]] = {}
    rest = _MAX_ALL
    for path in _pages(directory):
        try:
            content = read_file(path, min(_MAX_FILE, rest))
        except (OSError, ValueError):
            continue
        rest -= len(content)
        if name := _kernel_of(path.suffix, content):
            kernels.setdefault(name, []).append(os.path.relpath(path, directory))
    return kernels


def _pages(directory: Path) -> Iterator[Path]:
    pages = entries = 0
    for folder, folders, names in os.walk(directory):
        entries += len(folders) + len(names)
        is_deep = len(Path(folder).parts) - len(directory.parts) >= _MAX_DEPTH  # os.walk calls itself for each level
        folders[:] = [] if is_deep else sorted(name for name in folders if _may_hold_pages(name))
        for name in sorted(names):
            if name.endswith((".ipynb", ".md")):
                pages += 1
                yield Path(folder, name)
            if pages >= _MOST_PAGES:
                return
        if entries > _MOST_ENTRIES:
            return


def _may_hold_pages(folder: str) -> bool:
    return folder[0] != "." and folder not in _NO_PAGES


def _kernel_of(suffix: str, content: bytes) -> str:
    """Return the kernel that a page with code names, "" for others."""
    try:
        text = content.decode("utf-8")
        page = _notebook(text) if suffix == ".ipynb" else _front_matter(text)
    except Exception:  # noqa: BLE001  (whatever a parser stumbles over, a page that can't be read names no kernel)
        return ""
    spec = page.get("kernelspec") if isinstance(page, dict) else None
    name = spec.get("name") if isinstance(spec, dict) else None
    return one_line(name, 100) if isinstance(name, str) else ""


def _notebook(text: str) -> Any:
    notebook = json.loads(text)
    has_code = any(cell.get("cell_type") == "code" for cell in notebook["cells"])
    return notebook["metadata"] if has_code else None


def _front_matter(text: str) -> Any:
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if not text.startswith("---\n") or "{code-cell}" not in text:
        return None
    head, end, _ = text[:_MAX_FRONT_MATTER].removeprefix("---").partition("\n---")
    return load_yaml(head) if end else None
