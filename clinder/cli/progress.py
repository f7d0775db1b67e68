"""How a launch is shown to a person: a live line on a terminal, plain lines elsewhere. It decides nothing."""

import os
import time
from collections.abc import Mapping
from typing import Any, TextIO

from clinder._signals import Signals
from clinder.launch.events import FAILED_PHASES, OWN_PHASES, Event
from clinder.output import Kept, Writer, push_share
from clinder.text import escape_ci_commands, fit_width, strip_ansi

_UNLOGGED_PHASES = FAILED_PHASES | OWN_PHASES

_RESET = "\x1b[0m"
_ERASE_LINE = "\r\x1b[K"
_MOMENT = 0.5  # seconds that a session's address waits for the reader of the log


class Progress:
    """Shows events, and what clinder itself has to say, on a stream; `show` is made to be an ``on_event``.

    ``deadline`` (of `time.monotonic`) is when nobody waits for a slow reader any more; a signal has the same effect.
    """

    def __init__(self, stream: TextIO, signals: Signals, *, quiet: bool = False) -> None:
        self.deadline = float("inf")
        self._signals = signals
        self.is_quiet = quiet
        self._stream = stream
        self._live = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._colour = self._live and not os.environ.get("NO_COLOR")
        self._began = time.monotonic()
        self._phase = ""
        self._log_phase = ""  # the same while its events are nothing but lines of the log
        self._share = ""  # how much of the image is pushed
        self._line = ""  # the live line, as it stands on the terminal
        self._writer = Writer(stream, compose=self._compose, hurry=self._is_urgent)
        self._write = self._writer.write

    def note(self, text: str) -> None:
        """Show a line of clinder's own."""
        self._writer.write(Kept(f"{self._bold('clinder:')} {text}\n"))

    def show(self, event: Event) -> None:
        """Show an event: its message, and its phase when that is a new one."""
        message = event.message
        if event.phase != self._log_phase:
            message = self._enter_or_tell(event)
        if "\x1b" in message:
            message = f"{message.rstrip()}{_RESET}" if self._colour else strip_ansi(message)
        if message:
            self._write(message if message[-1] == "\n" else message + "\n")

    def pause(self) -> None:
        """Take the live line away, and give the reader of what was shown a moment to take it."""
        self._enter("")
        if self._live:
            self._writer.write(Kept())
        until = time.monotonic() + _MOMENT
        if self._writer.drain(lambda: until):
            self._writer.finish()

    def close(self) -> None:
        """Write what is left, as long as there is a reader; after a signal clinder's own words alone."""
        self._enter("")
        now = time.monotonic()
        self._writer.finish(lambda: self._signals.time_for_words(now))

    def _enter_or_tell(self, event: Event) -> str:
        """Show a phase that begins, or note clinder's own words; return what else of the event is shown."""
        phase, message, data = event
        if self.is_quiet:
            if phase == "stopping":
                self.note(message)
            return ""
        if phase in _UNLOGGED_PHASES:
            self._enter("")
            if phase in OWN_PHASES:
                self.note(message)
            return ""  # of a failure the error, or the line about the next try, has the hub's words
        if phase != self._phase:
            self._enter(phase)
        return self._pushing(message, data) if phase == "pushing" else message

    def _enter(self, phase: str) -> None:
        self._share, self._phase = "", phase
        self._log_phase = "" if phase == "pushing" else phase
        if phase:
            self._write(f"{self._bold(f'==> {phase}')} ({_elapsed(time.monotonic() - self._began)})\n")

    def _pushing(self, message: str, data: Mapping[str, Any]) -> str:
        """Return what is shown of an event of the push: its newest figure, once."""
        share = push_share(data.get("progress"))
        if not share:
            return message
        news = "" if self._live or share == self._share else f"{message.rstrip()} {share}"  # the live line has it
        self._share = share
        return news

    def _bold(self, text: str) -> str:
        return f"\x1b[1m{text}{_RESET}" if self._colour else text

    def _is_urgent(self) -> bool:
        return self._signals.number is not None or time.monotonic() >= self.deadline

    # In the writer's thread

    def _compose(self, text: str) -> str:
        """Return whole lines as they are written, and on a terminal the live line below them."""
        if not self._live:
            return escape_ci_commands(text)
        line = self._live_line()
        if not text and line == self._line:
            return ""
        erase = _ERASE_LINE if self._line else ""
        self._line = line
        return erase + text + line

    def _live_line(self) -> str:
        phase = self._phase
        if not phase:
            return ""
        text = " ".join(filter(None, [phase, self._share, _elapsed(time.monotonic() - self._began)]))
        try:
            width = os.get_terminal_size(self._stream.fileno()).columns or 80
        except OSError:
            width = 80
        return self._bold(fit_width(text, width - 1))


def _elapsed(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes}:{seconds:02}"
