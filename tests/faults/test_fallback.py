"""Somewhere else to go: the next hub, the other members of a federation; and when it is not yet their turn."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from clinder import BinderHub, Event, RepoSpec
from clinder.errors import BuildFailed
from tests.conftest import SIGNALS, Clinder, Signalled
from tests.support.hub import Answer, Exchange, FaultyHub, SecureHub, cut, failed, http, launch, ready_at_once, redirect

FULL = failed("Too many users on this BinderHub! Try again soon.\n")
BANNED = failed("Requests from AWS are not allowed\n", status_code=403)
LIMITED = failed("Rate limit exceeded. Try again in 3600 seconds.\n", status_code=429)
DOWN = http("503 Service Unavailable")
LATER = http("503 Service Unavailable", "Retry-After: 3600\r\n")
PAGE = http("200 OK")
BREAKS = cut("building", Exchange.reset)
CAN_NOT_LAUNCH = failed("Failed to launch image", after=("built",))


@contextmanager
def hubs(*scripts: Answer | tuple[Answer, ...]) -> Iterator[list[FaultyHub]]:
    with ExitStack() as stack:
        yield [stack.enter_context(FaultyHub(*(s if isinstance(s, tuple) else (s,)))) for s in scripts]


@contextmanager
def federation(*scripts: Answer | tuple[Answer, ...]) -> Iterator[list[FaultyHub]]:
    """Yield a front door, which redirects to its first member and names them all, and the members."""
    with hubs(*scripts) as members, FaultyHub(redirect(members[0])) as door:
        door.active_hosts = naming(*members)
        yield [door, *members]


def naming(*members: object) -> Answer:
    """Answer GET /active_hosts as the front door of mybinder.org does."""
    hosts = [{"url": m.url.rstrip("/"), "weight": 1} if isinstance(m, FaultyHub) else m for m in members]
    names = {f"name-{number}": host for number, host in enumerate(hosts)}
    return http("200 OK", body=json.dumps({"active_hosts": names}))


def words(first: str | FaultyHub, *others: FaultyHub) -> list[str]:
    url = first if isinstance(first, str) else first.url
    return ["start", url, "--repo", "org/repo", "--json", *(w for hub in others for w in ("--fallback-hub", hub.url))]


def hub_of(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["hub"])


def builds(*several: FaultyHub) -> list[int]:
    return [len(hub.builds) for hub in several]


# From hub to hub

LEFT: dict[str, Answer] = {
    "refuses connections": ready_at_once,
    "has a certificate that is not valid": ready_at_once,
    "has a name that does not exist": ready_at_once,
    "is down for longer than there is time": LATER,
    "limits the rate": LIMITED,
    "is full": FULL,
    "bans the network": BANNED,
    "is a web page": PAGE,
    "does not launch this repository": failed("Sorry, org/repo is not allowed to launch.\n"),
    "redirects in circles": http("302 Found", "Location: /build/gh/org/repo/HEAD\r\n"),
    **{
        f"redirects to {url}": http("307 Moved", f"Location: {url}\r\n") for url in ("http://[x/", "http://x:y/", "a:b")
    },
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the certificate's
@pytest.mark.parametrize("why", LEFT)
def test_the_next_hub_is_tried_at_once_when_the_first(clinder: Clinder, why: str) -> None:
    secure = SecureHub(clinder.directory)
    with hubs(LEFT[why], ready_at_once, ready_at_once) as (first, second, third), secure:
        url = {"has a na": "https://no-such-hub.invalid/", "has a ce": secure.url}.get(why[:8], first.url)
        if "connections" in why:
            first.die()
        began = time.monotonic()
        done = clinder(*words(url, second, third))
        assert time.monotonic() - began < 45, "a name server that is out of reach takes its time"
        assert hub_of(done) == second.url
        assert re.search(f"clinder: {url}.* Trying {second.url} now.", done.stderr)
        assert "Trying again in" not in done.stderr
        assert [hub.launched for hub in (first, second, third)] == [0, 1, 0]
        assert (len(second.builds), third.requests) == (1, [])
        assert len(first.builds) == (LEFT[why] is not ready_at_once) or "circles" in why


OF_THE_REPOSITORY = {
    "build failed": failed("Error during build: exit status 1", after=("fetching", "building")),
    "no such ref": failed("Could not resolve ref for gh:org/repo/HEAD. Double check your URL.\n"),
    "wrong build token": failed("Invalid build token", status_code=403),
}


@pytest.mark.parametrize("fault", OF_THE_REPOSITORY)
def test_a_failure_of_the_repository_is_final_and_no_other_hub_is_asked(clinder: Clinder, fault: str) -> None:
    with hubs(OF_THE_REPOSITORY[fault], ready_at_once) as (first, second):
        done = clinder(*words(first, second), "--quiet")
        assert (done.returncode, done.stdout) == (1, "")
        assert first.url in done.stderr
        assert second.url not in done.stderr
        assert (len(first.builds), second.requests) == (1, [])


@pytest.mark.parametrize("expected", [[2, 0], [3, 0], [3, 1]], ids=["once", "twice", "always"])
@pytest.mark.parametrize("answer", [BREAKS, CAN_NOT_LAUNCH])
def test_a_hub_that_may_yet_do_is_left_after_three_failures_in_a_row(
    clinder: Clinder, answer: Answer, expected: list[int]
) -> None:
    with hubs(((*[answer] * (expected[0] - 1), answer if expected[1] else ready_at_once)), ready_at_once) as several:
        done = clinder(*words(*several))
        assert hub_of(done) == several[expected[1]].url
        assert builds(*several) == expected
        assert [hub.launched for hub in several] == [1 - expected[1], expected[1]]
        assert done.stderr.count("Trying again in") == expected[0] - 1


@pytest.mark.parametrize(("breaks", "expected"), [(True, [6, 0]), (False, [3, 1])])
def test_a_stream_that_breaks_after_a_while_begins_the_count_anew_and_a_slow_failure_does_not(
    monkeypatch: pytest.MonkeyPatch, breaks: bool, expected: list[int]
) -> None:
    def slow(exchange: Exchange) -> None:
        exchange.stream()
        for _ in range(8):
            exchange.event("building" if breaks else "launching", "one more line\n")
            time.sleep(0.1)
        if not breaks:
            exchange.event("failed", "Failed to launch image\n")
            exchange.wait_for_close()

    monkeypatch.setattr("clinder.launch.route._A_WHILE", 0.5)
    with hubs((*[slow] * 5, ready_at_once), ready_at_once) as (first, second):
        BinderHub(first.url).launch(RepoSpec("org/repo"), fallback_hubs=[BinderHub(second.url)])
        assert builds(first, second) == expected


def test_after_the_last_hub_it_begins_again_after_a_pause_without_those_that_refused_for_good(clinder: Clinder) -> None:
    with hubs(BANNED, (DOWN, DOWN, ready_at_once), LIMITED, FULL) as several:
        done = clinder(*words(*several))
        assert hub_of(done) == several[1].url
        assert builds(*several)[:2] == [1, 3]
        assert done.stderr.count("Trying again in") == 2


def test_a_hub_is_left_alone_for_as_long_as_it_said_while_others_are_asked() -> None:
    times: list[float] = []

    def later(exchange: Exchange) -> None:
        times.append(time.monotonic())
        if len(times) == 1:
            exchange.page("503 Service Unavailable", more="Retry-After: 4\r\n")
        else:
            ready_at_once(exchange)

    with hubs(later, DOWN) as (first, second):
        session = BinderHub(first.url).launch(RepoSpec("org/repo"), fallback_hubs=[BinderHub(second.url)])
        assert session.hub == first.url
        assert times[1] - times[0] > 3.9
        assert len(second.builds) >= 2


@pytest.mark.parametrize(("answers", "code"), [([BANNED, PAGE], 1), ([LATER, BANNED], 3), ([BANNED, LATER], 3)])
def test_when_all_refused_for_good_the_error_names_all(clinder: Clinder, answers: list[Answer], code: int) -> None:
    with hubs(*answers) as (first, second):
        done = clinder(*words(first, second), "--quiet")
        assert (done.returncode, done.stdout) == (code, "")
        lines = done.stderr.splitlines()
        assert len(lines) == 3, lines
        message, hint, _ = lines
        assert message.index(first.url) < message.index(second.url)
        assert ("deadline" in hint) == (code == 3)
        assert builds(first, second) == [1, 1]


def mute(exchange: Exchange) -> None:
    exchange.hub.reach("here")
    exchange.wait_for_close(100)


@pytest.mark.parametrize(("answer", "code"), [(DOWN, 3), (FULL, 3), (mute, 4)])
def test_the_deadline_covers_all_hubs(clinder: Clinder, answer: Answer, code: int) -> None:
    with hubs(DOWN, answer) as (first, second):
        began = time.monotonic()
        done = clinder(*words(first, second), "--timeout", "2")
        assert time.monotonic() - began < 15
        assert (done.returncode, done.stdout) == (code, "")
        assert len(first.builds) < 6, "there are pauses"


def test_the_build_token_goes_to_the_first_hub_and_its_members_only_and_shows_nowhere(clinder: Clinder) -> None:
    def echo(exchange: Exchange) -> None:
        exchange.page("404 Not Found", f"There is no {exchange.request.path}", "text/plain")

    with federation(FULL, echo) as (door, one, other), FaultyHub(BANNED) as last:
        done = clinder(*words(door, last), "--build-token", "jwt-secret", "--timeout", "3")
        assert done.returncode == 3
        paths = [request.path for hub in (door, one, other) for request in hub.builds]
        assert {path.partition("?")[2] for path in paths} == {"build_token=jwt-secret"}
        assert (builds(last), "secret" in str(last.requests)) == ([1], False)
        assert "There is no /build/gh/org/repo/HEAD?build_token=..." in done.stderr
        assert "secret" not in done.stderr


def test_the_log_of_a_failed_build_is_that_of_the_hub_that_built() -> None:
    with hubs(BREAKS, failed("Error: exit status 1", after=("fetching", "building"))) as (first, second):
        with pytest.raises(BuildFailed, match=second.url) as caught:
            BinderHub(first.url).launch(RepoSpec("org/repo"), fallback_hubs=[BinderHub(second.url)])
        assert caught.value.log == ("a line while fetching", "a line while building")


# Cancelled in between


def without_its_page(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\n")
    mute(exchange)


def drip(exchange: Exchange) -> None:
    exchange.send(b'HTTP/1.1 200 OK\r\n\r\n{"active_hosts": {')
    exchange.hub.reach("here")
    while True:
        exchange.send(b" ")
        time.sleep(0.2)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("answer", [mute, without_its_page, BREAKS, DOWN])
def test_a_signal_on_the_way_to_the_next_hub_goes_at_once(clinder: Clinder, number: int, answer: Answer) -> None:
    with hubs(DOWN, (answer, mute)) as (first, second):
        process = clinder.begin(*words(first, second))
        second.wait_until("here")
        time.sleep(0.3)
        done = Signalled(process, number)
        assert (done.code, done.stdout, done.seconds < 15) == (128 + number, "", True)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("answer", [mute, drip])
def test_a_signal_while_the_members_are_asked_for_goes_at_once(clinder: Clinder, number: int, answer: Answer) -> None:
    with federation(FULL) as (door, _), FaultyHub() as last:
        door.active_hosts = answer
        process = clinder.begin(*words(door, last))
        door.wait_until("here")
        time.sleep(0.3)
        done = Signalled(process, number)
        assert (done.code, done.stdout, done.seconds < 15) == (128 + number, "", True)
        assert (last.requests, done.stderr.count("Traceback")) == ([], 0)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_during_the_launch_on_the_next_hub_leaves_no_server(clinder: Clinder, number: int) -> None:
    with hubs(FULL, launch(2), ready_at_once) as (first, second, third):
        process = clinder.begin(*words(first, second, third))
        second.wait_until("launching")
        done = Signalled(process, number)
        assert (done.code, done.stdout, done.seconds < 15) == (128 + number, "", True)
        assert (second.launched, second.stopped, third.requests) == (1, 1, [])


def test_a_callback_that_raises_between_two_hubs_keeps_the_next_out_of_it() -> None:
    def refuse(event: Event) -> None:
        raise ValueError(event)

    with hubs(DOWN, ready_at_once) as (first, second):
        with pytest.raises(ValueError, match="retrying"):
            BinderHub(first.url).launch(RepoSpec("a/b"), fallback_hubs=[BinderHub(second.url)], on_event=refuse)
        assert second.requests == []


# From member to member


@pytest.mark.parametrize(
    ("answer", "attempts"), [(FULL, 1), (BANNED, 1), (LIMITED, 1), (PAGE, 1), (BREAKS, 3), (DOWN, 3)]
)
def test_the_other_members_are_tried_before_the_next_hub(clinder: Clinder, answer: Answer, attempts: int) -> None:
    with federation(answer, ready_at_once) as (door, one, other), FaultyHub() as last:
        done = clinder(*words(door, last))
        assert hub_of(done) == door.url, "the session's hub is the front door"
        assert f"Trying {other.url} now." in done.stderr
        assert done.stderr.count("Trying again in") == attempts - 1
        assert (builds(one, other, last), [hub.launched for hub in (one, other, last)]) == ([attempts, 1, 0], [0, 1, 0])


def test_each_member_is_tried_once_and_then_the_next_hub(clinder: Clinder) -> None:
    with federation(FULL, DOWN, BANNED) as (door, one, two, three), FaultyHub() as last:
        door.active_hosts = naming(door, one, two, two, three, door)
        done = clinder(*words(door, last))
        assert hub_of(done) == last.url
        assert re.findall("Trying (.*) now", done.stderr) == [two.url, three.url, last.url]
        assert builds(door, one, two, three, last) == [1, 1, 1, 1, 1]


def test_a_federation_that_is_full_is_asked_again_after_a_pause_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clinder.launch.route._backoff", lambda *_: 0.5)
    news: list[str] = []
    with federation(FULL, (FULL, FULL, ready_at_once)) as (door, one, other):
        door.active_hosts = naming(door, one, other)
        BinderHub(door.url).launch(RepoSpec("org/repo"), on_event=lambda event: news.append(event.message))
        said = [found[0] for each in news if (found := re.search(r"Trying (http\S+ now|again in \d+ s)", each))]
        assert said == [f"Trying {other.url} now", "Trying again in 1 s"] * 2 + [f"Trying {other.url} now"]
        assert (builds(door, one, other), len(door.requests)) == ([3, 3, 3], 6)


def test_a_member_that_refuses_for_good_is_no_reason_to_leave_the_others(clinder: Clinder) -> None:
    with federation(BANNED, (FULL, ready_at_once)) as (door, one, other):
        assert hub_of(clinder(*words(door))) == door.url
        assert [hub.launched for hub in (one, other)] == [0, 1]


def test_members_that_all_refuse_for_good_end_it_at_once(clinder: Clinder) -> None:
    with federation(BANNED, BANNED) as (door, one, other):
        done = clinder(*words(door), "--quiet")
        assert (done.returncode, builds(one, other)) == (1, [1, 1])
        assert re.search(f"{one.url} said.*{other.url} said", done.stderr)


def test_a_member_may_redirect_to_yet_another_or_back(clinder: Clinder) -> None:
    with FaultyHub() as good, federation(FULL, redirect(good)) as (door, full, on), FaultyHub(redirect(full)) as back:
        door.active_hosts = naming(full, back, on)
        assert hub_of(clinder(*words(door))) == door.url
        assert builds(door, full, back, on, good) == [1, 2, 1, 1, 1]


def test_junk_among_the_members_is_passed_over(clinder: Clinder) -> None:
    urls = (None, 5, "", "ftp://x/", "http://[x", "http://a b/", "http://x:99999/")
    with federation(FULL, ready_at_once) as (door, one, other):
        door.active_hosts = naming("a string", None, 5, [], {}, *({"url": url} for url in urls), one, other)
        assert hub_of(clinder(*words(door))) == door.url
        assert (other.launched, builds(door, one)) == (1, [1, 1])


def huge(exchange: Exchange) -> None:
    exchange.send(b'HTTP/1.1 200 OK\r\n\r\n{"active_hosts": {"x": {"url": "http://127.0.0.1:9/')
    for _ in range(100):
        exchange.send(b"x" * (1 << 20))
    exchange.hub.reach("swallowed")


NO_MEMBERS: dict[str, Answer] = {
    "404": http("404 Not Found"),
    "HTML": PAGE,
    "a list": http("200 OK", body='{"active_hosts": ["x"]}'),
    "deep": http("200 OK", body="[" * 60000),
    "not UTF-8": lambda exchange: exchange.send(b"HTTP/1.1 200 OK\r\n\r\n\xff\xfe\x00"),
    "huge": huge,
    "drip": drip,
    "mute": mute,
    "without its page": without_its_page,
    "reset": Exchange.reset,
    "redirects in circles": http("302 Found", "Location: /active_hosts\r\n"),
    "redirects to nowhere": http("302 Found", "Location: http://[bad/\r\n"),
}


@pytest.mark.parametrize("answer", NO_MEMBERS)
def test_a_front_door_that_does_not_name_its_members_costs_some_seconds_at_most(clinder: Clinder, answer: str) -> None:
    with federation(FULL) as (door, member), FaultyHub() as last:
        door.active_hosts = NO_MEMBERS[answer]
        began = time.monotonic()
        assert hub_of(clinder(*words(door, last))) == last.url
        assert time.monotonic() - began < 25
        assert "swallowed" not in door.reached
        assert builds(door, member, last) == [1, 1, 1]


@pytest.mark.parametrize("answer", [mute, drip])
def test_the_deadline_covers_the_search_for_members(clinder: Clinder, answer: Answer) -> None:
    with federation(FULL) as (door, _), FaultyHub() as last:
        door.active_hosts = answer
        assert clinder(*words(door, last), "--timeout", "2.5").returncode == 4
        assert last.requests == []
