"""What is worth another try is tried again until the deadline; what is final is reported at once."""

import email.utils
import time

import pytest

from clinder import BinderHub, Event, RepoSpec
from tests.conftest import Clinder
from tests.support.hub import TOKEN, Answer, Exchange, FaultyHub, cut, failed, http, ready_at_once, redirect

PHASES = ["waiting", "fetching", "building", "pushing", "built", "launching"]


def half_an_event(exchange: Exchange) -> None:
    exchange.chunk(b'data: {"phase": "bui')
    exchange.end()


def half_a_chunk(exchange: Exchange) -> None:
    exchange.send(b'ff\r\ndata: {"phase": "bui')


def reset_at_once(exchange: Exchange) -> None:
    exchange.reset()


def close(exchange: Exchange) -> None:
    """Return, which closes the connection."""


def empty(exchange: Exchange) -> None:
    exchange.stream()
    exchange.end()


# One of each kind. What each of a hub's words means is a table: tests/unit/test_verdict.py.
TRANSIENT: dict[str, Answer] = {
    "reset before an answer": reset_at_once,
    "closed before an answer": close,
    "garbage instead of HTTP": lambda exchange: exchange.send(b"\x00\x01\x02\r\n\r\n"),
    "an empty stream": empty,
    "HTTP 503": http("503 Service Unavailable"),
    "failed, 500": failed("Image x for user y took too long to launch", after=("launching",), status_code=500),
    "a full hub": failed("Too many users on this BinderHub! Try again soon."),
    "failed while launching": failed(None, after=("launching",)),
    "ended while building": cut("building", Exchange.end),
    "closed while building": cut("building", close),
    "reset while launching": cut("launching", Exchange.reset),
    "half an event": cut("building", half_an_event),
    "half a chunk": cut("building", half_a_chunk),
}


@pytest.mark.parametrize("fault", TRANSIENT)
def test_a_transient_fault_is_survived(clinder: Clinder, fault: str) -> None:
    with FaultyHub(TRANSIENT[fault], ready_at_once) as hub:
        done = clinder("start", hub.url, "--repo", "org/repo")
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{hub.session_url}?token={TOKEN}\n"
        assert "Trying again" in done.stderr
        assert len(hub.builds) == 2


@pytest.mark.parametrize("fault", ["reset before an answer", "HTTP 503", "a full hub", "ended while building"])
def test_a_transient_fault_for_ever_ends_before_the_deadline_with_the_hubs_words(clinder: Clinder, fault: str) -> None:
    with FaultyHub(TRANSIENT[fault]) as hub:
        began = time.monotonic()
        done = clinder("start", hub.url, "--repo", "org/repo", "--timeout", "2")
        assert time.monotonic() - began < 20
        assert done.returncode == 3
        assert done.stdout == ""
        assert len(hub.builds) >= 2
        words = {"HTTP 503": "HTTP 503: Sorry", "a full hub": "Too many users on this BinderHub!"}.get(fault, "")
        assert words in done.stderr.splitlines()[-3]
        assert "deadline" in done.stderr.splitlines()[-2]


def test_a_hub_that_refuses_connections_for_a_while_is_reached(clinder: Clinder) -> None:
    with FaultyHub(listen_after=3) as hub:
        done = clinder("start", hub.url, "--repo", "org/repo")
        assert done.returncode == 0, done.stderr
        assert "connection refused" in done.stderr


def test_a_hub_that_refuses_connections_for_ever_is_unavailable(clinder: Clinder) -> None:
    with FaultyHub(listen_after=100) as hub:
        done = clinder("start", hub.url, "--repo", "org/repo", "--timeout", "2")
        assert done.returncode == 3
        assert "connection refused" in done.stderr


def test_a_hubs_name_that_does_not_exist_is_reported_at_once(clinder: Clinder) -> None:
    began = time.monotonic()
    done = clinder("start", "https://no-such-hub.invalid", "--repo", "org/repo", "--timeout", "50", timeout=90)
    if "Trying again" not in done.stderr:  # a machine without any name server can't know that it never will
        assert time.monotonic() - began < 45
        assert "spelling" in done.stderr
    assert done.returncode == 3
    assert "its name could not be resolved" in done.stderr


FINAL: dict[str, tuple[Answer, str]] = {
    "no such ref": (
        failed("Could not resolve ref for gh:org/repo/nope. Double check your URL and that your repo is public.\n"),
        "Could not resolve ref for gh:org/repo/nope.",
    ),
    "banned": (failed("Sorry, org/repo is not allowed to launch. Please contact admins for more info!"), "not allowed"),
    "banned network": (failed("Requests from SomeCloud are not allowed\n", status_code=403), "SomeCloud"),
    "wrong build token": (failed("Invalid build token", status_code=403), "build token"),
    "HTTP 403": (http("403 Forbidden", body='{"message": "go away"}'), "go away"),
    "a web page": (http("200 OK"), "text/html instead of an event stream"),
    "no content": (lambda exchange: exchange.send(b"HTTP/1.1 204 No Content\r\n\r\n"), "event stream"),
    "redirects in circles": (http("302 Found", "Location: /build/gh/a/b/c\r\n"), "circles"),
}


@pytest.mark.parametrize("fault", FINAL)
def test_a_final_answer_is_reported_at_once(clinder: Clinder, fault: str) -> None:
    answer, words = FINAL[fault]
    with FaultyHub(answer) as hub:
        began = time.monotonic()
        done = clinder("start", hub.url, "--repo", "org/repo", "--quiet")
        assert time.monotonic() - began < 15
        assert done.returncode == 1
        assert done.stdout == ""
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 3
        assert "Traceback" not in done.stderr
        if fault != "redirects in circles":
            assert len(hub.builds) == 1


@pytest.mark.parametrize("phase", ["failed", "failure"])
@pytest.mark.parametrize("flag", ["--quiet", "--json"])
def test_a_failed_build_shows_the_end_of_its_log(clinder: Clinder, phase: str, flag: str) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        for number in range(100):
            exchange.event("building", f"error {number}\n")
        exchange.event(phase)
        exchange.wait_for_close()

    with FaultyHub(answer) as hub:
        done = clinder("start", hub.url, "--repo", "org/repo", flag)
        assert done.returncode == 1
        lines = done.stderr.splitlines()
        assert "could not build gh/org/repo/HEAD" in lines[-3]
        first = 80 if flag == "--quiet" else 0
        shown = "\n".join(f"error {number}" for number in range(first, 100))
        assert f"{shown}\n" in done.stderr
        assert f"error {first - 1}\n" not in done.stderr
        assert len(hub.builds) == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(failed("Rate limit exceeded. Try again in 2 seconds.\n", status_code=429), id="event"),
        pytest.param(http("503 Service Unavailable", "Retry-After: 2\r\n"), id="header"),
        pytest.param(http("429 Too Many Requests", body="Try again in 2 seconds."), id="page"),
    ],
)
def test_a_hub_that_says_how_long_to_wait_is_left_alone_for_so_long(clinder: Clinder, answer: Answer) -> None:
    times: list[float] = []

    def timed(then: Answer) -> Answer:
        def respond(exchange: Exchange) -> None:
            times.append(time.monotonic())
            then(exchange)

        return respond

    with FaultyHub(timed(answer), timed(ready_at_once)) as hub:
        done = clinder("start", hub.url, "--repo", "org/repo")
        assert done.returncode == 0, done.stderr
        assert 1.9 < times[1] - times[0] < 8


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(failed("GitHub rate limit exceeded. Try again in 43 minutes.\n"), id="minutes"),
        pytest.param(http("503 Service Unavailable", "Retry-After: 3600\r\n"), id="header"),
        pytest.param(
            http("503 Service Unavailable", f"Retry-After: {email.utils.formatdate(time.time() + 7200)}\r\n"), id="date"
        ),
    ],
)
def test_a_wait_past_the_deadline_fails_now_and_says_so(clinder: Clinder, answer: Answer) -> None:
    with FaultyHub(answer) as hub:
        began = time.monotonic()
        done = clinder("start", hub.url, "--repo", "org/repo", "--timeout", "1800")
        assert time.monotonic() - began < 15
        assert done.returncode == 3
        assert "past the deadline (1800 s)" in done.stderr
        assert len(hub.builds) == 1


def test_a_member_that_drops_the_stream_is_asked_again_itself(clinder: Clinder) -> None:
    with FaultyHub(TRANSIENT["closed while building"], ready_at_once) as member, FaultyHub(redirect(member)) as door:
        done = clinder("start", door.url, "--repo", "org/repo")
        assert done.returncode == 0, done.stderr
        assert (len(door.builds), len(member.builds)) == (1, 2)


def test_a_member_that_died_is_asked_for_at_the_front_door_with_its_cookie(clinder: Clinder) -> None:
    def die(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("building", "so far\n")
        dying.die()

    with FaultyHub(die) as dying, FaultyHub() as other, FaultyHub(redirect(dying), redirect(other)) as door:
        done = clinder("start", door.url, "--repo", "org/repo")
        assert done.returncode == 0, done.stderr
        assert (len(door.builds), len(dying.builds), len(other.builds)) == (2, 1, 1)
        assert door.builds[1].headers["cookie"] == "host=member"


@pytest.mark.parametrize("status", ["404 Not Found", "502 Bad Gateway"])
def test_a_member_that_left_the_federation_is_no_final_answer(clinder: Clinder, status: str) -> None:
    with (
        FaultyHub(TRANSIENT["closed while building"], http(status)) as gone,
        FaultyHub() as other,
        FaultyHub(redirect(gone), redirect(other)) as door,
    ):
        done = clinder("start", door.url, "--repo", "org/repo")
        assert done.returncode == 0, done.stderr
        assert (len(door.builds), len(gone.builds), len(other.builds)) == (2, 2, 1)


def test_silence_without_keepalives_is_a_dead_connection() -> None:
    events: list[Event] = []

    def silent(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("building", "and then\n")
        exchange.wait_for_close(100)

    with FaultyHub(silent, ready_at_once) as hub:
        began = time.monotonic()
        with BinderHub(hub.url, silence=1.5).launch(RepoSpec("org/repo"), on_event=events.append):
            assert 1.4 < time.monotonic() - began < 15
        assert "no answer in time" in str(events)


def test_silence_with_keepalives_is_a_long_build() -> None:
    def slow(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("building", "and then\n")
        for _ in range(10):
            time.sleep(0.5)
            exchange.chunk(b":keepalive\n\n")
        exchange.ready()
        exchange.wait_for_close()

    with FaultyHub(slow) as hub, BinderHub(hub.url, silence=2).launch(RepoSpec("org/repo")):
        assert len(hub.builds) == 1


def test_the_deadline_ends_a_build_that_goes_on(clinder: Clinder) -> None:
    def busy(exchange: Exchange) -> None:
        exchange.stream()
        while True:
            exchange.event("building", "one more line\n")
            time.sleep(0.01)

    with FaultyHub(busy) as hub:
        began = time.monotonic()
        done = clinder("start", hub.url, "--repo", "org/repo", "--timeout", "1.5")
        assert time.monotonic() - began < 20
        assert done.returncode == 4
        assert "No session within 1.5 seconds" in done.stderr
        assert "still building" in done.stderr


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"])
def test_the_deadline_ends_the_wait_for_a_hub_that_does_not_answer(clinder: Clinder, part: bytes) -> None:
    def mute(exchange: Exchange) -> None:
        exchange.send(part)
        exchange.wait_for_close()

    with FaultyHub(mute) as hub:
        began = time.monotonic()
        done = clinder("start", hub.url, "--repo", "org/repo", "--timeout", "1.5")
        assert time.monotonic() - began < 20
        assert done.returncode == 4
