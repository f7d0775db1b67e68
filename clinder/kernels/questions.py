"""What a tool has asked its kernel, who gets the answers, and what a break of the connection has lost. Pure.

A kernel answers a request twice: with a reply, and with the status "idle" on iopub, after all outputs. Each of the two
comes in the order of the requests. So when a later request has its reply, no earlier one will get its own.
"""

from collections.abc import Sequence
from typing import NamedTuple

REPLY, IDLE = "reply", "idle"

_MOST = 10_000  # requests that a kernel may leave unanswered; the oldest are forgotten then


class _Question(NamedTuple):
    number: int
    identities: Sequence[bytes] | None
    is_cell: bool
    missing: set[str]


class Questions:
    """The requests that have not got all their answers yet."""

    def __init__(self) -> None:
        self._open: dict[str, _Question] = {}
        self._count = 0

    @property
    def are_open(self) -> bool:
        """Whether somebody waits for an answer."""
        return bool(self._open)

    @property
    def has_cell(self) -> bool:
        """Whether a cell runs, or waits to run."""
        return any(each.is_cell for each in self._open.values())

    def ask(self, msg_id: str, kind: str, identities: Sequence[bytes] | None) -> None:
        """Note a request: its id, its msg_type, and whom its answers are for; None for clinder itself."""
        self._count += 1
        missing = {REPLY, IDLE} if kind.endswith("_request") else {IDLE}
        self._open[msg_id] = _Question(self._count, identities, kind == "execute_request", missing)
        if len(self._open) > _MOST:
            del self._open[next(iter(self._open))]

    def asker(self, msg_id: str) -> Sequence[bytes] | None:
        """Return the identities of whom the answers are for; None when nobody waits for one."""
        question = self._open.get(msg_id)
        return question.identities if question else None

    def answer(self, msg_id: str, what: str) -> None:
        """Note that one of the two answers came."""
        if question := self._open.get(msg_id):
            question.missing.discard(what)
            if not question.missing:
                del self._open[msg_id]

    def is_lost(self, probe: str, what: str) -> bool:
        """Tell whether a cell asked before ``probe`` misses this answer, which ``probe`` has just got."""
        if probe not in self._open:
            return False
        number = self._open[probe].number
        return any(each.is_cell and each.number < number and what in each.missing for each in self._open.values())
