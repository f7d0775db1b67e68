"""The table of what a hub's words mean: each row, each case that went wrong once, and other words of the same kind."""

import gzip
import json
import re
import ssl
import time
import tracemalloc
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from socket import EAI_AGAIN, EAI_NONAME, gaierror
from typing import Any

import pytest
import requests
import responses
from hypothesis import given
from hypothesis import strategies as st

from clinder.errors import BuildFailed
from clinder.launch import verdict
from clinder.launch.events import LAUNCH_PHASES, Event
from clinder.launch.stream import Course, Outcome, _entered, _what_it_says
from clinder.launch.verdict import NO_ANSWER, ROWS, UNUSABLE, Place, Verdict, retry_after, said_wait

HUB = "https://hub.example.org/"
PLACE = Place(HUB, HUB, "build/gh/org/repo/HEAD", "gh/org/repo/HEAD", "jwt-secret")
WITH_LOGIN = PLACE._replace(hub_token="hub-secret", has_login=True)
ADDRESS = HUB + PLACE.path
MEMBER = "https://member.example.org/"
URL = HUB


def of_events(*events: dict[str, Any], place: Place = PLACE) -> Verdict:
    """Return the verdict of a stream of these events; one that ends without a verdict breaks."""
    course = Course()
    log: list[str] = []
    last: Event | None = None
    for data in events:
        event = Event(data.get("phase", "unknown"), data.get("message") or "", data)
        if event.phase in ("failed", "failure"):
            last = event
            break
        course = _entered(course, event.phase)
        log.append(event.message)
    outcome = Outcome(ADDRESS, 200, {}, "text/event-stream", event=last, course=course._replace(log=tuple(log)))
    return verdict.of(outcome, place)


def of_answer(status: int, said: str = "", kind: str = "text/html", address: str = ADDRESS, **headers: str) -> Verdict:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return verdict.of(Outcome(address, status, named, kind, said=said), PLACE)


def of_error(error: Exception, place: Place = PLACE, address: str = ADDRESS) -> Verdict:
    return verdict.of(Outcome(address, error=error), place)


WAITING = {"phase": "waiting", "message": "Waiting for build to start...\n"}
BUILDING = {"phase": "building", "message": "Step 9/30 : RUN mamba env update\n"}
BUILT = {"phase": "built", "message": "Launching...\n"}


def building(line: str) -> dict[str, Any]:
    return {"phase": "building", "message": f"{line}\n"}


def failed(message: str | None = None, code: object = None) -> dict[str, Any]:
    return {"phase": "failed", "message": message} | ({} if code is None else {"status_code": code})


EVENTS: list[tuple[str, list[dict[str, Any]]]] = [
    ("github-quota", [failed("GitHub rate limit exceeded. Try again in 43 minutes.\n")]),
    ("github-quota", [WAITING, failed("API rate limit exceeded for 1.2.3.4", 500)]),
    ("rate-limit", [failed("Rate limit exceeded. Try again in 3600 seconds.", 429)]),
    ("rate-limit", [failed("Rate limit exceeded: 10 per hour")]),
    ("rate-limit", [failed("Slow down, please", 429)]),
    ("full", [failed("Too many users on this BinderHub! Try again soon.\n")]),
    ("full", [failed("Too many users running https://github.com/org/repo! Try again soon.", 429)]),
    ("build-token", [failed("Invalid build token", 403)]),
    ("banned-network", [failed("Requests from Amazon AWS are not allowed\n", 403)]),
    ("policy", [failed("Sorry, someone/recipes is not allowed to launch. Please contact admins for more info!\n")]),
    ("policy", [failed("Sorry, org/repo has been temporarily disabled from launching. Please contact admins!")]),
    ("policy", [failed("org/repo is banned", 403)]),
    ("no-provider", [failed("No provider found for prefix 'ckan'", 404)]),
    ("login", [failed("Forbidden\n", 403)]),
    ("hub-refused", [failed("user jane is not allowed.\n", 403)]),
    ("login", [failed("forbidden", 403)]),
    ("login", [failed(None, 403)]),
    ("login", [failed("Unauthorized", 401)]),
    (
        "no-build-only",
        [
            failed(
                "Building but not launching is not permitted when the API only mode was not enabled by setting ...", 400
            )
        ],
    ),
    ("running-server", [failed("User jane already has a running server.", 409)]),
    ("running-server", [failed("User jane already has the maximum of 5 named servers.", 409)]),
    ("no-such-ref", [failed("Could not resolve ref for gh:someone/recipes/nope. Double check your URL.\n")]),
    ("no-such-ref", [failed("Could not resolve ref for git:x. Double check your URL.", 500)]),
    ("host-in-trouble", [failed("Error resolving ref for gh:someone/recipes/HEAD: HTTP 401: Unauthorized\n")]),
    ("host-in-trouble", [failed("Error resolving ref for gh:a/b/HEAD: HTTP 599: Operation timed out\n")]),
    ("host-in-trouble", [failed("Error resolving ref for gh:a/b/HEAD: HTTP 502: Bad Gateway", 500)]),
    ("host-in-trouble", [failed("Error resolving ref for gh:a/b/HEAD: 'NoneType' object is not subscriptable")]),
    (
        "not-readable",
        [building("fatal: could not read Username for 'https://h'"), failed("Error during build")],
    ),
    ("not-readable", [building("remote: Repository not found."), failed()]),
    ("commit-on-no-branch", [building("fatal: Could not parse object '284a2d6b'."), failed("Error during build")]),
    ("commit-on-no-branch", [building("fatal: reference is not a tree: 284a"), failed()]),
    ("commit-on-no-branch", [building("error: Server does not allow request for unadvertised object 2a"), failed("x")]),
    ("launch-took-too-long", [BUILT, failed("Image i for user u took too long to launch", 500)]),
    ("launch-failed", [BUILDING, BUILT, failed("Failed to launch image i")]),
    ("launch-failed", [BUILT, failed("Spawn failed: Timeout")]),
    ("launch-failed", [BUILT, {"phase": "spawning", "message": ""}, failed("No")]),
    ("launch-failed", [BUILT, failed()]),
    ("launch-failed", [BUILDING, {"phase": "pushing", "message": ""}, failed("registry is away")]),
    ("try-again", [WAITING, failed("Unhandled error watching for build events. Please try again.")]),
    ("hub-error", [WAITING, failed("Internal error", 500)]),
    ("hub-error", [failed("Service unavailable", 503)]),
    ("hub-refused", [failed("Bad request", 400)]),
    (
        "build-failed-by-chance",
        [building("CondaHTTPError: HTTP 503 SERVICE UNAVAILABLE for url"), failed()],
    ),
    ("build-failed-by-chance", [building("IncompleteRead(100 bytes read)"), failed("Error during build: exit 1")]),
    ("build-failed-by-chance", [building("E: Temporary failure resolving 'deb.debian.org'"), failed("non-zero: 100")]),
    (
        "build-failed-by-chance",
        [building("fatal: Could not resolve host: github.com"), failed("128")],
    ),
    ("build-failed-by-chance", [building("npm ERR! code ECONNRESET"), failed("Error during build")]),
    ("build-failed", [building("ERROR: No matching distribution found for nunpy"), failed("non-zero code: 1")]),
    ("build-failed", [building("ERROR: No matching distribution found for nunpy"), failed()]),
    ("build-failed", [BUILDING, failed("Error during build: The command returned a non-zero code: 1")]),
    ("build-lost", [WAITING, BUILDING, failed()]),
    ("build-lost", [WAITING, BUILDING, failed("The pod went away")]),
    ("build-failed-unwatched", [WAITING, failed()]),
    ("unknown-failure", [failed()]),
    ("unknown-failure", [failed("Something that nobody has heard of")]),
    ("unknown-failure", [WAITING, failed("Something that nobody has heard of")]),
    ("unknown-failure", [failed("Odd", "a string")]),
    ("broken", [WAITING]),
    ("broken", [BUILDING, BUILT]),
    ("broken", []),
]


@pytest.mark.parametrize(("row", "events"), EVENTS)
def test_an_event_means_what_its_row_says(row: str, events: list[dict[str, Any]]) -> None:
    assert of_events(*events).row.name == row


REFUSED = requests.ConnectionError(ConnectionRefusedError(111, "Connection refused"))
NO_NAME = requests.ConnectionError(gaierror(EAI_NONAME, "Name or service not known"))
PROXIED = PLACE._replace(proxy="http://proxy:3128 (from HTTPS_PROXY)")
PROXY_REFUSES = requests.exceptions.ProxyError(OSError("Tunnel connection failed: 403 Forbidden"))


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("build-token", of_answer(403, "Invalid build token")),
        ("token-refused", of_events(failed("Forbidden\n", 403), place=WITH_LOGIN)),
        ("token-refused", of_events(failed("user jane is not allowed.\n", 403), place=WITH_LOGIN)),
        ("policy", of_events(failed("Sorry, gh/org/repo is not allowed to launch.\n"), place=WITH_LOGIN)),
        ("login", of_answer(401)),
        ("login", of_answer(403, "go away")),
        ("login", of_answer(200, "JupyterHub - Log in", address=f"{HUB}x")),
        ("login", of_answer(200, "Welcome", address=f"{HUB}hub/login?next=x")),
        ("http-429", of_answer(429)),
        ("http-5xx", of_answer(502)),
        ("http-5xx", of_answer(503, "Sorry")),
        ("member-lost", of_answer(502, address=MEMBER + PLACE.path)),
        ("member-lost", of_answer(404, address=MEMBER + PLACE.path)),
        ("http-404", of_answer(404)),
        ("no-hub", of_answer(200)),
        ("no-hub", of_answer(204, kind="")),
        ("no-hub", of_answer(418)),
        ("no-hub", of_answer(200, kind="application/json")),
        ("no-hub", of_error(requests.TooManyRedirects("30"))),
        ("no-hub", of_error(ValueError("Invalid IPv6 URL"))),
        ("proxy", of_error(ValueError("Invalid proxy"), PROXIED)),
        ("proxy", of_error(PROXY_REFUSES, PROXIED)),
        ("proxy", of_error(requests.exceptions.ProxyError(gaierror(EAI_NONAME, "x")), PROXIED)),
        ("no-such-name", of_error(NO_NAME)),
        ("unreachable", of_error(requests.ConnectionError(gaierror(EAI_AGAIN, "Temporary failure")))),
        ("certificate", of_error(requests.exceptions.SSLError(ssl.SSLCertVerificationError(1, "self-signed")))),
        ("no-tls", of_error(requests.exceptions.SSLError(ssl.SSLError(1, "WRONG_VERSION_NUMBER")))),
        ("no-tls", of_error(requests.exceptions.SSLError(ssl.SSLEOFError(8, "unexpected eof")))),
        ("unreachable", of_error(REFUSED)),
        ("unreachable", of_error(requests.ConnectTimeout("slow"))),
        ("unreachable", of_error(requests.ConnectionError(ConnectionResetError(104, "reset")))),
        ("member-unreachable", of_error(REFUSED, address=MEMBER + PLACE.path)),
    ],
)
def test_an_answer_or_an_error_means_what_its_row_says(row: str, found: Verdict) -> None:
    assert found.row.name == row


def test_every_row_is_met_by_a_case() -> None:
    met = {row for row, _ in EVENTS}
    met |= {mark.args[1][n][0] for mark in _marks() for n in range(len(mark.args[1]))}
    assert met | {"member-refused"} == {row.name for row in ROWS}


def _marks() -> list[pytest.Mark]:
    return list(test_an_answer_or_an_error_means_what_its_row_says.pytestmark)


def test_a_member_that_was_asked_itself_and_refuses_is_left_for_the_next() -> None:
    member = PLACE._replace(url=MEMBER)
    found = verdict.of(Outcome(MEMBER + PLACE.path, 404, {}, "text/html"), member)
    assert (found.row.name, found.fault) == ("member-refused", "elsewhere")


@pytest.mark.parametrize("row", [*ROWS, UNUSABLE, NO_ANSWER], ids=lambda row: row.name)
def test_only_a_failure_of_the_repository_is_blamed_on_it(row: verdict.Row) -> None:
    if row.fault != "repository" and row.error.__name__ != "BuildFailed":
        assert not re.search(r"is it public|correct the repository", row.hint, re.IGNORECASE)


CASES = json.loads((Path(__file__).parents[1] / "cases" / "hub-words.json").read_text())
FAULTS = {
    "a build that failed while nobody watched": "repository",
    "a front door that says 404 for ten seconds": "attempt",
}


def of_case(case: dict[str, Any]) -> Verdict:
    events = case.get("events") or (case["turns"][0] if "turns" in case else None)
    if events is None:
        return of_answer(404, "Not Found")
    return of_events(*(event for event in events if isinstance(event, dict)))


@pytest.mark.parametrize("case", [c for c in CASES if c["fault"] != "none"], ids=lambda case: case["name"])
def test_a_case_that_went_wrong_once_is_judged_rightly(case: dict[str, Any]) -> None:
    expected = FAULTS.get(case["name"], case["fault"].partition(",")[0])
    assert of_case(case).fault == expected


# What is said


def test_a_hubs_own_policy_does_not_blame_the_repository() -> None:
    error = of_events(failed("Sorry, someone/recipes is not allowed to launch.")).error()
    assert "does not launch this repository" in str(error)
    assert "public" not in str(error)


def test_a_commit_on_no_branch_is_said_so_and_the_environment_is_not_blamed() -> None:
    log = building("fatal: reference is not a tree: 284a2d6b2cc068d0a1d4bf070a06a24626828f65")
    error = of_events(WAITING, log, failed("Error during build: non-zero exit status 128.")).error()
    assert "on no branch" in str(error)
    assert "environment" not in str(error)


def test_the_commands_of_repo2docker_are_not_repeated() -> None:
    command = "['jupyter-repo2docker', " + ", ".join(f"'--word-{n}'" for n in range(60)) + "]"
    found = of_events(BUILDING, failed(f"Error during build: Command '{command}' returned non-zero exit status 1."))
    assert "Command returned non-zero exit status 1." in found.what
    assert len(found.what) < 200


def test_the_build_token_is_in_no_words() -> None:
    for found in (of_events(failed("bad: jwt-secret")), of_answer(418, "no jwt-secret"), of_answer(500, "jwt-secret")):
        assert "jwt-secret" not in str(found.error())


def test_a_proxy_is_named_with_its_variable() -> None:
    assert "http://proxy:3128 (from HTTPS_PROXY)" in str(of_error(PROXY_REFUSES, PROXIED).error())


def test_a_connection_that_breaks_during_a_launch_says_that_a_server_may_be_left() -> None:
    assert "may be left" in of_events(BUILT).what
    assert "may be left" not in of_events(BUILDING).what


def test_the_log_of_a_failed_build_is_its_last_lines() -> None:
    lines = [building(f"error {number}") for number in range(100)]
    error = of_events(*lines[-40:], failed()).error()
    assert isinstance(error, BuildFailed)
    assert error.log == tuple(f"error {number}" for number in range(80, 100))


def test_a_log_of_a_million_short_lines_takes_no_memory_for_each() -> None:
    lines = [building("ab\n" * 20_000) for _ in range(40)]
    tracemalloc.start()
    try:
        error = of_events(*lines, failed("error")).error()
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert isinstance(error, BuildFailed)
    assert error.log == ("ab",) * 20


def test_the_length_of_a_rate_limits_window_is_no_time_to_wait() -> None:
    found = of_events(failed("Rate limit exceeded. Try again in 3600 seconds.", 429))
    assert (found.wait, found.at_most) == (None, 3600)
    assert of_events(failed("GitHub rate limit exceeded. Try again in 43 minutes.")).wait == 43 * 60
    assert of_answer(503, Retry_After="120").wait == 120


@given(st.lists(st.sampled_from(["waiting", "building", "pushing", "built", "x"]), max_size=4), st.text(max_size=300))
def test_whatever_a_hub_says_has_a_verdict_that_fits_on_a_screen(phases: list[str], message: str) -> None:
    found = of_events(*({"phase": phase, "message": message} for phase in phases), failed(message))
    assert found.what.endswith((".", "!", "?"))
    assert len(found.what) < 1000
    assert not LAUNCH_PHASES & set(phases) or found.fault != "repository" or "resolve" in message


# How long to wait


@pytest.mark.parametrize(("value", "seconds"), [("1", 1), ("3600", 3600), (" 120 ", 120)])
def test_a_number_in_retry_after_is_in_seconds(value: str, seconds: float) -> None:
    assert retry_after(value) == seconds


@pytest.fixture(params=["UTC", "Asia/Tokyo", "America/New_York"])
def _zone(request: pytest.FixtureRequest) -> Iterator[None]:
    """Put this machine into a time zone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_zone")
@pytest.mark.parametrize("form", ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"])
def test_a_date_in_retry_after_is_greenwichs_in_all_forms_of_rfc_9110(form: str) -> None:
    then = datetime.now(timezone.utc) + timedelta(seconds=90)
    assert retry_after(then.strftime(form)) == pytest.approx(90, abs=5)


def test_a_date_in_retry_after_may_have_another_zone() -> None:
    then = datetime.now(timezone(timedelta(hours=9))) + timedelta(seconds=90)
    assert retry_after(format_datetime(then)) == pytest.approx(90, abs=5)


NO_TIMES = [None, "", " ", "0", "-5", "1.5", "soon", "inf", "nan", "1e3", "Wed, 21 Oct 2015 07:28:00 GMT"]
NO_TIMES += [
    "Wed, 99 Oct 2115 07:28:00 GMT",
    "Fri, 31 Dec 99999 23:59:59 GMT",
    "Fri, 31 Dec 2100 23:59:59 +999999999999",
]


@pytest.mark.parametrize("value", NO_TIMES)
def test_what_is_no_time_to_wait_is_none(value: str | None) -> None:
    assert retry_after(value) is None


@given(st.text() | st.text("0123456789 :,-+.GMTWedOct"))
def test_whatever_retry_after_says_is_a_positive_number_or_none(value: str) -> None:
    seconds = retry_after(value)
    assert seconds is None or 0 < seconds < float("inf")


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("Rate limit exceeded. Try again in 3600 seconds.", 3600),
        ("GitHub rate limit exceeded. Try again in 5 minutes.", 300),
        ("Full: please try again in 1 hour", 3600),
        ("try again in 1 second", 1),
        ("Try again in 0 seconds.", None),
        ("Too many users on this BinderHub! Try again soon.", None),
        ("Waited for 30 seconds.", None),
        ("Try again in " + "9" * 5000 + " seconds", None),
        ("", None),
    ],
)
def test_the_time_to_wait_is_taken_from_the_hubs_words(said: str, seconds: float | None) -> None:
    assert said_wait(said) == seconds


# What was said


def words(body: bytes | str, **headers: str) -> str:
    with responses.RequestsMock() as mock:
        mock.get(URL, body=body, headers=headers)
        return _what_it_says(requests.get(URL, stream=True, timeout=5))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"status": 404, "message": "No such thing"}', "No such thing"),
        ('{"error": "nope"}', "nope"),
        ('{"message": "", "error": "nope"}', "nope"),
        ('{"message": null}', ""),
        ('{"detail": "unknown field"}', ""),
        ('data: {"phase": "failed", "message": "not allowed"}\n\n', "not allowed"),
        ('data:{"phase": "failed", "message": "not allowed"}\n\n', "not allowed"),
        (
            "<!DOCTYPE html><html><head><TITLE lang='en'>\n  502 Bad\n  Gateway </TITLE></head></html>",
            "502 Bad Gateway",
        ),
        ("<html><body>no title</body></html>", ""),
        ("Service\n\n  Unavailable\n", "Service Unavailable"),
        ("", ""),
        ('{"message": "a\\u001b[2Jb\\u0007\\u009b3Jc\\ud800 \\u001b[31mred"}', "abc red"),
        ("a\x1b]0;title\x07b\x9b2Jc", "abc"),
        ("<title>a\x1b[2Jb</title>", "ab"),
    ],
)
def test_the_words_of_an_answer_are_its_message_its_title_or_its_text(body: str, said: str) -> None:
    assert words(body) == said


@pytest.mark.parametrize("form", ["{}", '{{"message": "{}"}}', "<title>{}</title>"])
def test_the_words_of_an_answer_are_few(form: str) -> None:
    said = words(form.format("word " * 1000))
    assert 200 < len(said) <= 300
    assert said.startswith("word word word")


def test_a_compressed_answer_is_read() -> None:
    body = gzip.compress(b'{"message": "No such thing"}')
    assert words(body, **{"Content-Encoding": "gzip"}) == "No such thing"


def test_a_compression_that_is_none_is_nothing_said() -> None:
    assert words(b"no gzip at all", **{"Content-Encoding": "gzip"}) == ""


@given(st.binary(max_size=200))
def test_the_words_of_whatever_bytes_are_one_clean_line(body: bytes) -> None:
    said = words(body)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", said)
    assert said == " ".join(said.split())
