"""A file of the web that myst.yml extends: read over https, within bounds, and only when nothing else names a hub."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clinder.target.remote import read_remote
from clinder.target.target import resolve_target
from tests.conftest import Clinder
from tests.support.hub import Exchange, FaultyHub, SecureHub

LIMIT = 1000
SHARED = "project: {jupyter: {binder: {url: 'https://shared.example.org/'}}, binder: {repo: sha/red}}"


def page(body: str, status: str = "200 OK", more: str = "") -> Callable[[Exchange], None]:
    return lambda exchange: exchange.page(status, body, "text/plain", more)


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., SecureHub]:
    """Return a server whose certificate is trusted from now on."""

    def serve(*answers: Callable[[Exchange], None]) -> SecureHub:
        server = SecureHub(tmp_path, *answers)
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        return server

    return serve


Serve = Callable[..., SecureHub]


def myst(directory: Path, text: str) -> Path:
    (directory / "project").mkdir(exist_ok=True)
    (directory / "project" / "myst.yml").write_text(text)
    return directory / "project"


def lines(directory: Path, **said: object) -> tuple[str, ...]:
    return resolve_target(environ={}, directory=directory, repo="org/repo", **said).lines  # type: ignore[arg-type]


def test_the_hub_of_a_file_that_is_extended_is_found_and_gets_no_build_token(trusted: Serve, tmp_path: Path) -> None:
    with trusted(page(SHARED)) as web:
        url = f"{web.url}build/gh/shared.yml"
        target = resolve_target(
            environ={}, directory=myst(tmp_path, f"{{extends: {url}, project: {{github: org/repo}}}}")
        )
        assert target.hubs == ("https://shared.example.org/",)
        assert target.spec == ("org/repo", "HEAD", "gh"), "the file is read for the hub alone"
        assert target.lines[0].endswith(f"(repository from myst.yml, hub from {url}, which myst.yml extends)")
        assert target.hub_inferred
        [request] = web.requests
        sent = {name.lower() for name in request.headers}
        assert not sent & {"cookie", "authorization", "referer"}


@pytest.mark.parametrize("said", [{"hub": "https://hub.example.org"}, {"remote_extends": False}])
def test_nothing_is_read_when_a_hub_was_said_or_reading_is_forbidden(
    trusted: Serve, tmp_path: Path, said: dict[str, object]
) -> None:
    with trusted(page(SHARED)) as web:
        directory = myst(tmp_path, f"extends: {web.url}build/x.yml")
        warned = [line for line in lines(directory, **said) if "was not read" in line]
        assert len(warned) == ("remote_extends" in said)
        own = "project: {binder: {url: 'https://own.example.org'}}"
        assert lines(myst(tmp_path, f"extends: {web.url}build/x.yml\n{own}"))[0].endswith("(hub from myst.yml)")
        assert web.requests == []


def test_a_key_that_the_project_has_itself_is_not_filled(trusted: Serve, tmp_path: Path) -> None:
    with trusted(page(SHARED)) as web:
        directory = myst(
            tmp_path, f"{{extends: {web.url}build/x.yml, project: {{jupyter: {{binder: {{ref: main}}}}}}}}"
        )
        assert "on https://mybinder.org/ (hub by default)" in lines(directory)[0]


def slowly(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
    for _ in range(100):
        exchange.send(b"#")
        time.sleep(0.1)


WRONG = {
    "HTTP 404": page("no", "404 Not Found"),
    "larger than 1,000 bytes": page("#" * 1001),
    "no answer in time": slowly,
    "redirected in circles": page("", "302 Found", "Location: /build/x.yml\r\n"),
    "not over https": page("", "302 Found", "Location: http://127.0.0.1:9/x.yml\r\n"),
    "Not a URL": page("", "302 Found", "Location: file:///etc/passwd\r\n"),
    "Invalid IPv6 URL": page("", "302 Found", "Location: //[\r\n"),
}


@pytest.mark.parametrize("why", WRONG)
def test_what_can_not_be_read_is_an_error_that_says_why_and_soon(trusted: Serve, why: str) -> None:
    with trusted(WRONG[why]) as web:
        began = time.monotonic()
        with pytest.raises(OSError, match=why):
            read_remote(f"{web.url}build/x.yml", LIMIT, 2.0)
        assert time.monotonic() - began < 8, "all of the answer would take ten"


def test_a_file_without_tls_is_never_asked_for(tmp_path: Path) -> None:
    with FaultyHub(page(SHARED)) as web:
        url = f"{web.url}build/x.yml"
        warned = lines(myst(tmp_path, f"extends: {url}"))[1]
        assert warned.startswith(f"warning: {url}, which myst.yml extends, was not read (not over https).")
        assert "CLINDER_HUB" in warned
        assert web.requests == []


def test_the_command_goes_on_with_a_warning_where_the_file_is_not_to_be_had(clinder: Clinder) -> None:
    (clinder.directory / "myst.yml").write_text("{extends: 'https://127.0.0.1:9/x.yml', project: {github: org/repo}}")
    done = clinder("start", "--timeout", "1", "--no-remote-extends", env={"https_proxy": "http://127.0.0.1:9"})
    assert "warning: https://127.0.0.1:9/x.yml, which myst.yml extends, was not read" in done.stderr
