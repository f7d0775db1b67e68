"""Find the descendants of a process: those that it has started, and those that they have started. Only on Linux."""

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")


class Process(NamedTuple):
    """A process. Its start time tells it from a later process with the same number."""

    number: int
    parent: int
    began: str

    @property
    def is_there(self) -> bool:
        """Whether it still runs."""
        now = _read(str(self.number))
        return now is not None and now.began == self.began  # its parent may have changed

    def send(self, signal: int) -> None:
        """Send a signal to the process, if it still runs."""
        if self.is_there:
            with suppress(OSError):
                os.kill(self.number, signal)


def descendants(number: int) -> list[Process]:
    """Return the descendants of a process; an empty list if the system has no /proc."""
    try:
        everybody = [process for path in _PROC.iterdir() if (process := _read(path.name))]
    except OSError:
        return []
    found, parents = [], {number}
    while children := [process for process in everybody if process.parent in parents and process not in found]:
        found += children
        parents = {process.number for process in children}
    return found


def _read(number: str) -> Process | None:
    if not number.isdecimal():
        return None
    try:
        # proc_pid_stat(5): number, name in brackets (it may contain any character), state, parent, ..., start time (22)
        fields = (_PROC / number / "stat").read_text(errors="replace").rpartition(")")[2].split()
        return Process(int(number), int(fields[1]), fields[19]) if fields[0] not in "ZX" else None
    except (OSError, ValueError, IndexError):
        return None
