"""Where a process of a trial writes: files that are read, read late, never read, closed or full."""

from __future__ import annotations

import os
import pty
import select
import threading
import time
from contextlib import suppress
from pathlib import Path

_PIPE = 32_768  # bytes: Linux's pipe has sixteen pages, of which small writes may fill half


class Output:
    """One of a process's outputs. ``descriptor`` is for the process; call `started` when it has it."""

    def __init__(self, kind: str, directory: Path, name: str, late: float) -> None:
        self.kind = kind
        self._late = late
        self._data = bytearray()
        self._reader: threading.Thread | None = None
        self._path = directory / name
        self._source = -1
        if kind in ("full", "none"):
            self.descriptor = os.open("/dev/full", os.O_WRONLY)
        elif kind == "file":
            self.descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT)
        else:
            self._source, self.descriptor = pty.openpty() if kind == "pty" else os.pipe()

    def started(self) -> None:
        os.close(self.descriptor)
        if self.kind == "closed":
            os.close(self._source)
            self._source = -1
        elif self.kind in ("read", "late", "pty"):
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()

    def _read(self) -> None:
        if self.kind == "late":
            time.sleep(self._late)
        with suppress(OSError):  # a terminal whose process has ended
            while more := os.read(self._source, 1 << 16):
                self._data += more

    def has_some(self, seconds: float) -> bool:
        """Return whether something was written; wait so long for it."""
        if self._source < 0:
            time.sleep(seconds)
            return self.kind == "file" and self._path.stat().st_size > 0
        if self._data:
            return True
        try:
            return bool(select.select([self._source], [], [], seconds)[0]) or bool(self._data)
        except (OSError, ValueError):
            return True

    def finish(self) -> str:
        """Return all that a reader gets, after the end of the process."""
        if self._reader is not None:
            self._reader.join(10)
        elif self.kind == "never":
            self._read_rest()
        elif self.kind == "file":
            self._data += self._path.read_bytes()
        if self._source >= 0:
            os.close(self._source)
            self._source = -1
        return self._data.decode("utf-8", "replace").replace("\r\n", "\n")

    @property
    def is_lost(self) -> bool:
        """Whether the last lines reach no reader: the pipe is closed, or was full and nobody read it."""
        return self.kind == "closed" or (self.kind == "never" and len(self._data) >= _PIPE)

    def _read_rest(self) -> None:
        while more := os.read(self._source, 1 << 16):
            self._data += more
