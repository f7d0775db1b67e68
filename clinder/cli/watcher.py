"""Look at the session of ``clinder run`` while its command runs, in a separate thread. `Watch` judges the looks."""

import threading
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING

from clinder.errors import SessionUnreachable
from clinder.session import Finding, MemoryStatus, look_at, with_details
from clinder.watch import LastSeen, Watch, WatchPolicy

if TYPE_CHECKING:
    from clinder.session import Session

POLICY = WatchPolicy()
_LAST_LOOK = 3.0  # seconds; the session may not answer, and must be stopped after that


class Watcher:
    """Looks at a session as long as its ``with`` block runs."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._watch = Watch(POLICY, monotonic())
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look_again_and_again, daemon=True)

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()  # this is short, because _check ends a look

    @property
    def loss(self) -> str:
        """A clause that says how the session was lost; empty if it is not lost."""
        return self._watch.loss

    @property
    def is_unused(self) -> bool:
        """Whether the session ran at the last look, and was never used."""
        return self._watch.is_unused

    @property
    def peak(self) -> MemoryStatus | None:
        """The memory when most of it was in use; None if the server does not report it."""
        return self._watch.peak

    def last_seen(self) -> LastSeen | None:
        """Return the last status of the session and its age; None if no look has found the session."""
        return self._watch.last_seen(monotonic())

    def look_at_last(self) -> None:
        """Look once more, after the block."""
        self._is_over.clear()
        self._look(_LAST_LOOK)

    def _look_again_and_again(self) -> None:
        pause = 0.0
        while not self._is_over.wait(pause) and not self.loss:
            pause = self._look(POLICY.timeout)

    def _look(self, timeout: float) -> float:
        watch, until = self._watch, monotonic() + timeout
        look = look_at(self._session, timeout, watch.etag, self._check)
        if look.finding is Finding.ALIVE and (known := watch.known(look)) is not None:
            details = with_details(known, self._session, max(0.1, until - monotonic()), self._check)
            look = look._replace(status=details)
        return POLICY.interval if self._is_over.is_set() else watch.note(look, monotonic())

    def _check(self) -> None:
        if self._is_over.is_set():
            raise SessionUnreachable("Nobody waits for this look any more.")
