"""Judge looks at a session in use: whether it is lost, what most likely ended it, and whether it was used at all.

This module does not talk to a session: the looks (`clinder.session.look_at`) and the time are arguments.
"""

from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from clinder.duration import describe_duration
from clinder.session import Finding, Look, MemoryStatus, SessionStatus

_MOMENT = 1.0  # seconds; later activity than this after the start was a user's
_NEARLY_FULL = 0.75  # a share of the memory. It is not near 1, because the last value may be 20 s old
_IDLE_ENOUGH = 300.0  # seconds without activity, after which a hub may cull; mybinder.org culls after 600


class WatchPolicy(NamedTuple):
    """How often to look at a session, and when it counts as lost. All values are seconds.

    - ``interval``: the time between two looks
    - ``doubt``: the same, after a look that did not find the session
    - ``timeout``: the longest time of one look
    - ``patience``: how long a hub may answer in a session's place. A restarted proxy does that for a short time, until
      JupyterHub has told it which sessions run.
    - ``silence``: how long a session may not answer at all
    """

    interval: float = 20.0
    doubt: float = 3.0
    timeout: float = 10.0
    patience: float = 75.0
    silence: float = 600.0


class LastSeen(NamedTuple):
    """The last ``status`` of a session, how many seconds ago it was read, and how many it had been idle then."""

    status: SessionStatus
    seconds_ago: float = 0.0
    idle: float = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether a cell was running."""
        return any(kernel.state == "busy" for kernel in self.status.running)


class Watch:
    """Judges the looks at one session: whether it is lost, and when to look again.

    ``loss`` is a clause that says how the session was lost, or empty. A session is lost in any of these cases:

    - Two looks in a row find its port closed.
    - A hub answers in its place for longer than the policy's ``patience``.
    - It does not answer for longer than the policy's ``silence``.
    - Its server was started again: the address is the same, but the kernels are gone.
    """

    def __init__(self, policy: WatchPolicy, now: float) -> None:
        self.loss = ""
        self.etag = ""  # of the last look
        self.peak: MemoryStatus | None = None  # the largest use of memory in all looks
        self._policy = policy
        self._status: SessionStatus | None = None
        self._seen_at = self._active_at = now
        self._finding = Finding.ALIVE
        self._found_at = now  # when a look first had the present finding

    def last_seen(self, now: float) -> LastSeen | None:
        """Return the last status and its age; None if no look has found the session."""
        if self._status is None:
            return None
        return LastSeen(self._status, now - self._seen_at, self._seen_at - self._active_at)

    @property
    def is_unused(self) -> bool:
        """Whether the session runs and was never used."""
        return self._finding is Finding.ALIVE and self._status is not None and not was_used(self._status)

    def known(self, look: Look) -> SessionStatus | None:
        """Return the status so far, if the kernels and the memory should be asked for; else None.

        In an idle session they do not change, so they are not asked for again.
        """
        before = self._status
        if look.status is None:
            return before if before is not None and LastSeen(before).is_busy else None
        return look.status if before is None else look.status._replace(running=before.running, memory=before.memory)

    def note(self, look: Look, now: float) -> float:
        """Note a look, and return the seconds until the next one."""
        is_again = look.finding is self._finding
        if not is_again:
            self._finding, self._found_at = look.finding, now
        if look.finding is Finding.ALIVE:
            self._note_alive(look, now)
            return self._policy.interval
        is_sure = is_again if look.finding is Finding.ENDED else now - self._found_at >= self._policy.patience
        if is_sure and look.finding is not Finding.NOTHING:
            self.loss = "the session ended"
        elif now - self._seen_at >= self._policy.silence:
            self.loss = f"the session had not answered for {describe_duration(now - self._seen_at)}"
        return self._policy.doubt

    def _note_alive(self, look: Look, now: float) -> None:
        """Note a look that found the session. If the look has no status, nothing has changed."""
        before, status = self._status, look.status or self._status
        self._seen_at, self.etag, self._status = now, look.etag, status
        self._note_memory(status)
        if status is None or before is None:
            self._active_at = now
        elif before.started != status.started:
            self._status = before  # the status of the lost server
            self.loss = "the session's server was started again"
        elif before.last_activity != status.last_activity or LastSeen(status).is_busy:
            self._active_at = now

    def _note_memory(self, status: SessionStatus | None) -> None:
        memory = status.memory if status else None
        if memory is not None and (self.peak is None or memory.used > self.peak.used):
            self.peak = memory


def was_used(status: SessionStatus) -> bool:
    """Tell whether a session was ever used: it has kernels, or it was active after its start.

    Return True also for a server that does not report when it started or was active.
    """
    if status.kernels:
        return True
    with suppress(ValueError, TypeError):  # no time; or a time with a zone and one without
        return (_parse(status.last_activity) - _parse(status.started)).total_seconds() > _MOMENT
    return True


def unused(here: str) -> str:
    """Return the warning about an unused session. ``here`` is where the command ran, for example "this machine"."""
    return (
        "The session was not used: no kernel was started on it.\n"
        "MyST takes the outputs of unchanged code from its cache (myst clean --execute). Tools that start kernels of "
        f"their own, like nbconvert, papermill and Jupyter Book 1, have run them on {here}. clinder run --kernels lets "
        "them run on the session."
    )


def _parse(time: str) -> datetime:
    return datetime.fromisoformat(time.replace("Z", "+00:00"))


def likely_end(seen: LastSeen | None = None) -> str:
    """Return sentences about what most likely ended a lost session. ``seen`` is its last status, if there is one."""
    if seen is None:
        return "It ran out of memory, was idle for so long that the hub culled it, or was stopped by the hub."
    ago, memory = describe_duration(seen.seconds_ago), seen.status.memory
    use = f"{memory_use(memory)} were in use {ago} before" if memory else ""
    if memory and is_nearly_full(memory):
        return f"Most likely it ran out of memory: {use}."
    if seen.idle >= _IDLE_ENOUGH and not seen.is_busy:
        return f"Most likely the hub culled it: it had been idle for {describe_duration(seen.idle + seen.seconds_ago)}."
    doing = f"{'a' if seen.is_busy else 'no'} cell was running {ago} before" if was_used(seen.status) else ""
    about = ", ".join(filter(None, [doing, use]))
    return f"It ran out of memory, was stopped by the hub, or its machine went away{': ' if about else ''}{about}."


def is_nearly_full(memory: MemoryStatus) -> bool:
    """Tell whether the next cell may have used up the memory."""
    return memory.limit is not None and memory.used >= _NEARLY_FULL * memory.limit


def memory_use(memory: MemoryStatus) -> str:
    """Return the used memory and its limit, in words: "1.9 of 2.0 GB"."""
    used = _gigabytes(memory.used)
    return f"{used} of {_gigabytes(memory.limit)} GB" if memory.limit else f"{used} GB"


def _gigabytes(count: int) -> str:
    return f"{count / (1 << 30):.1f}"
