"""The way of a launch from place to place, as a pure state machine: time is an argument, nothing is asked."""

import pytest

from clinder.errors import BuildFailed, HubError, HubRefused, HubUnavailable
from clinder.launch.route import Budget, Route, Try
from clinder.launch.verdict import ROWS, Place, Verdict

ONE, TWO = "https://one.example.org/", "https://two.example.org/"
MEMBERS = [f"https://member-{number}.example.org/" for number in range(3)]
BY_NAME = {row.name: row for row in ROWS}


def place(url: str) -> Place:
    return Place(url, url, "build/gh/org/repo/HEAD", "gh/org/repo/HEAD")


class Drive:
    """Drives a route with a clock of its own: each failure takes a second, each pause is waited."""

    def __init__(self, *urls: str, timeout: float = 1800) -> None:
        self.now = 0.0
        self.route = Route([place(url) for url in urls], timeout, 0.0)
        self.asked: list[tuple[float, str]] = []

    def fail(
        self, row: str, *, took: float = 1, responder: str = "", members: tuple[str, ...] = (), **more: float | None
    ) -> None:
        route, began = self.route, self.now
        self.asked.append((began, route.here.url))
        self.now += took
        budget = Budget(int(more["remaining"] or 0), 10, float(more["reset"] or 0)) if "remaining" in more else None
        found = Verdict(BY_NAME[row], f"{row} at {route.here.url}.", "hint", more.get("wait"), more.get("at_most"))
        route.note(found, Try(began, self.now, responder or route.here.url, budget=budget))
        if route.wants_members:
            route.add_members(members)
        route.advance(self.now)
        self.now += route.pause

    def until_the_end(self, row: str, **more: float | None) -> HubError:
        with pytest.raises(HubError) as caught:  # noqa: PT012
            for _ in range(1000):
                self.fail(row, **more)  # type: ignore[arg-type]
        return caught.value

    @property
    def urls(self) -> list[str]:
        return [url for _, url in self.asked]


@pytest.mark.parametrize("row", [row.name for row in ROWS if row.fault in ("repository", "user")])
def test_a_fault_of_the_repository_or_the_user_is_the_end(row: str) -> None:
    drive = Drive(ONE, TWO)
    assert type(drive.until_the_end(row)) is BY_NAME[row].error
    assert drive.urls == [ONE]


@pytest.mark.parametrize("row", [row.name for row in ROWS if row.fault == "hub"])
def test_a_hub_that_will_not_do_it_is_never_asked_again(row: str) -> None:
    drive = Drive(ONE, TWO)
    drive.fail(row)
    assert (drive.route.here.url, drive.route.pause) == (TWO, 0)
    error = drive.until_the_end(row)
    assert drive.urls == [ONE, TWO]
    assert f"{row} at {ONE}" in error.message
    assert f"{row} at {TWO}" in error.message


@pytest.mark.parametrize("row", [row.name for row in ROWS if row.fault == "elsewhere"])
def test_another_hub_is_asked_at_once_and_without_one_this_hub_again(row: str) -> None:
    drive = Drive(ONE, TWO)
    drive.fail(row)
    assert (drive.route.here.url, drive.route.pause) == (TWO, 0)
    alone = Drive(ONE)
    assert type(alone.until_the_end(row)) is HubUnavailable
    assert len(alone.asked) > 3


@pytest.mark.parametrize("row", ["broken", "launch-failed", "hub-error", "unknown-failure", "try-again"])
def test_after_three_failures_in_a_row_the_next_place_is_asked(row: str) -> None:
    drive = Drive(ONE, TWO)
    for _ in range(6):
        drive.fail(row)
    assert drive.urls == [ONE, ONE, ONE, TWO, TWO, TWO]
    assert drive.route.here.url == ONE


@pytest.mark.parametrize("row", ["build-failed-by-chance", "build-lost"])
def test_a_build_that_failed_by_chance_is_tried_once_more_and_on_the_next_hub_once(row: str) -> None:
    drive = Drive(ONE, TWO)
    assert isinstance(drive.until_the_end(row), BuildFailed)
    assert drive.urls == [ONE, ONE, TWO]
    alone = Drive(ONE)
    assert isinstance(alone.until_the_end(row), BuildFailed)
    assert alone.urls == [ONE, ONE]


def test_after_launches_that_took_too_long_there_are_three_more_at_most() -> None:
    drive = Drive(ONE, TWO)
    drive.until_the_end("launch-took-too-long")
    assert len(drive.asked) == 4


def test_a_404_at_the_front_door_is_tolerated_for_half_a_minute() -> None:
    drive = Drive(ONE)
    error = drive.until_the_end("http-404")
    assert isinstance(error, HubRefused)
    assert 30 <= drive.now < 60
    assert len(drive.asked) >= 4


def test_a_rate_limit_is_asked_again_every_few_minutes_until_the_deadline() -> None:
    drive = Drive(ONE)
    error = drive.until_the_end("rate-limit", at_most=3600)
    assert isinstance(error, HubUnavailable)
    assert drive.asked[-1][0] > 1500
    assert max(after - before for (before, _), (after, _) in zip(drive.asked, drive.asked[1:], strict=False)) <= 181
    assert 3 < drive.asked[1][0] < 10


@pytest.mark.parametrize("row", ["broken", "http-5xx", "full"])
@pytest.mark.parametrize(("timeout", "least"), [(1800, 2), (60, 0.6)])
def test_the_last_attempt_has_some_time_before_the_deadline(row: str, timeout: float, least: float) -> None:
    for _ in range(100):  # the pauses are random
        drive = Drive(ONE, timeout=timeout)
        error = drive.until_the_end(row, took=0.1)
        assert "no time for another attempt before the deadline" in error.hint
        assert len(drive.asked) > 2
        assert timeout / 2 < drive.asked[-1][0] <= timeout - least


def test_a_window_that_is_shorter_than_the_pause_is_waited_for_only() -> None:
    drive = Drive(ONE)
    drive.fail("rate-limit", at_most=2)
    assert drive.route.pause == 2


def test_a_number_that_is_true_is_obeyed() -> None:
    drive = Drive(ONE)
    drive.fail("github-quota", wait=300)
    assert drive.route.pause == 300
    error = Drive(ONE).until_the_end("github-quota", wait=3600)
    assert "past the deadline (1800 s)" in error.hint


def test_a_hub_is_left_alone_for_as_long_as_it_said_while_others_are_asked() -> None:
    drive = Drive(ONE, TWO)
    drive.fail("http-5xx", wait=100)
    while drive.route.here.url == TWO:
        drive.fail("http-5xx")
    assert drive.now >= 101


def test_a_full_hub_does_not_use_up_the_attempts_that_it_allows() -> None:
    drive = Drive(ONE)
    with pytest.raises(HubUnavailable):  # noqa: PT012
        for remaining in range(9, -1, -1):
            drive.fail("full", remaining=remaining, reset=3600 - drive.now)
    assert len(drive.asked) <= 9
    pauses = [after - before for (before, _), (after, _) in zip(drive.asked, drive.asked[1:], strict=False)]
    assert max(pauses) < 2 * min(pauses), "they are spread"


def test_the_first_of_a_hubs_attempts_are_quick_where_a_failure_passes_soon() -> None:
    drive = Drive(ONE)
    drive.fail("hub-error", remaining=9, reset=3600)
    assert drive.route.pause <= 1
    drive.fail("hub-error", remaining=3, reset=3600)
    assert drive.route.pause > 300


def test_a_budget_that_is_used_up_is_waited_for_or_is_the_end() -> None:
    drive = Drive(ONE)
    drive.fail("full", remaining=0, reset=200)
    assert drive.route.pause == 200
    assert isinstance(Drive(ONE).until_the_end("full", remaining=0, reset=3600), HubUnavailable)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"x-ratelimit-remaining": "x", "x-ratelimit-reset": "1"}, None),
        ({"x-ratelimit-remaining": "9", "x-ratelimit-reset": "160", "x-ratelimit-limit": "10"}, Budget(9, 10, 60.0)),
        ({"x-ratelimit-remaining": "-1", "x-ratelimit-reset": "10"}, Budget(0, 10, 0.0)),
        ({"x-ratelimit-remaining": "1", "x-ratelimit-reset": "1e99"}, Budget(1, 10, 86400.0)),
        ({"x-ratelimit-remaining": "9" * 5000, "x-ratelimit-reset": "10"}, None),
        ({"x-ratelimit-remaining": "9" * 500, "x-ratelimit-reset": "160"}, Budget(1_000_000, 10, 60.0)),
    ],
)
def test_a_budget_is_read_from_an_answer(headers: dict[str, str], expected: Budget | None) -> None:
    assert Budget.parse(headers, 100.0) == expected


# Members of a federation


def test_the_other_members_are_asked_before_the_next_hub() -> None:
    drive = Drive(ONE, TWO)
    drive.fail("full", responder=MEMBERS[0], members=tuple(MEMBERS))
    drive.fail("full")
    drive.fail("banned-network")
    assert drive.urls == [ONE, *MEMBERS[1:]]
    assert drive.route.here.url == TWO


def test_a_member_that_refuses_for_good_is_no_reason_to_leave_the_hub() -> None:
    drive = Drive(ONE)
    drive.fail("banned-network", responder=MEMBERS[0], members=(MEMBERS[1],))
    drive.fail("full")
    assert drive.route.here.url == ONE


def test_members_that_all_refuse_are_the_end() -> None:
    drive = Drive(ONE)
    drive.fail("banned-network", responder=MEMBERS[0], members=(MEMBERS[1],))
    with pytest.raises(HubRefused, match="banned-network"):
        drive.fail("banned-network")


def test_what_is_no_members_url_is_passed_over_and_there_are_sixteen_at_most() -> None:
    drive = Drive(ONE)
    junk = (None, 5, "", "ftp://x/", "http://[x", "a" * 100_000, ONE)
    many = tuple(f"https://m{number}.example.org/" for number in range(1000))
    drive.fail("full", responder=MEMBERS[0], members=(*junk, *many))  # type: ignore[arg-type]
    for _ in range(16):
        drive.fail("full")
    assert drive.urls == [ONE, *many[:16]]
    assert drive.route.here.url == ONE


def test_a_stream_that_breaks_after_a_while_begins_the_count_anew() -> None:
    drive = Drive(ONE, TWO)
    for _ in range(6):
        drive.fail("broken", took=100)
    assert drive.urls == [ONE] * 6


def test_a_retry_line_says_what_is_wrong_when_the_next_try_is_and_until_when_tries_go_on() -> None:
    drive = Drive(ONE)
    drive.fail("github-quota", wait=300)
    assert drive.route.news == f"github-quota at {ONE}. Trying again in 300 s, and so on for 30 min."


def test_the_last_error_names_every_hubs_reason_but_not_thousands() -> None:
    drive = Drive(*(f"https://hub-{number}.example.org/" for number in range(20)))
    error = drive.until_the_end("banned-network")
    assert "https://hub-19.example.org/" in error.message
    assert error.message.startswith("14 others failed as well.")
