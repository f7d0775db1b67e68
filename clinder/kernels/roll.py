"""Files that bridges write for ``clinder run``: which bridges run, and what went wrong. No network.

A bridge has an entry, which is a file, and holds a lock on it. The system releases the lock when the process ends for
any reason. So the bridge of an entry without a lock was killed before it ended its kernel.
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
    """Make an entry for this process, with the path of its kernel. Return the file descriptor that holds the lock."""
    hidden = home / f".{name}"
    descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.write(descriptor, path.encode())
    hidden.rename(home / f"{_PREFIX}{name}")
    return descriptor


def leave(home: Path, name: str) -> None:
    """Remove an entry, because its kernel has ended."""
    (home / f"{_PREFIX}{name}").unlink(missing_ok=True)


def abandoned(home: Path) -> Iterator[Entry]:
    """Yield the entries of bridges that were killed."""
    for file in home.glob(f"{_PREFIX}*"):
        with suppress(OSError), file.open("rb") as entry:
            fcntl.flock(entry, fcntl.LOCK_EX | fcntl.LOCK_NB)
            age = time.time() - os.fstat(entry.fileno()).st_mtime
            yield Entry(file.name.removeprefix(_PREFIX), entry.read().decode(), age)


def tell(home: Path, line: str) -> None:
    """Write a line about something that went wrong."""
    with suppress(OSError), (home / _TROUBLE).open("a") as file:
        file.write(one_line(line) + "\n")


def trouble(home: Path) -> list[str]:
    """Return the lines that bridges have written."""
    try:
        with (home / _TROUBLE).open("rb") as file:
            return file.read(_MOST_TROUBLE).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
