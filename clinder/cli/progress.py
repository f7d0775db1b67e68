"""Show a launch to a person: its phases on a terminal, plain lines elsewhere.

On a terminal, the log of a build is not shown at first; it is kept, and shown if the launch fails. Elsewhere, with
--verbose and in --log-file it is shown in full, as it comes.
"""

import os
import time
from collections import deque
from sys import getsizeof
from typing import TextIO

from clinder._signals import Signals
from clinder.cli.lines import Lines, LogFile
from clinder.cli.live import Step, View, end_line, find_step, live_lines
from clinder.launch.events import FAILED_PHASES, OWN_PHASES, Event
from clinder.output import Kept, Writer, push_share
from clinder.text import escape_ci_commands

_RESET = "\x1b[0m"
_ERASE_LINE = "\r\x1b[K"
_LINE_UP = "\x1b[A"
_MOMENT = 0.5  # seconds that the session's address waits for a slow reader of the log
_MOST_FOLDED = 1 << 24  # bytes of memory
_TIME_TO_UNFOLD = 10.0  # seconds to show the kept log on a slow or stopped terminal


class Progress:
    """Shows events and messages of clinder on a stream. The method `show` is for ``on_event``.

    From ``deadline`` on (a time of `time.monotonic`), and after a signal, it does not wait for a slow reader any more.
    With ``sections``, the phases are sections of GitLab's job log, unless the stream is a terminal. Phases and the
    whole log are also written to ``file``.
    """

    def __init__(
        self,
        stream: TextIO,
        signals: Signals,
        *,
        quiet: bool = False,
        verbose: bool = False,
        sections: bool = False,
        file: LogFile | None = None,
    ) -> None:
        self.deadline = float("inf")
        self._signals = signals
        self.is_quiet = quiet
        self._stream = stream
        self._live = not quiet and stream.isatty() and os.environ.get("TERM") != "dumb"
        self._colour = stream.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
        self._sections = sections and not stream.isatty()
        self._lines = Lines(colour=self._colour, figures=not self._live, sections=self._sections)
        self._fold = _Fold() if self._live and not verbose else None
        self._file = file
        self._began = time.monotonic()
        self._view = View()
        self._newest = ""
        self._step: Step | None = None
        self._drawn: list[str] = []  # the live lines that are on the terminal now
        self._writer = Writer(stream, compose=self._compose, hurry=self._is_urgent)
        self._write = self._writer.write

    @property
    def has_shown_log(self) -> bool:
        """Whether the end of the build's log was shown just before."""
        return not self.is_quiet and not self._sections

    def note(self, text: str) -> None:
        """Show a message of clinder."""
        if self._file:
            self._file.note(text)
        self._writer.write(Kept(f"{self._bold('clinder:')} {text}\n"))

    def tell(self, text: str) -> None:
        """Show a message only on a terminal, because it may contain a token."""
        if self._live:
            self._writer.write(Kept(f"{self._bold('clinder:')} {text}\n"))

    def show(self, event: Event) -> None:
        """Show an event: its message, and its phase if that is a new one."""
        if self._file:
            self._file.show(event)
        if event.phase in OWN_PHASES:
            self._leave(failed=True)
            if self._fold:
                self._fold.begin_again()
            if not self.is_quiet or event.phase == "stopping":
                self.note(event.message)
            elif self._file:
                self._file.note(event.message)
            return
        if self.is_quiet:
            return
        if self._live:
            self._follow(event)
        if text := self._lines.of(event):
            (self._fold.add if self._fold else self._write)(text)

    def unfold(self) -> None:
        """Show the kept log, because the launch failed."""
        self._leave(failed=True)
        if self._fold:
            self.deadline = time.monotonic() + _TIME_TO_UNFOLD
            for text in self._fold.take():
                self._write(text)

    def pause(self) -> None:
        """Remove the live lines, and wait half a second at most for the reader."""
        self._leave()
        if self._fold:
            self._fold.take()
        if self._file:
            self._file.flush()
        if self._live:
            self._writer.write(Kept())
        until = time.monotonic() + _MOMENT
        if self._writer.drain(lambda: until):
            self._writer.finish()

    def close(self) -> None:
        """Write the rest, if there is a reader; after a signal, only messages of clinder."""
        self._leave(failed=True)
        if self._file:
            self._file.close()
            if self._file.error:
                self.note(f"warning: the log file is not complete: {self._file.error}")
        now = time.monotonic()
        self._writer.finish(lambda: self._signals.time_for_words(now))

    def _follow(self, event: Event) -> None:
        """Update the live lines with an event."""
        phase, message, data = event
        if phase in FAILED_PHASES:
            self._leave(failed=True)
            return
        if phase != self._view.phase:
            self._leave()
            self._newest, self._step = "", None
            self._view = View(phase, self._began if phase == "ready" else time.monotonic())
            self._write("")  # this draws the live lines
        if phase == "pushing" and (share := push_share(data.get("progress"))):
            self._step = Step(int(share[:-1]), 100)
        if message and not message.isspace():
            self._newest = message
            if message[0] in "S#":
                self._step = find_step(message, self._step)

    def _leave(self, *, failed: bool = False) -> None:
        """End the current phase, if there is one."""
        view, self._view = self._view, View()
        if self._fold and view.phase:
            self._write(f"{end_line(view, time.monotonic(), failed=failed)}\n")
        if (text := self._lines.leave()) and not self._fold:
            self._write(text)

    def _bold(self, text: str) -> str:
        return f"\x1b[1m{text}{_RESET}" if self._colour else text

    def _is_urgent(self) -> bool:
        return self._signals.number is not None or time.monotonic() >= self.deadline

    # In the writer's thread

    def _compose(self, text: str) -> str:
        """Return the lines to write, and on a terminal the live lines below them."""
        if not self._live:
            return escape_ci_commands(text)
        lines = self._live_lines()
        if not text and lines == self._drawn:
            return ""
        erase = f"{_ERASE_LINE}{_LINE_UP}" * (len(self._drawn) - 1) + _ERASE_LINE if self._drawn else ""
        self._drawn = lines
        return erase + text + "\n".join([self._bold(line) for line in lines[:1]] + lines[1:])

    def _live_lines(self) -> list[str]:
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns or 80
        except OSError:
            columns = 80
        view = self._view
        newest = self._newest if self._fold else ""  # with --verbose, the log itself is shown
        return live_lines(view._replace(line=newest, step=self._step), time.monotonic(), columns)


class _Fold:
    """The kept log of the present attempt; only its end, if it is very long."""

    def __init__(self) -> None:
        self._texts: deque[str] = deque()
        self._size = 0
        self._left_out = 0
        self._is_old = False

    def add(self, text: str) -> None:
        if self._is_old:
            self.take()
        self._texts.append(text)
        self._size += getsizeof(text)
        while self._size > _MOST_FOLDED:
            self._size -= getsizeof(self._texts.popleft())
            self._left_out += 1

    def begin_again(self) -> None:
        """Forget the log when the next text comes, because that is of another attempt."""
        self._is_old = True

    def take(self) -> list[str]:
        """Return the log, and forget it."""
        texts = list(self._texts)
        if self._left_out:
            texts.insert(0, f"(The first {self._left_out:,} lines were too much to keep. --log-file writes all.)\n")
        self.__init__()  # type: ignore[misc]
        return texts
