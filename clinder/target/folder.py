"""Where a project is in its checkout, and whether its cells will find the files beside their pages.

MyST names a page to the session by its path from the project's folder, and the session looks there from the
repository's root (mystmd 1.11, packages/myst-execute/src/kernel.ts; jupyter_server, cwd_for_path). So the cells of a
page begin beside it only if the folder from which MyST names its pages is the root.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from clinder.target.files import load_yaml, read_file

_MAX_CONFIG = 256 * 1024  # bytes
_PAGES = (".md", ".ipynb")
_NO_PAGES = ("_build", "node_modules", "__pycache__")
_MOST_ENTRIES = 20_000  # of directories, all in all
_MOST_LEVELS = 20  # of folders
_MOST_NAMES = 50  # beside a page, that are looked for in it
_MAX_PAGE = 1 << 20  # bytes
_MAX_ALL = 8 << 20  # bytes, all in all


def checkout_root(directory: Path) -> Path | None:
    """Return the root of the checkout that a directory is in, which may be damaged; None if it is in none."""
    for folder in (directory, *directory.parents):
        if os.path.exists(folder / ".git"):  # noqa: PTH110  (says no where a directory may not be looked into)
            return folder
    return None


def warn_of_folder(directory: Path) -> list[str]:
    """Return a warning if code of MyST's project around a directory names a file that it will not find."""
    root = checkout_root(directory)
    folder = _myst_folder(directory, root) if root else None
    if root is None or folder is None or folder == root:
        return []
    for page, name in _names_of_files(folder):
        return [_WARNING.format(os.path.relpath(page, root), name, os.path.relpath(folder, root))]
    return []


_WARNING = (
    "warning: {0} names '{1}', but its cells will begin in the repository's root, not beside it. To change that, move "
    "site: from {2}/myst.yml to a myst.yml in the root, and build in {2}/ as before"
)


def _myst_folder(directory: Path, root: Path) -> Path | None:
    """Return the folder from which MyST names its pages: of the nearest ``site``, else of the nearest ``project``.

    It is not looked for above the checkout's root. Source: sourcePath() in mystmd, myst-cli/src/session/session.ts.
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
    """Return MyST's configuration in a folder; nothing where that can't be read, for this is about a warning alone."""
    for name in ("myst.yml", "myst.yaml"):
        with suppress(Exception):  # there is none; or PyYAML lets an error of any kind through
            config = load_yaml(read_file(folder / name, _MAX_CONFIG).decode())
            return config if isinstance(config, dict) else {}
    return {}


class _Named(NamedTuple):
    page: str
    name: str


def _names_of_files(folder: Path) -> Iterator[_Named]:
    """Yield pages with code that names something beside them, and what: a file or folder in quotes, or a module."""
    rest, entries = _MAX_ALL, 0
    for place, folders, files in os.walk(folder):
        entries += len(folders) + len(files)
        folders[:] = sorted(name for name in folders if name[0] != "." and name not in _NO_PAGES)
        if place.count(os.sep) - str(folder).count(os.sep) >= _MOST_LEVELS:
            folders.clear()  # Python 3.11 would call itself for each level
        beside = sorted(name for name in files if name[0] != "." and not name.endswith(_PAGES))
        needles = _needles([*beside, *(f"{name}/" for name in folders)][:_MOST_NAMES])
        for page in sorted(name for name in files if name.endswith(_PAGES)):
            path = os.path.join(place, page)  # noqa: PTH118  (as os.walk has it)
            with suppress(OSError, ValueError):
                content = read_file(path, min(_MAX_PAGE, rest))
                rest -= len(content)
                if b"{code-cell}" in content or page.endswith(".ipynb"):
                    yield from (_Named(path, name) for needle, name in needles if needle in content)
        if entries > _MOST_ENTRIES:
            return


def _needles(names: list[str]) -> list[tuple[bytes, str]]:
    """Return what code has in it that uses something of these names, with the name. In a notebook that is in JSON."""
    quoted = ((f"{quote}{name}{end}", name) for name in names for quote in "\"'" for end in _ends(name, quote))
    relative = ((f"{quote}{name}", name) for name in ("../", "./") for quote in "\"'")
    modules = (name.removesuffix(".py") for name in names if name.endswith(".py"))
    imported = ((f"{word} {name}{end}", name) for name in modules for word, end in _IMPORTS)
    return [(os.fsencode(text), name) for text, name in (*quoted, *relative, *imported)]


_IMPORTS = (("import", "\n"), ("import", " as "), ("import", "\\n"), ("import", '"'), ("from", " import "))


def _ends(name: str, quote: str) -> tuple[str, ...]:
    return ("",) if name.endswith("/") else (quote, "\\")
