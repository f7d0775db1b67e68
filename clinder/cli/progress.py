"""How a launch is shown to a person: a live line on a terminal, plain lines elsewhere. Takes events, decides nothing.

A thread writes ten times a second what has come since: a log of 200,000 lines costs a few hundred writes, nobody sees
the difference, and the elapsed time on the live line goes on while the hub is silent.
"""

import os
import threading
import time
from collections import deque
from types import TracebackType
from typing import TextIO

from clinder.launch.events import OWN_PHASES, Event
from clinder.text import escape_ci_commands, strip_ansi

_BEAT = 0.1
_MOST_PENDING = 200  # lines; a slow reader slows the launch down instead of filling the memory

_RESET = "\x1b[0m"


class Progress:
    """Shows events on a stream. A context manager; `show` is made to be an ``on_event``."""

    def __init__(self, stream: TextIO | None) -> None:
        """Show on that stream (standard error, most likely), or nowhere: None."""
        self._stream = stream
        self._live = stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
        self._colour = self._live and not os.environ.get("NO_COLOR")
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._began = time.monotonic()
        self._pending: deque[str] = deque()
        self._phase = ""
        self._detail = ""  # how much of the image is pushed
        self._line = ""  # the live line, as it stands on the terminal

    def __enter__(self) -> "Progress":
        if self._stream is not None:
            threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def note(self, text: str) -> None:
        """Show a line of clinder's own."""
        self._add(f"{self._bold('clinder:')} {text}\n")

    def show(self, event: Event) -> None:
        """Show an event: its message, and its phase when that is a new one."""
        phase, message, data = event
        if phase != self._phase:
            self._detail, self._phase = "", phase
            if phase not in OWN_PHASES:
                self._add(f"{self._bold(f'==> {phase}')} ({_elapsed(time.monotonic() - self._began)})\n")
        if phase in OWN_PHASES:
            self.note(message)
            return
        if phase == "pushing" and (share := pushed(data.get("progress"))):
            # On the live line it is always the newest; elsewhere each figure is a line, once.
            message = "" if self._live or share == self._detail else f"{message.rstrip()} {share}"
            self._detail = share
        if "\x1b" in message:
            message = f"{message.rstrip()}{_RESET}" if self._colour else strip_ansi(message)
        if message:
            self._add(message if message.endswith("\n") else message + "\n")

    def close(self) -> None:
        """Write what is left and take the live line away. What comes after is not shown."""
        self._done.set()
        with self._lock:
            self._phase = ""
            self._paint()
            self._stream = None

    def _bold(self, text: str) -> str:
        return f"\x1b[1m{text}{_RESET}" if self._colour else text

    def _add(self, text: str) -> None:
        if self._stream is None:
            return
        self._pending.append(text)
        if len(self._pending) > _MOST_PENDING:
            with self._lock:
                self._paint()

    def _beat(self) -> None:
        while not self._done.wait(_BEAT):
            with self._lock:
                self._paint()

    def _paint(self) -> None:
        """Write what is pending, and on a terminal the live line below it. The lock is held."""
        if self._stream is None:
            return
        text = "".join([self._pending.popleft() for _ in range(len(self._pending))])  # whole lines
        text = text if self._live else escape_ci_commands(text)
        line = self._status() if self._live and self._phase else ""
        if not text and line == self._line:
            return
        if self._line:
            text = "\r\x1b[K" + text
        self._line = line
        try:
            self._stream.write(text + line)
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None  # nobody is watching any more, which is no reason to end the launch

    def _status(self) -> str:
        text = " ".join(filter(None, [self._phase, self._detail, _elapsed(time.monotonic() - self._began)]))
        assert self._stream is not None
        try:
            width = os.get_terminal_size(self._stream.fileno()).columns or 80
        except OSError:
            width = 80
        return self._bold(text[: width - 1])


def _elapsed(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes}:{seconds:02}"


def pushed(progress: object) -> str:
    """Return how much of an image is pushed, in tens of percent: ``{layer: {"current": bytes, "total": bytes}}``."""
    if not isinstance(progress, dict):
        return ""
    layers = [layer for layer in progress.values() if isinstance(layer, dict)]
    current = sum(_number(layer.get("current")) for layer in layers)
    total = sum(_number(layer.get("total")) for layer in layers)
    return f"{int(10 * min(current / total, 1)) * 10}%" if total > 0 else ""


def _number(value: object) -> float:
    return value if isinstance(value, int | float) and 0 <= value < 1e18 else 0
