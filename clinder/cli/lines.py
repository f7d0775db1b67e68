"""A launch in plain lines, for a pipe, a CI's log and a file, with each line of the build's log."""

import errno
import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from clinder.errors import UsageError
from clinder.giturl import quote_text
from clinder.launch.events import FAILED_PHASES, OWN_PHASES, Event
from clinder.output import push_share
from clinder.text import escape_ci_commands, strip_ansi

_UNLOGGED_PHASES = FAILED_PHASES | OWN_PHASES
_RESET = "\x1b[0m"


class Lines:
    """Turns events into lines, with a heading for each new phase.

    With ``figures``, the progress of a push has lines. With ``sections``, each phase is a section of GitLab's job log,
    which is collapsed (GitLab, "Job logs", Custom collapsible sections). A build's log can't make a section, because
    control characters are removed from it.
    """

    def __init__(self, *, colour: bool = False, figures: bool = True, sections: bool = False) -> None:
        self._colour = colour
        self._figures = figures
        self._sections = sections
        self._section = ""  # the name of the open section
        self._count = 0
        self._began = time.monotonic()
        self._phase = ""
        self._log_phase = ""  # the same, if all that its events need is a line for the message
        self._share = ""  # how much of the image is pushed

    def of(self, event: Event) -> str:
        """Return the lines of an event, each with a newline; an empty text if it has none."""
        message, heading = event.message, ""
        if event.phase != self._log_phase:
            phase, message, data = event
            if phase in _UNLOGGED_PHASES:
                return self.leave()  # the error, or the line about the next attempt, has the hub's words
            if phase != self._phase:
                heading = self._enter(phase)
            if phase == "pushing":
                message = self._pushing(message, data)
        if "\x1b" in message:
            message = f"{message.rstrip()}{_RESET}" if self._colour else strip_ansi(message)
        if message and message[-1] != "\n":
            message += "\n"
        return heading + message

    def leave(self) -> str:
        """End the phase; return the line that closes its section, or an empty text."""
        section, self._section = self._section, ""
        self._phase = self._log_phase = ""
        return f"\x1b[0Ksection_end:{int(time.time())}:{section}\r\x1b[0K\n" if section else ""

    def _enter(self, phase: str) -> str:
        closing = self.leave()
        self._share, self._phase = "", phase
        self._log_phase = "" if phase == "pushing" else phase
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        words = f"==> {phase}"
        heading = f"\x1b[1m{words}{_RESET}" if self._colour else words
        return f"{closing}{self._opening(phase)}{heading} ({minutes}:{seconds:02})\n"

    def _opening(self, phase: str) -> str:
        if not self._sections:
            return ""
        self._count += 1
        self._section = f"clinder_{self._count}_{re.sub('[^a-z]', '_', phase.lower())}"
        return f"\x1b[0Ksection_start:{int(time.time())}:{self._section}[collapsed=true]\r\x1b[0K"

    def _pushing(self, message: str, data: Mapping[str, Any]) -> str:
        """Return the message of an event of a push, with the new percentage, if it has changed."""
        share = push_share(data.get("progress"))
        if not share:
            return message
        news = f"{message.rstrip()} {share}" if self._figures and share != self._share else ""
        self._share = share
        return news


class LogFile:
    """The file of --log-file, with the lines that a pipe would get. ``error`` says why it is incomplete."""

    def __init__(self, path: str) -> None:
        """Open the file and remove its content. Raises `UsageError`."""
        self.error = ""
        self._lines = Lines()
        try:
            # O_NONBLOCK: a pipe without a reader is an error; clinder does not wait for a reader.
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
            self._file = os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace")
        except (OSError, ValueError) as error:
            code = getattr(error, "errno", None)
            why = "nobody reads it" if code == errno.ENXIO else os.strerror(code) if code else "no path"
            raise UsageError(
                f"The log file can't be written: {quote_text(path)} ({why})", "Expected the path of a file."
            ) from None

    def show(self, event: Event) -> None:
        """Write the lines of an event."""
        if text := self._lines.of(event):
            self._write(text)

    def note(self, text: str) -> None:
        """Write a message of clinder."""
        self._write(f"clinder: {text}\n")

    def flush(self) -> None:
        """Write all text so far to the file."""
        self._try(self._file.flush)

    def close(self) -> None:
        """Write the rest, and close the file."""
        self._try(self._file.close)

    def _write(self, text: str) -> None:
        if not self.error:
            self._try(lambda: self._file.write(escape_ci_commands(text)))

    def _try(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            self.error = self.error or error.strerror or "it can't be written to"
