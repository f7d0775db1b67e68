"""The signals that end clinder: for the command line and for the Action. This module knows no hub.

The handler of a signal notes it, and the code that waits checks for it. Where nothing would be lost, the handler ends
the process at once. In both cases the process ends within nine seconds of the first signal. No handler raises: in an
import or a destructor, Python would print the exception and go on.
"""

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from types import FrameType

# All times are seconds after the first signal. A GitHub runner kills a process after ten.
TIME_TO_END = 8.2  # all work ends
TIME_TO_DELIVER = 6.0  # a session that is not handed over by then is stopped
_LAST_RESORT = 8.8  # a thread ends the process, if it still runs
_MOMENT = 0.3  # the least time for the last words

# All signals that end a process by default, except those of a crash (SIGSEGV and others like it).
_NAMES = (  # some systems do not have all of them
    *("SIGHUP", "SIGINT", "SIGQUIT", "SIGABRT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGTERM", "SIGSTKFLT"),
    *("SIGXCPU", "SIGVTALRM", "SIGPROF", "SIGIO", "SIGPWR"),
)


def ending_signals() -> set[int]:
    """Return the numbers of the signals that end a process by default and that a program can handle."""
    numbers = {int(getattr(signal, name)) for name in _NAMES if hasattr(signal, name)}
    if sys.platform != "darwin":  # which has no real-time signals
        numbers |= set(range(signal.SIGRTMIN, signal.SIGRTMAX + 1))
    return numbers


class Signalled(BaseException):
    """A signal that ends clinder. Like KeyboardInterrupt it is no Exception, so that it is not caught as a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Signals:
    """The first signal that came, if one came, and what a signal does. At first, a signal is only noted."""

    def __init__(self) -> None:
        self.number: int | None = None  # the number of the first signal
        self.requested = threading.Event()  # set by the first signal
        self.news = "cancelled"  # the message at the first signal
        self._came_at = 0.0
        self._at_once = False
        self._spared: Collection[int] = ()
        self._outcome: int | None = None

    def handle(self) -> None:
        """Handle the signals from now on. A signal that is ignored, for example by nohup, stays ignored."""
        for number in ending_signals():
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._take)

    def _take(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.number is not None or number in self._spared:
            return
        self._came_at = time.monotonic()
        self.number = number
        self.requested.set()
        with suppress(RuntimeError):
            _thread.start_new_thread(self._end_at_last, (number,))
        write_at_once(2, f"\nclinder: {self.news}\n")
        if self._at_once:
            os._exit(128 + number)

    def _end_at_last(self, number: int) -> None:
        time.sleep(_LAST_RESORT)
        if self._outcome is None:
            write_at_once(2, "\nclinder: ended before everything was done: a server may be left\n")
        os._exit(128 + number if self._outcome is None else self._outcome)

    def promise(self) -> None:
        """From now on, the message at a signal says why the end takes some seconds."""
        self.news = "cancelled; making sure that no server is left, which may take some seconds"

    def end_at_once(self) -> None:
        """From now on, a signal ends the process at once. If one was noted already, end the process now."""
        self._at_once = True
        if self.number is not None:
            os._exit(128 + self.number)

    def defer(self) -> None:
        """From now on, a signal is only noted."""
        self._at_once = False

    def check(self) -> None:
        """Raise `Signalled` if there was a signal."""
        if self.number is not None:
            raise Signalled(self.number)

    def spare(self, *numbers: int) -> None:
        """From now on, do not react to these signals, because a command gets them too. Without numbers: to all."""
        self._spared = numbers

    def time_to_end(self, after: float = TIME_TO_END, since: float = 0.0) -> float:
        """Return the time of `time.monotonic` at which work must end: infinite as long as no signal came.

        It is ``after`` seconds after the signal, or after ``since`` if that is later; but at most `TIME_TO_END` seconds
        after the signal.
        """
        if self.number is None:
            return float("inf")
        return min(max(self._came_at, since) + after, self._came_at + TIME_TO_END)

    def time_for_words(self, since: float) -> float:
        """Return the time until which the last words wait for their reader: a second after ``since``, or less."""
        return max(self.time_to_end(1, since), since + _MOMENT)

    def settle(self, code: int) -> None:
        """From now on, the process ends with this exit code, also if a signal comes."""
        self._outcome = code
        for number in ending_signals():
            signal.signal(number, signal.SIG_IGN)  # Python removes its own handlers when it shuts down, but not this


def write_at_once(descriptor: int, text: str) -> None:
    """Write a line to a file descriptor. Returns within 50 ms, even if nobody reads.

    It takes no lock of Python's I/O, so that a signal's handler can call it at any time.
    """
    written = _thread.allocate_lock()
    written.acquire()

    def write() -> None:
        with suppress(OSError):
            os.write(descriptor, text.encode())
        written.release()

    with suppress(RuntimeError):  # no more threads
        _thread.start_new_thread(write, ())
        written.acquire(timeout=0.05)
