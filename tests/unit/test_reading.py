"""What is read from an answer that is no event stream: how long to wait, what was said, what became of a session."""

import gzip
import json
import re
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses
from hypothesis import given
from hypothesis import strategies as st

from clinder import BinderHub, RepoSpec, Session, SessionError, SessionGone, SessionUnreachable, WrongToken
from clinder.hub import _Launch, _retry_after, _said_wait, _Trouble, _words

URL = "https://hub.example.org/user/x/"
TOKEN = "secret-token"


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


# How long to wait


@pytest.mark.parametrize(("value", "seconds"), [("1", 1), ("3600", 3600), (" 120 ", 120)])
def test_a_number_in_retry_after_is_in_seconds(value: str, seconds: float) -> None:
    assert _retry_after(value) == seconds


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
    assert _retry_after(then.strftime(form)) == pytest.approx(90, abs=5)


def test_a_date_in_retry_after_may_have_another_zone() -> None:
    then = datetime.now(timezone(timedelta(hours=9))) + timedelta(seconds=90)
    assert _retry_after(format_datetime(then)) == pytest.approx(90, abs=5)


NO_TIMES = [None, "", " ", "0", "-5", "1.5", "soon", "inf", "nan", "1e3", "Wed, 21 Oct 2015 07:28:00 GMT"]
NO_TIMES += [
    "Wed, 99 Oct 2115 07:28:00 GMT",
    "Fri, 31 Dec 99999 23:59:59 GMT",
    "Fri, 31 Dec 2100 23:59:59 +999999999999",
]


@pytest.mark.parametrize("value", NO_TIMES)
def test_what_is_no_time_to_wait_is_none(value: str | None) -> None:
    assert _retry_after(value) is None


@given(st.text() | st.text("0123456789 :,-+.GMTWedOct"))
def test_whatever_retry_after_says_is_a_positive_number_or_none(value: str) -> None:
    seconds = _retry_after(value)
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
        ("Try again in " + "9" * 5000 + " seconds", float("inf")),
        ("", None),
    ],
)
def test_the_time_to_wait_is_taken_from_the_hubs_words(said: str, seconds: float | None) -> None:
    assert _said_wait(said) == seconds


# What was said


def words(body: bytes | str, **headers: str) -> str:
    with responses.RequestsMock() as mock:
        mock.get(URL, body=body, headers=headers)
        return _words(requests.get(URL, stream=True, timeout=5))


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


# What is asked for


@pytest.mark.parametrize("token", ["abc.def-ghi_123", "a+b/c==", "a&b=c#d%20"])
def test_the_build_token_reaches_the_hub_as_it_is_and_shows_nowhere_else(token: str) -> None:
    hub = BinderHub("https://hub.example.org/binder", build_token=token)
    parts = urlsplit(hub.build_url(RepoSpec("org/repo", "a?b")))
    assert parts.path == "/binder/build/gh/org/repo/a%3Fb"
    assert parse_qs(parts.query, strict_parsing=True) == {"build_token": [token]}
    assert token not in f"{hub!r} {hub.url}"


def test_without_a_build_token_nothing_follows_the_ref() -> None:
    url = BinderHub("https://hub.example.org").build_url(RepoSpec("org/repo", "main"))
    assert url == "https://hub.example.org/build/gh/org/repo/main"


# What a session's server says


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    """Return a session whose trouble is not waited out."""
    monkeypatch.setattr("clinder.session._PATIENCE", 0.0)
    return Session(URL, TOKEN)


PAGE = "<html><title>Some page</title></html>"


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected"),
    [
        (200, {"Content-Type": "text/html"}, PAGE, SessionUnreachable),
        (200, {}, "[]", SessionUnreachable),
        (200, {}, "null", SessionUnreachable),
        (200, {}, "no JSON", SessionUnreachable),
        (200, {}, "[" * 100_000, SessionUnreachable),
        (200, {}, '{"started": "2026-01-01T00:00:00Z"}', SessionUnreachable),
        (204, {}, "", SessionUnreachable),
        (302, {"Location": "/hub/user/x/api/status"}, "", SessionGone),
        (307, {"Location": "/hub/user/x/api/status"}, "", SessionGone),
        (302, {"Location": "/user/x/login?next=%2Fuser"}, "", SessionUnreachable),
        (302, {"Location": "https://sso.example.org/login"}, "", SessionUnreachable),
        (302, {}, "", SessionUnreachable),
        (401, {}, "", WrongToken),
        (403, {}, '{"message": "Forbidden"}', WrongToken),
        (404, {}, '{"message": "Not Found"}', SessionGone),
        (410, {}, "", SessionGone),
        (418, {}, "", SessionUnreachable),
        (424, {}, "", SessionGone),
        (500, {}, '{"message": "oops"}', SessionUnreachable),
        (502, {}, PAGE, SessionUnreachable),
        (503, {"Content-Type": "text/html"}, PAGE, SessionUnreachable),
        (503, {"Content-Type": "text/html"}, "<title>JupyterHub</title>", SessionGone),
        (503, {"Content-Type": "text/html"}, '<a href="/services/hub/home">Of another name</a>', SessionGone),
        (599, {}, "", SessionUnreachable),
    ],
)
def test_an_odd_answer_is_no_status(
    web: responses.RequestsMock,
    session: Session,
    status: int,
    headers: dict[str, str],
    body: str,
    expected: type[SessionError],
) -> None:
    web.get(f"{URL}api/status", status=status, headers=headers, body=body)
    with pytest.raises(SessionError) as caught:
        session.status()
    assert caught.type is expected
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "kernels", "connections"),
    [
        ({"kernels": 2, "connections": 1}, 2, 1),
        ({"kernels": 2}, 2, 0),
        ({"kernels": "2", "connections": None}, 0, 0),
        ({"kernels": [1, 2], "connections": {"a": 1}, "more": "things"}, 0, 0),
    ],
)
def test_counts_that_are_none_are_zero(
    web: responses.RequestsMock, session: Session, said: dict[str, Any], kernels: int, connections: int
) -> None:
    web.get(f"{URL}api/status", json=said)
    status = session.status()
    assert (status.kernels, status.connections) == (kernels, connections)
    assert isinstance(status.started, str)


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {}, ""),
        (200, {"Content-Type": "text/html; charset=UTF-8"}, ""),
        (200, {"Content-Type": "application/json"}, "{}"),
        (204, {}, ""),
    ],
)
def test_an_answer_of_jupyter_server_is_a_shutdown(
    web: responses.RequestsMock, session: Session, status: int, headers: dict[str, str], body: str
) -> None:
    web.post(f"{URL}api/shutdown", status=status, headers=headers, body=body)
    assert session.stop() is True


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected"),
    [
        (200, {"Content-Type": "text/html"}, PAGE, SessionUnreachable),
        (200, {"Content-Type": "Text/HTML"}, PAGE, SessionUnreachable),
        (301, {"Location": "https://other.example.org/"}, "", SessionUnreachable),
        (302, {"Location": "/user/x/login"}, "", SessionUnreachable),
        (401, {}, "", WrongToken),
        (405, {}, PAGE, SessionUnreachable),
        (500, {}, "", SessionUnreachable),
        (503, {}, PAGE, SessionUnreachable),
    ],
)
def test_an_odd_answer_is_no_shutdown(
    web: responses.RequestsMock,
    session: Session,
    status: int,
    headers: dict[str, str],
    body: str,
    expected: type[SessionError],
) -> None:
    web.post(f"{URL}api/shutdown", status=status, headers=headers, body=body)
    with pytest.raises(SessionError) as caught:
        session.stop()
    assert caught.type is expected
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "headers"), [(404, {}), (410, {}), (424, {}), (302, {"Location": "https://hub.example.org/hub/user/x/"})]
)
def test_a_refusal_in_place_of_a_server_that_is_gone_is_no_wrong_token(
    web: responses.RequestsMock, session: Session, status: int, headers: dict[str, str]
) -> None:
    web.post(f"{URL}api/shutdown", status=403, headers={"Content-Type": "text/html"}, body=PAGE)
    web.get(f"{URL}api", status=status, headers=headers)
    assert session.stop() is False


def test_a_refusal_by_a_server_that_is_there_is_a_wrong_token(web: responses.RequestsMock, session: Session) -> None:
    web.post(f"{URL}api/shutdown", status=403, json={"message": "Forbidden"})
    web.get(f"{URL}api", json={"version": "2.21.0"})
    with pytest.raises(WrongToken):
        session.stop()


def test_a_refusal_that_nobody_can_explain_leaves_it_open_whether_the_server_runs(
    web: responses.RequestsMock, session: Session
) -> None:
    web.post(f"{URL}api/shutdown", status=403)
    web.get(f"{URL}api", body=requests.ConnectionError("reset"))
    with pytest.raises(SessionUnreachable, match="may still be running"):
        session.stop()


def test_only_on_this_machine_a_closed_port_is_a_server_that_has_ended(
    web: responses.RequestsMock, session: Session
) -> None:
    web.post(f"{URL}api/shutdown", body=requests.ConnectionError(ConnectionRefusedError(111, "Connection refused")))
    with pytest.raises(SessionUnreachable, match="connection refused"):
        session.stop(0.1)


def test_a_token_that_is_given_counts_more_than_that_in_the_uri() -> None:
    assert Session.parse(f"{URL}?token=old", "new").token == "new"


def test_a_pause_is_a_minute_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    launch = _Launch([BinderHub("https://hub.example.org")], RepoSpec("org/repo"), 1e9, None)
    for attempts in (1, 2, 50, 2000):
        launch._pause(_Trouble("It broke"), attempts)
    assert all(
        low <= pause <= high for pause, (low, high) in zip(pauses, [(0.5, 1), (1, 2), (30, 60), (30, 60)], strict=True)
    )


def test_the_token_is_in_a_header_alone(web: responses.RequestsMock, session: Session) -> None:
    web.post(f"{URL}api/shutdown")
    session.stop()
    request = web.calls[0].request
    assert request.headers["Authorization"] == f"token {TOKEN}"
    assert TOKEN not in f"{request.url} {request.body!r}"


def test_the_result_of_a_session_is_json_that_leads_back_to_it(session: Session) -> None:
    content = json.loads(json.dumps(session.as_dict()))
    assert Session.parse(content["uri"]).env == {"JUPYTER_BASE_URL": content["url"], "JUPYTER_TOKEN": content["token"]}
