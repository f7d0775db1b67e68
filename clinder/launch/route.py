"""Where to ask next, and when: a pure state machine. It does no I/O and reads no clock; times are its arguments.

A launch has places: the hubs in their order, and the other members of the federation that a hub belongs to. After each
failure `Route.note` takes the verdict, and `Route.advance` goes on: again here after a pause, or to the next place at
once. Behind the last place a new round begins with the hubs that may still do it. Without any of them it raises the
final error, which has every hub's reason.
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

_ATTEMPTS = 3  # failures in a row at one place, after which another is asked
_A_WHILE = 60.0  # seconds; a stream that broke after so long had worked
_SHORTEST_PAUSE = 0.5
_LAST_TRY = 0.8  # of the time that is left, a pause takes at most this share
_MOST_MEMBERS = 16
_MOST_REASONS = 6


class Budget(NamedTuple):
    """How many launches a hub still allows this address, of how many, and for how many seconds (``x-ratelimit-*``)."""

    remaining: int
    limit: int
    seconds: float

    @classmethod
    def parse(cls, headers: Mapping[str, str], epoch: float) -> "Budget | None":
        """Return what the headers of an answer say at the time ``epoch``; None if nothing (binderhub/base.py)."""
        try:
            remaining, reset = int(headers["x-ratelimit-remaining"]), float(headers["x-ratelimit-reset"])
            limit = int(headers.get("x-ratelimit-limit", 10))
        except (KeyError, ValueError):
            return None
        return cls(max(0, remaining), max(1, limit), min(max(0.0, reset - epoch), 86_400.0))


class Try(NamedTuple):
    """One failed attempt: when it began and ended, which hub or member answered, and how many launches are left."""

    began: float
    ended: float
    responder: str
    again_at: str = ""  # the address of the stream that had been opened: the same member knows the build
    budget: Budget | None = None


@dataclass
class _Visit:
    """Where the route is now."""

    place: Place
    address: str
    attempts: int = 0  # in a row
    member: str = ""  # of the federation, that the place redirects to


@dataclass
class _Record:
    """What is remembered of one launch over all places."""

    by_row: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)  # by place and row: number, since
    in_all: dict[str, int] = field(default_factory=dict)  # by row
    due: dict[str, float] = field(default_factory=dict)  # the hubs that may do it in the next round, from when on
    reasons: dict[str, Verdict] = field(default_factory=dict)  # by the hub or member that answered: the last one
    pauses: int = 0  # in a row


class Route:
    """The way of one launch from place to place. ``here`` is where to ask, ``address`` the URL of its stream."""

    def __init__(self, hubs: Sequence[Place], timeout: float, now: float) -> None:
        self.pause = 0.0  # seconds before the next attempt
        self.news = ""  # what is wrong and what happens next
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
        """The URL to ask."""
        return self._visit.address

    @property
    def wants_members(self) -> bool:
        """Whether the other members of a federation are to be looked for before going on."""
        return self._leaving and bool(self._visit.member)

    def note(self, verdict: Verdict, tried: Try) -> None:
        """Take the verdict of an attempt. Raises the final error when no hub will do it."""
        visit, record = self._visit, self._record
        self.last = verdict
        record.reasons.pop(tried.responder, None)
        record.reasons[tried.responder] = verdict  # the newest is the last one
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
        """Put the other members of the federation next. What is no member's URL is left out."""
        place = self._visit.place
        # The front door itself may be one of them, and would lead to where we were.
        others = member_urls(urls, besides=(self._visit.member, place.hub))
        self._queue.extendleft(place._replace(url=url) for url in reversed(others))

    def advance(self, now: float) -> None:
        """Go on: set ``here``, ``pause`` and ``news``. Raises the final error when no hub or no time is left."""
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
        """Return the error that there is no time for another attempt, with every hub's last reason."""
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
                visit.attempts = 1  # it worked for a while: this is a new trouble
        record.in_all[name] = record.in_all.get(name, 0) + 1
        number, since = record.by_row.get((visit.place.url, name), (0, tried.ended))
        record.by_row[visit.place.url, name] = (number + 1, since)

    def _has_others(self) -> bool:
        return bool(self._queue) or bool(self._visit.member)

    def _least_pause(self, verdict: Verdict, budget: Budget | None, now: float) -> float:
        """Return how long this hub is to be left alone: as it said, or so that the attempts it allows last."""
        if verdict.wait is not None:
            return verdict.wait
        if budget is None or (not verdict.row.limit.patient and budget.remaining > budget.limit // 2):
            return 0.0
        if budget.remaining == 0:
            return budget.seconds
        return min(budget.seconds, self._deadline - now) / budget.remaining

    def _begin_round(self, now: float) -> float:
        """Line up the hubs that may still do it; return how long to leave them alone. Raises when there is none."""
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
        """Set the pause before the next attempt. Raises when it would end past the deadline."""
        record, limit, rest = self._record, verdict.row.limit, self._deadline - now
        record.pauses += 1
        pause = min(_backoff(limit, record.pauses), rest * _LAST_TRY, verdict.at_most or rest)
        self.pause = max(pause, least)
        if least >= rest and verdict.wait is not None:
            raise self.no_time(f"That is past the deadline ({self._timeout:g} s). {LATER}")
        if self.pause >= rest or rest * _LAST_TRY < _SHORTEST_PAUSE:
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
    """Return what of the answer of a front door are URLs of members, each once, and not too many of them."""
    members = dict[str, None]()
    for url in urls:
        try:
            members[check_url(url if isinstance(url, str) else "", "a member's URL")] = None
        except UsageError:
            continue
    return [url for url in members if url not in besides][:_MOST_MEMBERS]


def _backoff(limit: Limit, pauses: int) -> float:
    """Return an exponential pause with jitter, so that many that were refused together do not come back together."""
    pause = min(limit.first_pause * 2.0 ** min(pauses - 1, 10), limit.longest_pause)
    return pause * random.uniform(0.5, 1)  # noqa: S311
