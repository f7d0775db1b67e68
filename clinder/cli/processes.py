"""The processes that a process has started, and what they have started in turn, where the system tells: on Linux."""

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """A process, told from a later one of the same number by the time at which it began."""

    number: int
    parent: int
    began: str

    @property
    def is_there(self) -> bool:
        """Whether it still runs."""
        now = _read(str(self.number))
        return now is not None and now.began == self.began  # its parent may be another by then

    def send(self, signal: int) -> None:
        """Send it a signal if it still runs."""
        if self.is_there:
            with suppress(OSError):
                os.kill(self.number, signal)


def descendants(number: int) -> list[Process]:
    """Return the processes that this one has started, and their descendants; none where the system does not tell."""
    try:
        everybody = [process for path in Path("/proc").iterdir() if (process := _read(path.name))]
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
        # proc_pid_stat(5): the name, in brackets, may have any character in it; then state, parent, ...; 22: began
        fields = Path("/proc", number, "stat").read_text(errors="replace").rpartition(")")[2].split()
        return Process(int(number), int(fields[1]), fields[19]) if fields[0] not in "ZX" else None
    except (OSError, ValueError, IndexError):
        return None
