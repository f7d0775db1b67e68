"""The requests of a tool to its kernel, the clients that get the answers, and which answers are lost. No I/O.

A kernel answers a request twice: with a reply, and after all outputs with the status "idle" on iopub. Replies come in
the order of the requests, and so do statuses. Therefore, when a later request has its reply, a missing earlier reply is
lost.
"""

from collections.abc import Sequence
from typing import NamedTuple

REPLY, IDLE = "reply", "idle"

_MOST = 10_000  # the most requests that are remembered; with more, the oldest is forgotten


class _Question(NamedTuple):
    number: int
    identities: Sequence[bytes] | None
    is_cell: bool
    missing: set[str]


class Questions:
    """The requests that do not have both answers yet."""

    def __init__(self) -> None:
        self._open: dict[str, _Question] = {}
        self._count = 0

    @property
    def are_open(self) -> bool:
        """Whether any request waits for an answer."""
        return bool(self._open)

    @property
    def has_cell(self) -> bool:
        """Whether a cell runs, or waits to run."""
        return any(each.is_cell for each in self._open.values())

    def ask(self, msg_id: str, kind: str, identities: Sequence[bytes] | None) -> None:
        """Note a request: its id, its msg_type, and the identities of its client (None for clinder itself)."""
        self._count += 1
        missing = {REPLY, IDLE} if kind.endswith("_request") else {IDLE}
        self._open[msg_id] = _Question(self._count, identities, kind == "execute_request", missing)
        if len(self._open) > _MOST:
            del self._open[next(iter(self._open))]

    def asker(self, msg_id: str) -> Sequence[bytes] | None:
        """Return the identities of the client that gets the answers; None if no client waits for them."""
        question = self._open.get(msg_id)
        return question.identities if question else None

    def answer(self, msg_id: str, what: str) -> None:
        """Note that one of the two answers has come."""
        if question := self._open.get(msg_id):
            question.missing.discard(what)
            if not question.missing:
                del self._open[msg_id]

    def is_lost(self, probe: str, what: str) -> bool:
        """Tell whether the answer ``what`` of an earlier cell is missing, now that ``probe`` has got it."""
        if probe not in self._open:
            return False
        number = self._open[probe].number
        return any(each.is_cell and each.number < number and what in each.missing for each in self._open.values())
