"""The signals that end clinder, for the two programs that it is: the command line and the Action. Nothing of a hub."""

import os
import signal
from contextlib import suppress
from types import FrameType


class Signalled(BaseException):
    """A signal that ends clinder. No Exception, like KeyboardInterrupt, so that nobody takes it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Signals:
    """SIGINT, SIGTERM and SIGHUP as an exception, once; or held, between a session's start and its delivery."""

    def __init__(self) -> None:
        self._taken: int | None = None
        self._held = False
        self._spared: int | None = None
        self.news = "cancelled"
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a background job
                signal.signal(number, self._take)

    def _take(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self._taken is not None or number == self._spared:
            return
        self._taken = number
        with suppress(OSError):  # not print(): this may run in the middle of one
            os.write(2, f"\nclinder: {self.news}\n".encode())
        if not self._held:
            raise Signalled(number)

    def hold(self) -> None:
        """Raise nothing until check() or release()."""
        self._held = True

    def promise(self) -> None:
        """Tell who cancels from now on why it takes a while."""
        self.news = "cancelled; making sure that no server is left, which may take some seconds"

    def check(self) -> None:
        """Raise if there was a signal meanwhile."""
        if self._taken is not None:
            raise Signalled(self._taken)

    def spare_interrupt(self) -> None:
        """Leave SIGINT alone from now on: it is somebody else's."""
        self._spared = signal.SIGINT

    def release(self) -> None:
        """Raise from now on."""
        self._held = False
        self.check()
