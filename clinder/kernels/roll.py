"""What bridges leave in a directory for ``clinder run``: which of them run, and what went wrong. No network.

A bridge holds a lock on its entry, which the system takes back however the process ends: an entry without a lock is
that of a bridge which was killed before it ended its kernel.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from clinder.text import one_line

_PREFIX = "bridge-"
_TROUBLE = "trouble"
_MOST_TROUBLE = 1 << 16  # bytes


class Entry(NamedTuple):
    """A bridge that was killed: its name, the path of its kernel in the session, and its age in seconds."""

    name: str
    path: str
    age: float


def enter(home: Path, name: str, path: str) -> int:
    """Make an entry for this process, with the path of its kernel. The descriptor that is returned keeps the lock."""
    hidden = home / f".{name}"
    descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.write(descriptor, path.encode())
    hidden.rename(home / f"{_PREFIX}{name}")
    return descriptor


def leave(home: Path, name: str) -> None:
    """Remove the entry: the kernel has been ended."""
    (home / f"{_PREFIX}{name}").unlink(missing_ok=True)


def abandoned(home: Path) -> Iterator[Entry]:
    """Yield the entries of processes that are gone."""
    for file in home.glob(f"{_PREFIX}*"):
        with suppress(OSError), file.open("rb") as entry:
            fcntl.flock(entry, fcntl.LOCK_EX | fcntl.LOCK_NB)
            age = time.time() - os.fstat(entry.fileno()).st_mtime
            yield Entry(file.name.removeprefix(_PREFIX), entry.read().decode(), age)


def tell(home: Path, line: str) -> None:
    """Leave a line about something that went wrong."""
    with suppress(OSError), (home / _TROUBLE).open("a") as file:
        file.write(one_line(line) + "\n")


def trouble(home: Path) -> list[str]:
    """Return the lines that were left."""
    try:
        with (home / _TROUBLE).open("rb") as file:
            return file.read(_MOST_TROUBLE).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
