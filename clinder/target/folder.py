"""Warn if the cells of a MyST project will not find files that are in the folders of their pages.

MyST tells the session the path of a page from the project's folder. The session takes it as a path from the root of the
repository, and starts the kernel in that folder (mystmd 1.11, packages/myst-execute/src/kernel.ts; jupyter_server,
cwd_for_path). So cells run in the folder of their page only if the project's folder is the root of the repository.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from clinder.target.files import load_yaml, read_file

_MAX_CONFIG = 256 * 1024  # bytes
_PAGES = (".md", ".ipynb")
_NO_PAGES = ("_build", "node_modules", "__pycache__")
_MOST_ENTRIES = 20_000  # entries of directories, in total
_MOST_LEVELS = 20  # levels of folders
_MOST_NAMES = 50  # names of files in a page's folder that are searched for in the page
_MAX_PAGE = 1 << 20  # bytes
_MAX_ALL = 8 << 20  # bytes of all pages together
_SECONDS = 2.0  # for all pages; most books take some milliseconds


def checkout_root(directory: Path) -> Path | None:
    """Return the root of the checkout that contains a directory, or None. The checkout may be damaged."""
    for folder in (directory, *directory.parents):
        if os.path.exists(folder / ".git"):  # noqa: PTH110  (it is False where the directory may not be read)
            return folder
    return None


def warn_of_folder(directory: Path) -> list[str]:
    """Return a warning if the MyST project around a directory has code that names a file and will not find it."""
    root = checkout_root(directory)
    folder = _myst_folder(directory, root) if root else None
    if root is None or folder is None or folder == root:
        return []
    for page, name in _names_of_files(folder):
        return [_WARNING.format(os.path.relpath(page, root), name, os.path.relpath(folder, root))]
    return []


_WARNING = (
    "warning: {0} names '{1}', but its cells will run in the repository's root, not in its folder. To change that, "
    "move site: from {2}/myst.yml to a myst.yml in the root, and build in {2}/ as before"
)


def _myst_folder(directory: Path, root: Path) -> Path | None:
    """Return the folder from which MyST's paths of pages begin: that of the nearest ``site``, else ``project``.

    Folders above the checkout's root do not count. Source: sourcePath() in mystmd, myst-cli/src/session/session.ts.
    """
    nearest = None
    for folder in (directory, *directory.parents):
        config = _read_config(folder)
        if config.get("site") is not None:
            return folder
        if nearest is None and config.get("project") is not None:
            nearest = folder
        if folder == root:
            break
    return nearest


def _read_config(folder: Path) -> dict[Any, Any]:
    """Return MyST's configuration in a folder; empty if it can't be read, because it is only for a warning."""
    for name in ("myst.yml", "myst.yaml"):
        with suppress(Exception):  # there is no file; or PyYAML raises an error, which may be of any kind
            config = load_yaml(read_file(folder / name, _MAX_CONFIG).decode())
            return config if isinstance(config, dict) else {}
    return {}


class _Named(NamedTuple):
    page: str
    name: str


def _names_of_files(folder: Path) -> Iterator[_Named]:
    """Yield pages with code that names a file, a folder or a module in the page's folder, and that name."""
    rest, entries, end = _MAX_ALL, 0, monotonic() + _SECONDS
    for place, folders, files in os.walk(folder):
        entries += len(folders) + len(files)
        folders[:] = sorted(name for name in folders if name[0] != "." and name not in _NO_PAGES)
        if place.count(os.sep) - str(folder).count(os.sep) >= _MOST_LEVELS:
            folders.clear()  # os.walk of Python 3.11 recurses for each level
        beside = sorted(name for name in files if name[0] != "." and not name.endswith(_PAGES))
        needles = _needles([*beside, *(f"{name}/" for name in folders)][:_MOST_NAMES])
        for page in sorted(name for name in files if name.endswith(_PAGES)):
            if monotonic() >= end:
                return
            path = os.path.join(place, page)  # noqa: PTH118  (os.walk yields text)
            with suppress(OSError, ValueError):
                content = read_file(path, min(_MAX_PAGE, rest))
                rest -= len(content)
                if b"{code-cell}" in content or page.endswith(".ipynb"):
                    yield from (_Named(path, name) for needle, name in needles if needle in content)
        if entries > _MOST_ENTRIES:
            return


def _needles(names: list[str]) -> list[tuple[bytes, str]]:
    """Return pairs: a piece of text that code with this name contains, and the name. A notebook's code is in JSON."""
    quoted = ((f"{quote}{name}{end}", name) for name in names for quote in "\"'" for end in _ends(name, quote))
    relative = ((f"{quote}{name}", name) for name in ("../", "./") for quote in "\"'")
    modules = (name.removesuffix(".py") for name in names if name.endswith(".py"))
    imported = ((f"{word} {name}{end}", name) for name in modules for word, end in _IMPORTS)
    return [(os.fsencode(text), name) for text, name in (*quoted, *relative, *imported)]


_IMPORTS = (("import", "\n"), ("import", " as "), ("import", "\\n"), ("import", '"'), ("from", " import "))


def _ends(name: str, quote: str) -> tuple[str, ...]:
    return ("",) if name.endswith("/") else (quote, "\\")
