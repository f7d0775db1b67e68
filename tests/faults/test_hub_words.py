"""What went wrong on real hubs once, on a real socket: the cases of tests/cases/hub-words.json, and their kinds."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clinder import (
    BinderHub,
    BuildFailed,
    DeadlineExceeded,
    Event,
    HubError,
    HubRefused,
    HubUnavailable,
    LaunchCancelled,
    RepoSpec,
    Session,
)
from tests.support.hub import Answer, Exchange, FaultyHub, ready_at_once

CASES = {case["name"]: case for case in json.loads((Path(__file__).parents[1] / "cases/hub-words.json").read_text())}
SPEC = RepoSpec("someone/recipes")


def saying(events: list[Any]) -> Answer:
    """Answer with these events, and stay open as a hub does; a text ends them with silence."""

    def answer(exchange: Exchange) -> None:
        exchange.stream()
        for event in events:
            if isinstance(event, str):
                while not exchange.wait_for_close(0.2):
                    exchange.chunk(b":keepalive\n\n")
                return
            exchange.chunk(f"data: {json.dumps(event)}\n\n".encode())
        exchange.wait_for_close()

    return answer


def answers(name: str) -> list[Answer]:
    """Return what the hub of a case answers, one after another."""
    case = CASES[name]
    if "events" in case:
        return [saying(case["events"])]
    return [saying(case["turns"][0]), ready_at_once]


def launched(hub: FaultyHub, *others: FaultyHub, timeout: float = 30) -> tuple[Session | HubError, list[Event]]:
    events: list[Event] = []
    fallbacks = [BinderHub(other.url) for other in others]
    try:
        session = BinderHub(hub.url).launch(SPEC, timeout=timeout, on_event=events.append, fallback_hubs=fallbacks)
    except HubError as error:
        return error, events
    return session, events


HUB_FAULTS = ["a hub's own policy", "a provider that this hub has not", "a hub with a login"]


@pytest.mark.parametrize("name", [*HUB_FAULTS, "the hub's credentials at GitHub have expired"])
def test_a_hub_that_will_not_or_can_not_is_left_for_its_fallback_and_asked_once(name: str) -> None:
    with FaultyHub(*answers(name)) as first, FaultyHub() as second:
        session, _ = launched(first, second)
        assert isinstance(session, Session)
        assert session.hub == second.url
        assert len(first.builds) == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [*zip(HUB_FAULTS, ["does not launch this repository", "provider", "needs a login"], strict=True)],
)
def test_alone_it_says_that_it_is_the_hubs_own_rule(name: str, said: str) -> None:
    with FaultyHub(*answers(name)) as hub:
        error, _ = launched(hub)
        assert type(error) is HubRefused
        assert said in str(error)
        assert "public" not in str(error)


def test_the_hubs_trouble_with_github_is_asked_again_and_nobody_else_is_blamed() -> None:
    with FaultyHub(*answers("the hub's credentials at GitHub have expired")) as hub:
        error, _ = launched(hub, timeout=5)
        assert type(error) is HubUnavailable
        assert len(hub.builds) >= 2
        assert "HTTP 401: Unauthorized" in str(error)
        assert "public" not in str(error)


SURVIVED = ["GitHub does not answer, then does", "a build that failed by chance", "the pod of a build died"]


@pytest.mark.parametrize("name", SURVIVED)
def test_what_passes_is_tried_again(name: str) -> None:
    with FaultyHub(*answers(name)) as hub:
        session, _ = launched(hub)
        assert isinstance(session, Session)
        assert len(hub.builds) == 2


def eight_seconds_later(first: Answer) -> Callable[[Exchange], None]:
    began: list[float] = []

    def answer(exchange: Exchange) -> None:
        began.append(time.monotonic())
        (ready_at_once if began[-1] - began[0] > 8 else first)(exchange)

    return answer


def test_the_window_of_a_rate_limit_is_not_what_is_left_of_it() -> None:
    first = answers("the window of the rate limit, not what is left of it")[0]
    with FaultyHub(eight_seconds_later(first)) as hub:
        session, events = launched(hub, timeout=300)
        assert isinstance(session, Session)
        assert len(hub.builds) <= 3
        assert "and so on for" in next(event for event in events if event.phase == "retrying").message


def test_a_full_hub_is_asked_so_seldom_that_its_budget_lasts_until_the_deadline() -> None:
    def full(exchange: Exchange) -> None:
        left = 10 - len(exchange.hub.builds)
        reset = time.time() + 3600
        exchange.stream(
            more=f"x-ratelimit-limit: 10\r\nx-ratelimit-remaining: {left}\r\nx-ratelimit-reset: {reset:.0f}\r\n"
        )
        exchange.event("failed", "Too many users on this BinderHub! Try again soon.\n")
        exchange.wait_for_close()

    with FaultyHub(full) as hub:
        error, _ = launched(hub, timeout=9)
        assert isinstance(error, HubUnavailable | DeadlineExceeded)  # the last attempt begins just before the deadline
        assert 3 <= len(hub.builds) <= 9
        assert "Too many users on this BinderHub!" in error.message


@pytest.mark.parametrize(
    ("name", "kind", "said", "not_said"),
    [
        ("no such ref", HubRefused, "spelling", "environment"),
        ("a commit that is on no branch", HubRefused, "on no branch of that repository", "environment"),
        ("a build that failed while nobody watched", BuildFailed, "nobody was connected", "public"),
    ],
)
def test_a_fault_of_the_repository_is_the_end_and_no_fallback_is_asked(
    name: str, kind: type[HubError], said: str, not_said: str
) -> None:
    with FaultyHub(*answers(name)) as first, FaultyHub() as second:
        error, _ = launched(first, second)
        assert type(error) is kind
        assert said in str(error)
        assert not_said not in str(error)
        assert (len(first.builds), second.requests) == (1, [])


def test_a_front_door_that_says_404_for_ten_seconds_is_waited_for() -> None:
    began = time.monotonic()

    def deployed(exchange: Exchange) -> None:
        if time.monotonic() - began < 10:
            exchange.page("404 Not Found", "<title>404</title>")
        else:
            ready_at_once(exchange)

    with FaultyHub(deployed) as hub:
        session, _ = launched(hub, timeout=120)
        assert isinstance(session, Session)


def test_a_relative_address_is_on_the_hub_that_answered() -> None:
    def relative(exchange: Exchange) -> None:
        exchange.stream()
        exchange.ready(url="/user/x/")

    with FaultyHub(relative) as hub:
        session, _ = launched(hub)
        assert isinstance(session, Session)
        assert session.url == f"{hub.url}user/x/"


def test_a_deadline_that_falls_into_a_launch_tells_the_hubs_last_reason() -> None:
    with FaultyHub(*answers("the deadline falls into a launch that keeps failing")) as hub:
        error, _ = launched(hub, timeout=1)
        assert type(error) is DeadlineExceeded
        assert "Launch attempt 1 failed, retrying..." in error.message
        assert "first build" not in str(error)
        assert isinstance(error.__cause__, Exception), "a server may be left, and the caller is told"


def test_another_thread_can_end_a_launch() -> None:
    cancel = threading.Event()

    def busy(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("building", "so far\n")
        cancel.set()
        exchange.wait_for_close()

    with FaultyHub(busy) as hub:
        began = time.monotonic()
        with pytest.raises(LaunchCancelled):
            BinderHub(hub.url).launch(SPEC, cancel=cancel)
        assert time.monotonic() - began < 20


def test_the_build_token_is_in_no_record_of_the_libraries_below(caplog: pytest.LogCaptureFixture) -> None:
    with FaultyHub() as hub, caplog.at_level("DEBUG"):
        BinderHub(hub.url, build_token="jwt-secret").launch(SPEC).stop()
    assert "build_token=..." in caplog.text
    assert "jwt-secret" not in caplog.text


def crashed(exchange: Exchange) -> None:
    exchange.page("503 Service Unavailable", "<title>JupyterHub</title>")


def test_a_session_that_crashed_after_ready_is_not_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clinder.hub._LOOK_TIMEOUT", 1.0)

    def again(exchange: Exchange) -> None:
        exchange.hub.session = None
        ready_at_once(exchange)

    with FaultyHub(ready_at_once, again) as hub:
        hub.session = crashed
        session, events = launched(hub)
        assert isinstance(session, Session)
        assert (len(hub.builds), hub.launched) == (2, 2)
        assert "does not answer" in str(events)


def test_a_proxy_that_does_not_find_the_session_yet_is_waited_for() -> None:
    looks: list[float] = []

    def not_yet(exchange: Exchange) -> None:
        looks.append(time.monotonic())
        if len(looks) == 2:
            exchange.hub.session = None
        exchange.page("503 Service Unavailable", "<title>JupyterHub</title>")

    with FaultyHub() as hub:
        hub.session = not_yet
        session, _ = launched(hub)
        assert isinstance(session, Session)
        assert (len(hub.builds), len(looks)) == (1, 2)
