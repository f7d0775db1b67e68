"""The signals that end clinder, for the two programs that it is: the command line and the Action. Knows no hub.

A signal is noted, and the code that waits looks at it; or, where nothing is lost by that, it ends the process at once.
In both cases the process ends within nine seconds of the first signal. No handler raises: in the middle of an import or
of a destructor Python would show the exception and go on.
"""

import _thread
import os
import signal
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from types import FrameType

# A GitHub runner kills ten seconds after its first signal. All work ends so many seconds after the signal. Then last
# words have a moment, and whatever still runs after that, a thread ends.
TIME_TO_END = 8.2
TIME_TO_DELIVER = 6.0  # of that: what is not handed over by then is stopped
_LAST_RESORT = 8.8
_MOMENT = 0.3

# All signals that end a process by default, but those that tell of a crash (SIGSEGV and its kind).
_NAMES = (  # not each is known everywhere
    *("SIGHUP", "SIGINT", "SIGQUIT", "SIGABRT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGTERM", "SIGSTKFLT"),
    *("SIGXCPU", "SIGVTALRM", "SIGPROF", "SIGIO", "SIGPWR"),
)


def ending_signals() -> set[int]:
    """Return the signals that end a process by default and that a program can handle."""
    numbers = {int(getattr(signal, name)) for name in _NAMES if hasattr(signal, name)}
    if hasattr(signal, "SIGRTMIN"):
        numbers |= set(range(signal.SIGRTMIN, signal.SIGRTMAX + 1))
    return numbers


class Signalled(BaseException):
    """A signal that ends clinder. No Exception, like KeyboardInterrupt, so that nobody takes it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Signals:
    """The first of the signals that end a process, if one came, and what it does. At first it is only noted."""

    def __init__(self) -> None:
        self.number: int | None = None  # of the first signal
        self.requested = threading.Event()  # set by the first signal
        self.news = "cancelled"  # what a person is told then
        self._came_at = 0.0
        self._at_once = False
        self._spared: Collection[int] = ()
        self._outcome: int | None = None

    def handle(self) -> None:
        """Handle the signals from now on. Those that are ignored, as nohup has it, stay ignored."""
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
            write_at_once(2, "\nclinder: ended without having finished: a server may be left\n")
        os._exit(128 + number if self._outcome is None else self._outcome)

    def promise(self) -> None:
        """From now on tell a person who cancels why it takes a while."""
        self.news = "cancelled; making sure that no server is left, which may take some seconds"

    def end_at_once(self) -> None:
        """From now on a signal ends the process at once, first of all one that was noted."""
        self._at_once = True
        if self.number is not None:
            os._exit(128 + self.number)

    def defer(self) -> None:
        """From now on a signal is only noted."""
        self._at_once = False

    def check(self) -> None:
        """Raise `Signalled` if there was a signal."""
        if self.number is not None:
            raise Signalled(self.number)

    def spare(self, *numbers: int) -> None:
        """Leave these signals to somebody else from now on; without numbers, none."""
        self._spared = numbers

    def time_to_end(self, after: float = TIME_TO_END, since: float = 0.0) -> float:
        """Return the time (`time.monotonic`) at which work has to end: infinite as long as there was no signal.

        It is ``after`` seconds behind the signal, or behind ``since`` if that is later; never behind `TIME_TO_END`.
        """
        if self.number is None:
            return float("inf")
        return min(max(self._came_at, since) + after, self._came_at + TIME_TO_END)

    def time_for_words(self, since: float) -> float:
        """Return the time until which the last words wait for their reader: a second, or the moment that is left."""
        return max(self.time_to_end(1, since), since + _MOMENT)

    def settle(self, code: int) -> None:
        """From now on the process ends with this exit code, whatever signal comes."""
        self._outcome = code
        for number in ending_signals():
            signal.signal(number, signal.SIG_IGN)  # Python would reset a handler of its own when it shuts down


def write_at_once(descriptor: int, text: str) -> None:
    """Write a line to a file that perhaps nobody reads. Returns soon whatever happens, and takes no lock.

    So a signal's handler can call it, in the middle of anything.
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
