"""When a launch ends without a session: one deadline, one reason, one period of grace. Knows no hub and no network.

The reason to end is the deadline, a signal, another thread's `threading.Event`, or an exception of a callback. All of
them go through `Cancellation.cancel`, and the first one counts. A cancelled launch does not end at once, because the
hub may be starting a server whose address comes later. So it listens on: it still reads the stream for some time. While
the hub launches, that time is the whole grace. Before, it is half a second, again after each sign of a launch.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple

from clinder._http import TICK, sleep_unless


class Grace(NamedTuple):
    """How many seconds a cancelled launch may go on. A GitHub runner kills ten seconds after its first signal."""

    launching: float = 6.2  # to listen for the address of a server that the hub launches
    before: float = 0.5  # to listen for a sign that the hub launches
    draining: float = 3.0  # to read what has arrived by then, for example the rest of a long log
    reading: float = 6.9  # to listen and drain, together
    stopping: float = 1.7  # to stop the server whose address has come
    unhurried: float = 8.0  # to stop a server that does not answer, when the launch is not cancelled


GRACE = Grace()
_QUIET = 0.05  # seconds without a byte, after which everything that has arrived is read; a live log pauses for longer


class DeadlinePassed(Exception):
    """The reason to end when the deadline has passed. The launch turns it into an error of clinder."""


class CancelRequested(Exception):
    """The reason to end when the caller's ``cancel`` event was set."""


class Cancellation:
    """The reason to end a launch, if there is one, and how long to listen on. Times are those of `time.monotonic`."""

    def __init__(self, timeout: float, requested: threading.Event | None = None, grace: Grace = GRACE) -> None:
        self.deadline = time.monotonic() + timeout
        self.reason: BaseException | None = None
        self.grace = grace
        self._requested = requested
        self._cancelled_at = 0.0
        self._listen_until = float("inf")
        self.waiting_since = float("inf")  # when the wait for bytes began; infinite while bytes are processed
        self._launching = False
        self.is_cut_short = False  # whether the stream was closed although more of it had arrived
        self._lock = threading.RLock()  # reentrant: a signal's handler may run while its own thread holds it

    def cancel(self, reason: BaseException) -> None:
        """End the launch for this reason, unless there is one already."""
        with self._lock:
            if self.reason is None:
                self.reason = reason
                self._cancelled_at = time.monotonic()
                self._listen_on()

    def sign_of_launch(self, *, launching: bool) -> None:
        """Note that the hub may launch soon (headers, a new phase), or that it launches: ``launching``.

        A cancelled launch then listens for longer.
        """
        with self._lock:
            self._launching = self._launching or launching
            if self.reason is not None:
                self._listen_on()

    def new_attempt(self) -> None:
        """Note that the next hub is asked, which does not launch yet. Raises the reason to end, if there is one."""
        with self._lock:
            self._launching = False
        self.check()

    def _listen_on(self) -> None:
        now = time.monotonic()
        seconds = self.grace.launching if self._launching else self.grace.before
        self._listen_until = min(now + seconds, self._cancelled_at + self.grace.launching)

    def look(self) -> None:
        """Cancel the launch if the deadline has passed or the caller has set ``requested``. Raises nothing."""
        if self.reason is None:
            if time.monotonic() >= self.deadline:
                self.cancel(DeadlinePassed())
            elif self._requested is not None and self._requested.is_set():
                self.cancel(CancelRequested())

    def check(self) -> None:
        """Raise the reason to end, if there is one."""
        self.look()
        if self.reason is not None:
            raise self.reason

    def is_over(self) -> bool:
        """Tell whether the launch is cancelled and has listened for long enough."""
        self.look()
        return self.reason is not None and time.monotonic() >= self._listen_until

    def is_drained(self) -> bool:
        """Tell whether the time to listen and the time to read the rest have passed."""
        until = min(self._listen_until + self.grace.draining, self._cancelled_at + self.grace.reading)
        return self.is_over() and time.monotonic() >= until

    def is_read(self) -> bool:
        """Tell whether the launch has listened for long enough and nothing more has arrived, or its time is up."""
        return self.is_over() and (time.monotonic() >= self.waiting_since + _QUIET or self.is_drained())

    def time_to_stop(self) -> float:
        """Return how many seconds there are to stop a server, with the seconds that were not needed to listen."""
        grace = self.grace
        if self.reason is None:
            return grace.unhurried
        return max(grace.stopping, self._cancelled_at + grace.launching + grace.stopping - time.monotonic())

    def check_listening(self) -> None:
        """Raise the reason to end, if there is one and the launch has listened for long enough."""
        if self.is_over() and self.reason is not None:
            raise self.reason

    def sleep(self, seconds: float) -> None:
        """Wait between two attempts. Raises the reason to end as soon as there is one."""
        sleep_unless(seconds, self.check)

    @contextmanager
    def watching(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Call ``interrupt``, from a thread, if the block still reads when the time to read is up."""
        done = threading.Event()

        def watch() -> None:
            while not done.wait(TICK):
                if self.is_read():
                    self.is_cut_short = time.monotonic() < self.waiting_since + _QUIET
                    interrupt()
                    return

        self.waiting_since = time.monotonic()
        threading.Thread(target=watch, daemon=True).start()
        try:
            yield
        finally:
            done.set()

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Turn an exception of a signal's handler into the reason to end, so that no signal leaves a server behind.

        The exception is raised again after the stream has ended. Handlers that are not written in Python and ignored
        signals are not changed. Outside the main thread this does nothing, because Python delivers no signals there.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers = {int(number): handler for number in signal.valid_signals() if (handler := _python_handler(number))}

        def take(number: int, frame: FrameType | None) -> None:
            try:
                handlers[number](number, frame)
            except BaseException as raised:  # noqa: BLE001  (raised again when no server can be left behind by it)
                self.cancel(raised)

        for number in handlers:
            signal.signal(number, take)
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _python_handler(number: int) -> "Callable[[int, FrameType | None], object] | None":
    handler = signal.getsignal(number)
    return handler if callable(handler) and not isinstance(handler, signal.Handlers) else None
