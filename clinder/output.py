"""Write to a reader that may be slow or gone: a terminal, a pipe, a CI's log.

A separate thread writes, so that a slow reader can't stop the main thread without a bound. The main thread waits while
too much text is pending, but not when there is a reason to hurry.
"""

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

# The most characters that may be pending. With more, the launch waits for the reader, so that the memory is not filled.
_ROOM = 1 << 18
_MOST_TEXTS = 512  # that are written together
_PIECE = 1 << 15  # bytes of one write: a reader that takes one now and then still reads
_BEAT = 0.1  # seconds between writes, so that a log of 200,000 lines needs only some hundred of them
_TICK = 0.05  # seconds
_PATIENCE = 5.0  # seconds in which the reader takes no byte, after which it counts as gone


class Kept(str):
    """Text that is always written, also when other text is left out because there is no time."""

    __slots__ = ()


def _never() -> bool:
    return False


def _unlimited() -> float:
    return float("inf")


class Writer:
    """Writes texts to a stream, in their order, from a separate thread.

    ``compose`` gets the text to write next, and returns the text to write instead. It is called in that thread ten
    times a second, even if there is no new text. ``hurry`` tells whether there is no time to wait for the reader; then
    a text for which there is no room is left out. ``error`` is the error that ended the writing, or None.
    """

    def __init__(
        self, stream: TextIO, *, compose: Callable[[str], str] = str, hurry: Callable[[], bool] = _never
    ) -> None:
        self.error: OSError | None = None
        self._descriptor = stream.fileno()
        self._encoding = stream.encoding or "utf-8"
        self._compose = compose
        self._hurry = hurry
        self._pending: deque[str] = deque()
        self._came = 0  # characters and texts that were given to write()
        self._gone = 0  # characters and texts that the thread has written
        self._taken_at = 0.0  # when the reader last took something
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._wrote = threading.Event()
        self._closing = False
        self._rushing = False

    def write(self, text: str) -> None:
        """Write a text that ends in a newline, later. Waits for room unless there is a reason to hurry."""
        if self._came - self._gone > _ROOM and not self.has_room() and not isinstance(text, Kept):
            return
        self._pending.append(text)
        self._came += len(text) + 1
        if self._thread is None:
            self._start()

    def has_room(self) -> bool:
        """Wait until there is room for more text. Return False if there is none and a reason to hurry."""
        if self._came - self._gone > _ROOM:
            while self._came - self._gone > _ROOM // 2 and self.error is None:
                if self._hurry():
                    return False
                self._wait()
        return self.error is None

    def drain(self, until: Callable[[], float]) -> bool:
        """Wait until all text so far is written; return False if it is not at the time ``until()``.

        ``until`` returns a time of `time.monotonic`, which may change meanwhile.
        """
        goal = self._came
        while self._gone < goal and self.error is None:
            if time.monotonic() >= until():
                return False
            self._wait()
        return self.error is None

    def finish(self, until: Callable[[], float] = _unlimited, patience: float = _PATIENCE) -> bool:
        """Write all pending text and end the thread; return whether all of it was written.

        Waits until the reader has taken nothing for ``patience`` seconds, and at most until the time ``until()``.
        ``until`` returns a time of `time.monotonic`, which may change meanwhile. If that time is limited, only `Kept`
        texts are still written.
        """
        if self.error is not None or (self._thread is None and not self._pending):
            return self.error is None
        self._closing = True
        if self._thread is None:
            self._start()
        self._taken_at = max(self._taken_at, time.monotonic())
        while self._thread is not None and self._thread.is_alive():
            now, limit = time.monotonic(), until()
            self._rushing = limit < float("inf")
            if now >= min(limit, self._taken_at + patience):
                return False
            self._wake.set()
            self._thread.join(_TICK)
        self._thread, self._closing = None, False
        return self.error is None and not self._pending

    def _wait(self) -> None:
        """Wait for a short time, or until something was written."""
        self._wrote.clear()
        self._wake.set()
        self._wrote.wait(_TICK)

    # The thread

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while True:
                self._wake.wait(_BEAT)
                self._wake.clear()
                closing = self._closing
                while self._write_some():
                    pass
                if closing and not self._pending:
                    return
        except OSError as error:  # the reader is gone, which is no reason to end a launch
            self.error = error
            self._pending.clear()
        finally:
            self._wrote.set()

    def _write_some(self) -> bool:
        """Write the next texts; return whether there are more."""
        pending = self._pending
        texts = [pending.popleft() for _ in range(min(len(pending), _MOST_TEXTS))]
        text = "".join(texts)
        came = len(text) + len(texts)
        if self._rushing:
            text = "".join(text for text in texts if isinstance(text, Kept))
        if composed := self._compose(text):
            self._send(composed.encode(self._encoding, "backslashreplace"))
        self._gone += came
        self._wrote.set()
        return bool(pending)

    def _send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest[:_PIECE]) :]
            except BlockingIOError:  # another process has made the shared stream non-blocking
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll(1000)
                continue
            self._taken_at = time.monotonic()


def push_share(progress: object) -> str:
    """Return how much of an image is pushed, as a multiple of ten percent ("30%"); an empty text if not known.

    ``progress`` is the field of that name in an event: ``{layer: {"current": bytes, "total": bytes}}``.
    """
    if not isinstance(progress, dict):
        return ""
    layers = [layer for layer in progress.values() if isinstance(layer, dict)]
    current = sum(_number(layer.get("current")) for layer in layers)
    total = sum(_number(layer.get("total")) for layer in layers)
    return f"{int(10 * min(current / total, 1)) * 10}%" if total > 0 else ""


def _number(value: object) -> float:
    return value if isinstance(value, int | float) and 0 <= value < 1e18 else 0
