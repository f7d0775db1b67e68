"""Where to ask next, and when: a pure state machine. It does no I/O and reads no clock; times are its arguments.

The places of a launch are the hubs in their order, and the other members of the federation that a hub belongs to. After
each failure, `Route.note` takes the verdict. Then `Route.advance` chooses: the same place again after a pause, or the
next place at once. After the last place, a new round begins with the hubs that may still launch. If there are none, it
raises the final error, which contains every hub's reason.
"""

import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import NamedTuple

from clinder.duration import describe_duration
from clinder.errors import BuildFailed, HubError, HubUnavailable, UsageError
from clinder.launch.verdict import LATER, Limit, Place, Verdict
from clinder.spec import check_url

_ATTEMPTS = 3  # failures in a row at one place, after which the next place is asked
_A_WHILE = 60.0  # seconds; a stream that lasted longer than this did work before it broke
_SHORTEST_PAUSE = 0.5  # seconds
_LAST_TRY = 0.8  # the largest share that a pause takes of the time until the deadline
# Seconds, or that share of the timeout, that the last attempt has at least. With less the deadline would end it, and
# its error would not say what the hubs said.
_LAST_ATTEMPT, _SHARE_OF_LAST_ATTEMPT = 2.0, 0.01
_MOST_MEMBERS = 16
_MOST_LAUNCHES = 1_000_000  # that a budget counts
_MOST_REASONS = 6


class Budget(NamedTuple):
    """A hub's rate limit (``x-ratelimit-*``): launches that remain, their limit, and the seconds until a new start."""

    remaining: int
    limit: int
    seconds: float

    @classmethod
    def parse(cls, headers: Mapping[str, str], epoch: float) -> "Budget | None":
        """Return the budget in the headers of an answer, or None if they have none (binderhub/base.py).

        ``epoch`` is the time now, in seconds since 1970.
        """
        try:
            remaining, reset = int(headers["x-ratelimit-remaining"]), float(headers["x-ratelimit-reset"])
            limit = int(headers.get("x-ratelimit-limit", 10))
        except (KeyError, ValueError):
            return None
        return cls(max(0, min(remaining, _MOST_LAUNCHES)), max(1, limit), min(max(0.0, reset - epoch), 86_400.0))


class Try(NamedTuple):
    """One failed attempt: when it began and ended, which hub or member answered, and the hub's budget."""

    began: float
    ended: float
    responder: str
    again_at: str = ""  # the address of the stream that was open: the member there knows the build
    budget: Budget | None = None


@dataclass
class _Visit:
    """The place that the route is at now."""

    place: Place
    address: str
    attempts: int = 0  # in a row
    member: str = ""  # the federation member that the place redirects to


@dataclass
class _Record:
    """The failures of one launch, over all places."""

    # The number of failures of a row of the table at a place, and the time of the first: by place and row.
    by_row: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    in_all: dict[str, int] = field(default_factory=dict)  # the number of failures, by row
    due: dict[str, float] = field(default_factory=dict)  # the hubs of the next round, and when each may be asked again
    reasons: dict[str, Verdict] = field(default_factory=dict)  # the last verdict, by the hub or member that answered
    pauses: int = 0  # in a row


class Route:
    """The way of one launch from place to place. ``here`` is the place to ask, ``address`` the URL of its stream."""

    def __init__(self, hubs: Sequence[Place], timeout: float, now: float) -> None:
        self.pause = 0.0  # seconds before the next attempt
        self.news = ""  # what is wrong and what happens next, in sentences
        self.last: Verdict | None = None
        self._hubs = list(dict.fromkeys(hubs))
        self._timeout = timeout
        self._deadline = now + timeout
        self._queue = deque(self._hubs)
        self._record = _Record()
        self._leaving = False
        self._visit = self._enter()

    @property
    def here(self) -> Place:
        """The place that is asked next."""
        return self._visit.place

    @property
    def address(self) -> str:
        """The URL of the stream to ask for."""
        return self._visit.address

    @property
    def wants_members(self) -> bool:
        """Whether to call `add_members` before `advance`."""
        return self._leaving and bool(self._visit.member)

    def note(self, verdict: Verdict, tried: Try) -> None:
        """Note the verdict on an attempt. Raises the final error when no hub would launch."""
        visit, record = self._visit, self._record
        self.last = verdict
        record.reasons.pop(tried.responder, None)
        record.reasons[tried.responder] = verdict  # at the end: the order is that of the answers
        self._count(verdict, tried)
        if tried.responder != visit.place.url and visit.place.url == visit.place.hub:
            visit.member = tried.responder
        visit.address = tried.again_at or visit.place.url + visit.place.path
        limit = verdict.row.limit
        in_all = record.in_all[verdict.row.name]
        if verdict.fault in ("repository", "user") or in_all >= limit.in_all:
            raise verdict.error()
        number, since = record.by_row[visit.place.url, verdict.row.name]
        is_done = verdict.fault == "hub" or number >= limit.here or tried.ended - since >= limit.patience
        self.pause = self._least_pause(verdict, tried.budget, tried.ended)
        goes_on = visit.attempts >= _ATTEMPTS or (verdict.wait is not None and self._has_others())
        self._leaving = is_done or verdict.fault == "elsewhere" or goes_on
        if self._leaving and not is_done:
            hub = visit.place.hub
            due = tried.ended + self.pause if visit.place.url == hub else 0.0
            record.due[hub] = max(due, record.due.get(hub, 0.0))

    def add_members(self, urls: Sequence[object]) -> None:
        """Line up the other members of the federation as the next places. Values that are no URL are left out."""
        place = self._visit.place
        # A front door may name itself as a member. It would lead to the member that has just failed.
        others = member_urls(urls, besides=(self._visit.member, place.hub))
        self._queue.extendleft(place._replace(url=url) for url in reversed(others))

    def advance(self, now: float) -> None:
        """Set ``here``, ``pause`` and ``news`` for the next attempt.

        Raises the final error when no hub or no time is left.
        """
        verdict = self.last
        assert verdict is not None
        least, self.pause = self.pause, 0.0
        if self._leaving and self._queue:
            self._visit = self._enter()
            self.news = f"{verdict.what} Trying {self.here.url} now."
            return
        if self._leaving:
            least = self._begin_round(now)
        self._set_pause(verdict, least, now)
        self.news = f"{verdict.what} Trying again in {ceil(self.pause)} s, {self._until(now)}."

    def no_time(self, hint: str = "") -> HubUnavailable:
        """Return the error for a lack of time for another attempt, with every hub's last reason."""
        default = f"There is no time for another attempt before the deadline ({self._timeout:g} s). {LATER}"
        error = HubUnavailable(self._all_reasons(), hint or default)
        if self.last is not None:
            error.anchor = self.last.row.name
        return error

    def _enter(self) -> _Visit:
        place = self._queue.popleft()
        return _Visit(place, place.url + place.path)

    def _count(self, verdict: Verdict, tried: Try) -> None:
        visit, record, name = self._visit, self._record, verdict.row.name
        visit.attempts += 1
        if tried.ended - tried.began > _A_WHILE:
            record.pauses = 0
            if name == "broken":
                visit.attempts = 1  # the stream worked for a while, so this is a new problem
        record.in_all[name] = record.in_all.get(name, 0) + 1
        number, since = record.by_row.get((visit.place.url, name), (0, tried.ended))
        record.by_row[visit.place.url, name] = (number + 1, since)

    def _has_others(self) -> bool:
        return bool(self._queue) or bool(self._visit.member)

    def _least_pause(self, verdict: Verdict, budget: Budget | None, now: float) -> float:
        """Return for how many seconds not to ask this hub.

        That is the time that the hub said, or a time with which the launches that it allows last until the deadline.
        """
        if verdict.wait is not None:
            return verdict.wait
        if budget is None or (not verdict.row.limit.patient and budget.remaining > budget.limit // 2):
            return 0.0
        if budget.remaining == 0:
            return budget.seconds
        return min(budget.seconds, self._deadline - now) / budget.remaining

    def _begin_round(self, now: float) -> float:
        """Line up the hubs that may still launch; return the seconds until then. Raises the error if there are none."""
        due = self._record.due
        self._hubs = [hub for hub in self._hubs if hub.url in due]
        if not self._hubs:
            raise self._nobody_left()
        start = max(now, min(due[hub.url] for hub in self._hubs))
        self._queue.extend(hub for hub in self._hubs if due[hub.url] <= start)
        for hub in self._queue:
            del due[hub.url]
        self._visit = self._enter()
        return start - now

    def _set_pause(self, verdict: Verdict, least: float, now: float) -> None:
        """Set the pause before the next attempt. Raises `HubUnavailable` when it would end after the deadline."""
        record, limit, rest = self._record, verdict.row.limit, self._deadline - now
        record.pauses += 1
        pause = min(_backoff(limit, record.pauses), rest * _LAST_TRY, verdict.at_most or rest)
        self.pause = max(pause, least)
        if least >= rest and verdict.wait is not None:
            raise self.no_time(f"That is past the deadline ({self._timeout:g} s). {LATER}")
        is_too_late = rest - self.pause < min(_LAST_ATTEMPT, self._timeout * _SHARE_OF_LAST_ATTEMPT)
        if is_too_late or rest * _LAST_TRY < _SHORTEST_PAUSE:
            raise self.no_time()

    def _until(self, now: float) -> str:
        return f"and so on for {describe_duration(self._deadline - now)}"

    def _nobody_left(self) -> HubError:
        """Return the final error when every hub refused."""
        verdicts = list(self._record.reasons.values())
        if len(verdicts) == 1 or verdicts[-1].row.error is BuildFailed:
            return verdicts[-1].error()
        chosen = next((verdict for verdict in verdicts if verdict.row.error is HubUnavailable), verdicts[-1])
        return chosen.error(self._all_reasons())

    def _all_reasons(self) -> str:
        reasons = [verdict.what for verdict in self._record.reasons.values()]
        more = len(reasons) - _MOST_REASONS
        return " ".join([*([f"{more} others failed as well."] if more > 0 else []), *reasons[-_MOST_REASONS:]])


def member_urls(urls: Sequence[object], besides: Sequence[str] = ()) -> list[str]:
    """Return the URLs of federation members in a front door's answer: valid, each once, 16 at most."""
    members = dict[str, None]()
    for url in urls:
        try:
            members[check_url(url if isinstance(url, str) else "", "a member's URL")] = None
        except UsageError:
            continue
    return [url for url in members if url not in besides][:_MOST_MEMBERS]


def _backoff(limit: Limit, pauses: int) -> float:
    """Return an exponential pause with jitter: clients that were refused together must not come back together."""
    pause = min(limit.first_pause * 2.0 ** min(pauses - 1, 10), limit.longest_pause)
    return pause * random.uniform(0.5, 1)  # noqa: S311
