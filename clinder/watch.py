"""What is known of a session while it is used: that it is lost, what has ended it, and whether it was used at all.

Nothing here talks to a session: looks go in (`clinder.session.look_at`) and a judgement comes out. Time is an argument.
"""

from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from clinder.duration import describe_duration
from clinder.session import Finding, Look, MemoryStatus, SessionStatus

_MOMENT = 1.0  # seconds of activity that a server may have had by itself when it began
_NEARLY_FULL = 0.75  # of the memory: what was read last may be 20 s old
_IDLE_ENOUGH = 300.0  # seconds without activity, after which a hub may cull; mybinder.org does after 600


class WatchPolicy(NamedTuple):
    """How often a session is looked at, and when it is lost. In seconds.

    ``interval`` lies between two looks, ``doubt`` when the last one did not find the session; one look takes no longer
    than ``timeout``. ``patience`` is how long a hub may answer in a session's place: a proxy that was restarted does
    that as well, until the hub has told it of the sessions that run. ``silence`` is how long there may be no answer.
    """

    interval: float = 20.0
    doubt: float = 3.0
    timeout: float = 10.0
    patience: float = 75.0
    silence: float = 600.0


class LastSeen(NamedTuple):
    """What was seen of a session at last: its ``status``, how many seconds ago, and how long it had been idle then."""

    status: SessionStatus
    seconds_ago: float = 0.0
    idle: float = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether a cell was running."""
        return any(kernel.state == "busy" for kernel in self.status.running)


class Watch:
    """Judges the looks at one session: whether it is lost, and when to look again.

    ``loss`` says how it was lost, in a clause; it is empty as long as the session is not lost. It is, when two looks in
    a row find its port closed, when a hub answers in its place for too long, when it does not answer for much longer,
    or when its server was started anew: then the kernels are gone, though the address is the same.
    """

    def __init__(self, policy: WatchPolicy, now: float) -> None:
        self.loss = ""
        self.etag = ""  # of the last look
        self.peak: MemoryStatus | None = None  # of all looks
        self._policy = policy
        self._status: SessionStatus | None = None
        self._seen_at = self._active_at = now
        self._finding = Finding.ALIVE
        self._found_at = now  # when the first look in a row found that

    def last_seen(self, now: float) -> LastSeen | None:
        """Return what was seen at last, None if nothing ever was."""
        if self._status is None:
            return None
        return LastSeen(self._status, now - self._seen_at, self._seen_at - self._active_at)

    @property
    def is_unused(self) -> bool:
        """Whether the session is there, and nobody has ever used it."""
        return self._finding is Finding.ALIVE and self._status is not None and not was_used(self._status)

    def known(self, look: Look) -> SessionStatus | None:
        """Return what is known of a session that a look found, if its kernels and memory are to be asked for.

        Else None: in an idle session they stay as they are.
        """
        before = self._status
        if look.status is None:
            return before if before is not None and LastSeen(before).is_busy else None
        return look.status if before is None else look.status._replace(running=before.running, memory=before.memory)

    def note(self, look: Look, now: float) -> float:
        """Note a look, and return after how many seconds to look again."""
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
        """Note that it lives; a look without a status found that nothing had changed."""
        before, status = self._status, look.status or self._status
        self._seen_at, self.etag, self._status = now, look.etag, status
        self._note_memory(status)
        if status is None or before is None:
            self._active_at = now
        elif before.started != status.started:
            self._status = before  # that one was lost
            self.loss = "the session's server was started anew"
        elif before.last_activity != status.last_activity or LastSeen(status).is_busy:
            self._active_at = now

    def _note_memory(self, status: SessionStatus | None) -> None:
        memory = status.memory if status else None
        if memory is not None and (self.peak is None or memory.used > self.peak.used):
            self.peak = memory


def was_used(status: SessionStatus) -> bool:
    """Tell whether anybody has ever used a session: whether it has kernels, or was active after its start.

    For a server that does not say when it started or was active the answer is yes.
    """
    if status.kernels:
        return True
    with suppress(ValueError, TypeError):  # no time; one with a zone and one without
        return (_parse(status.last_activity) - _parse(status.started)).total_seconds() > _MOMENT
    return True


def unused(here: str) -> str:
    """Say that nobody used a session, and why that may be; ``here`` is where the command ran: "this machine"."""
    return (
        "The session was not used: no kernel was started on it.\n"
        "MyST takes the outputs of unchanged code from its cache (myst clean --execute). Tools that start kernels of "
        f"their own, like nbconvert, papermill and Jupyter Book 1, have run them on {here}. clinder run --kernels lets "
        "them run on the session."
    )


def _parse(time: str) -> datetime:
    return datetime.fromisoformat(time.replace("Z", "+00:00"))


def likely_end(seen: LastSeen | None = None) -> str:
    """Say what has most likely ended a session that is gone, from what was seen of it, if anything: whole sentences."""
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
    """Tell whether so little memory was left that the next cell may have taken it."""
    return memory.limit is not None and memory.used >= _NEARLY_FULL * memory.limit


def memory_use(memory: MemoryStatus) -> str:
    """Return how much memory is used of how much, in words."""
    used = _gigabytes(memory.used)
    return f"{used} of {_gigabytes(memory.limit)} GB" if memory.limit else f"{used} GB"


def _gigabytes(count: int) -> str:
    return f"{count / (1 << 30):.1f}"
