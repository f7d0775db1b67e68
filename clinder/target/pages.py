"""Find the kernels that notebooks (.ipynb) and pages (the front matter of .md and .qmd) in a directory name."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from clinder.target.files import load_yaml, read_file
from clinder.text import one_line

_MOST_PAGES = 2000
_MOST_ENTRIES = 50_000  # entries of directories, in total
_MAX_DEPTH = 20  # levels of folders
_MAX_FILE = 16 << 20  # bytes
_MAX_ALL = 64 << 20  # bytes of all files together
_MAX_FRONT_MATTER = 64 << 10  # bytes
_MAX_ALL_FRONT_MATTER = 1 << 20  # bytes of all front matter together; it takes a second to read
_MAX_NAME = 100  # characters
_MAX_OBJECT = 64 << 10  # bytes of one object in a notebook's metadata
_NO_PAGES = ("_build", "node_modules", "site-packages", "__pycache__")

# A notebook is not parsed as a whole, because its objects could take thirty times the memory of the file. In a text of
# JSON, these quotes would have a backslash. (re finds a pattern ten times as fast if it begins with plain characters.)
_METADATA = {
    key: re.compile(rb'"%b"(?<!\\"%b")\s*:\s*(?=\{)' % (key.encode(), key.encode()))
    for key in ("kernelspec", "language_info")
}
_CODE_CELL = re.compile(rb'"cell_type"(?<!\\"cell_type")\s*:\s*"code"')


class Named(NamedTuple):
    """A kernel that a page names: its name, its language if the page says it, and whether MyST would start it."""

    name: str
    language: str = ""
    has_code: bool = True


def find_kernels(directory: Path) -> dict[Named, list[str]]:
    """Return the kernels that pages name, each with the paths of its pages below the directory.

    Files that can't be read, that are no pages or that are beyond the bounds above are left out.
    """
    kernels: dict[Named, list[str]] = {}
    rest, rest_of_front_matter = _MAX_ALL, _MAX_ALL_FRONT_MATTER
    for path in _pages(directory):
        try:
            content = read_file(path, min(_MAX_FILE, rest))
        except (OSError, ValueError):
            continue
        rest -= len(content)
        head = None if path.suffix == ".ipynb" else _front_matter(content)
        rest_of_front_matter -= len(head or b"")
        is_beyond = head is not None and rest_of_front_matter < 0
        if not is_beyond and (named := _kernel_of(content, head)):
            kernels.setdefault(named, []).append(os.path.relpath(path, directory))
    return kernels


def _pages(directory: Path) -> Iterator[Path]:
    pages = entries = 0
    for folder, folders, names in os.walk(directory):
        entries += len(folders) + len(names)
        is_deep = len(Path(folder).parts) - len(directory.parts) >= _MAX_DEPTH  # os.walk may recurse for each level
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


def _kernel_of(content: bytes, front_matter: bytes | None) -> Named | None:
    """Return the kernel that a page names, or None. If ``front_matter`` is None, the page is a notebook."""
    try:
        if front_matter is None:
            page = {key: _last_object(pattern, content) for key, pattern in _METADATA.items()}
            has_code = _CODE_CELL.search(content) is not None
        else:
            page, has_code = load_yaml(front_matter.decode()), b"{code-cell}" in content
        name = page["kernelspec"]["name"]
        language = page["kernelspec"].get("language") or page.get("language_info", {}).get("name") or ""
    except Exception:  # noqa: BLE001  (parsers raise many kinds of errors; a page that can't be read names no kernel)
        return None
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME or not isinstance(language, str):
        return None
    return Named(one_line(name), one_line(language, _MAX_NAME), has_code)


def _last_object(pattern: "re.Pattern[bytes]", content: bytes) -> Any:
    """Return the object of a notebook's last such key. A notebook's own metadata come after its cells (nbformat)."""
    begin = None
    for key in pattern.finditer(content):
        begin = key.end()
    if begin is None:
        return {}
    text = content[begin : begin + _MAX_OBJECT].decode("utf-8", "replace")
    return json.JSONDecoder().raw_decode(text)[0]


def _front_matter(content: bytes) -> bytes:
    """Return the YAML between two lines of hyphens at the beginning of a page; empty if there is none."""
    text = content[:_MAX_FRONT_MATTER].removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    head, end, _ = text.removeprefix(b"---").partition(b"\n---")
    return head if end and text.startswith(b"---\n") else b""
