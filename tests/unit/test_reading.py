"""What is asked for, and what a session's server says in its answers."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses

from clinder import BinderHub, RepoSpec, Session, SessionError, SessionGone, SessionUnreachable, WrongToken

URL = "https://hub.example.org/user/x/"
TOKEN = "secret-token"


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


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


def test_the_token_is_in_a_header_alone(web: responses.RequestsMock, session: Session) -> None:
    web.post(f"{URL}api/shutdown")
    session.stop()
    request = web.calls[0].request
    assert request.headers["Authorization"] == f"token {TOKEN}"
    assert TOKEN not in f"{request.url} {request.body!r}"


def test_the_result_of_a_session_is_json_that_leads_back_to_it(session: Session) -> None:
    content = json.loads(json.dumps(session.as_dict()))
    assert Session.parse(content["uri"]).env == {"JUPYTER_BASE_URL": content["url"], "JUPYTER_TOKEN": content["token"]}
