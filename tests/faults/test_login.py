"""A hub with a login: who is sent its token, which token opens the session, and what is said when none does."""

import json
import logging
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from requests.auth import HTTPBasicAuth

from clinder import BinderHub, HubRefused, Image, RepoSpec, Session, TokenAuth, UsageError
from clinder.jupyterhub import find_jupyterhub, remove_server, servers_of, token_of
from clinder.testing import Request
from tests.conftest import Clinder, Signalled
from tests.support.hub import TOKEN, Answer, Exchange, FaultyHub, failed, http, launch, ready_at_once, redirect
from tests.support.runner import Job

HUB_TOKEN = "0123456789abcdef-hub-secret"
RUNNING = "User jane already has a running server.\n"
REFUSED = "does not accept the token of CLINDER_HUB_TOKEN"


class LoginHub(FaultyHub):
    """A BinderHub behind JupyterHub's login, and that JupyterHub. Its servers are opened by an API token alone.

    `opens` are the tokens that open a server, `removed` what was removed by the API and `may_remove` whether the token
    has the scope for that.
    """

    def __init__(self, *script: Answer) -> None:
        super().__init__(*script)
        self.session_url = f"{self.url}user/jane/"
        self.opens = {HUB_TOKEN}
        self.may_remove = True
        self.removed: list[str] = []
        self.servers_in_books = {"": {"url": "/user/jane/"}, "two": {"url": "/user/jane/two/"}}
        self.login = "/hub/api/oauth2/authorize?client_id=service-binder"

    def _choose(self, request: Request) -> Answer:
        answer = super()._choose(request)
        if "/build/" in request.path:
            return answer if self._knows(request) else failed("Forbidden\n", status_code=403)
        if request.path == "/":
            return http("302 Found", f"Location: {self.login}\r\n")
        if request.path.startswith("/hub/"):
            return self._answer_of_jupyterhub
        return self.session or self._answer_of_a_server

    def _knows(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"token {HUB_TOKEN}"

    def _answer_of_jupyterhub(self, exchange: Exchange) -> None:
        request = exchange.request
        if not self._knows(request):
            exchange.page("403 Forbidden", '{"message": "Missing or invalid credentials."}', "application/json")
        elif request.method == "DELETE":
            if self.may_remove:
                self.removed.append(request.path)
            exchange.page("204 No Content" if self.may_remove else "403 Forbidden")
        else:
            exchange.page("200 OK", json.dumps({"name": "jane", "servers": self.servers_in_books}), "application/json")

    def _answer_of_a_server(self, exchange: Exchange) -> None:
        request, more = exchange.request, "X-JupyterHub-Version: 6.1.0\r\n"
        if request.headers.get("authorization", "").removeprefix("token ") not in self.opens:
            exchange.page("403 Forbidden", '{"message": "Forbidden"}', "application/json", more)
        elif request.path.endswith("api/shutdown"):
            self.reach("shut down")
            exchange.page("200 OK", more=more)
        else:
            exchange.page("200 OK", json.dumps({"kernels": 0, "connections": 0}), "application/json", more)

    @property
    def shut_down(self) -> bool:
        return "shut down" in self.reached


def tokens_sent(hub: FaultyHub) -> set[str]:
    """The tokens that a hub was sent with anything but requests to a server's token-protected API."""
    return {request.headers.get("authorization", "") for request in hub.requests}


@contextmanager
def with_token(clinder: Clinder) -> Iterator[Clinder]:
    clinder.env["CLINDER_HUB_TOKEN"] = HUB_TOKEN
    yield clinder


def start(clinder: Clinder, hub: FaultyHub, *more: str) -> "tuple[int, str, str]":
    done = clinder("start", hub.url, "--repo", "org/repo", "--json", *more)
    assert HUB_TOKEN not in done.stderr
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


# Whence the token is, and which one opens the session


def test_without_a_token_the_error_says_what_to_set(clinder: Clinder) -> None:
    with LoginHub() as hub:
        code, _, said = start(clinder, hub)
        assert (code, len(hub.builds)) == (1, 1)
        assert "This hub needs a login: set CLINDER_HUB_TOKEN (the Action's hub-token)" in said
        assert tokens_sent(hub) == {""}


@pytest.mark.parametrize("where", ["variable", "file", "pipe"])
def test_the_hubs_token_launches_opens_the_session_and_is_what_is_delivered(clinder: Clinder, where: str) -> None:
    words: list[str] = []
    if where == "variable":
        clinder.env["CLINDER_HUB_TOKEN"] = HUB_TOKEN
    elif where == "file":
        clinder.env["CLINDER_HUB_TOKEN"] = "another"
        (clinder.directory / "token").write_text(f"{HUB_TOKEN}\n")
        words = ["--hub-token-file", "token"]
    with LoginHub() as hub:
        if where == "pipe":
            done = clinder(
                *("start", hub.url, "--repo", "org/repo", "--json", "--hub-token-file", "/dev/stdin"), input=HUB_TOKEN
            )
            code, printed, said = done.returncode, done.stdout, done.stderr
        else:
            code, printed, said = start(clinder, hub, *words)
        assert code == 0, said
        session = json.loads(printed)
        assert (session["url"], session["token"]) == (hub.session_url, HUB_TOKEN)
        assert said.count("JUPYTER_TOKEN is the hub token, because only that opens this session") == 1
        asked = [request.headers["authorization"] for request in hub.requests if request.path.endswith("api/status")]
        assert asked == [f"token {TOKEN}", f"token {HUB_TOKEN}"]


def test_a_session_that_its_own_token_opens_is_delivered_with_that(clinder: Clinder) -> None:
    with with_token(clinder), LoginHub() as hub:
        hub.opens = {TOKEN}
        code, printed, said = start(clinder, hub)
        assert (code, json.loads(printed)["token"]) == (0, TOKEN)
        assert "hub token" not in said


def test_run_gives_the_command_the_hubs_token_and_removes_the_server(clinder: Clinder) -> None:
    with with_token(clinder), LoginHub() as hub:
        done = clinder("run", hub.url, "--repo", "org/repo", "-q", "--", "printenv", "JUPYTER_TOKEN")
        assert (done.returncode, done.stdout) == (0, f"{HUB_TOKEN}\n")
        assert HUB_TOKEN not in done.stderr
        assert (hub.shut_down, hub.removed) == (True, ["/hub/api/users/jane/server"])


def test_the_library_takes_an_auth_object_of_requests(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    class Bearer(requests.auth.AuthBase):
        def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["Authorization"] = f"token {HUB_TOKEN}"
            return request

    for auth in (TokenAuth(HUB_TOKEN), Bearer()):
        with LoginHub() as hub, BinderHub(hub.url, auth=auth).launch(RepoSpec("org/repo")) as session:
            assert (session.token, session.hub_token) == (HUB_TOKEN, HUB_TOKEN)
    assert HUB_TOKEN not in caplog.text
    for thing in (TokenAuth(HUB_TOKEN), BinderHub("https://x.org", auth=TokenAuth(HUB_TOKEN)), session):
        assert HUB_TOKEN not in f"{thing} {thing!r}"


def test_an_image_is_built_on_such_a_hub() -> None:
    with LoginHub() as hub:
        image = BinderHub(hub.url, auth=TokenAuth(HUB_TOKEN)).build(RepoSpec("org/repo"))
        assert image == Image(hub.url, "im/age:1", built=False)
        assert hub.shut_down
        assert BinderHub(hub.url, auth=TokenAuth(HUB_TOKEN)).members() == []


# To whom it is sent


def test_no_fallback_hub_is_sent_the_token(clinder: Clinder) -> None:
    full = failed("Too many users on this BinderHub! Try again soon.\n")
    with with_token(clinder), LoginHub(full) as first, FaultyHub() as second:
        code, printed, said = start(clinder, first, "--fallback-hub", second.url)
        assert (code, json.loads(printed)["hub"]) == (0, second.url), said
        assert f"token {HUB_TOKEN}" in tokens_sent(first)
        assert f"token {HUB_TOKEN}" not in tokens_sent(second)


def test_no_redirect_to_another_origin_carries_the_token_and_one_within_does(clinder: Clinder) -> None:
    def elsewhere_here(exchange: Exchange) -> None:
        exchange.page("307 Moved", more=f"Location: /there{exchange.request.path}\r\n")

    with FaultyHub() as other, with_token(clinder):
        with LoginHub(redirect(other)) as hub:
            code, printed, _ = start(clinder, hub)
            assert (code, json.loads(printed)["token"]) == (0, TOKEN)
            assert f"token {HUB_TOKEN}" not in tokens_sent(other)
        with LoginHub(elsewhere_here, ready_at_once) as hub:
            assert start(clinder, hub)[0] == 0
            assert [request.headers.get("authorization") for request in hub.builds] == [f"token {HUB_TOKEN}"] * 2


def test_a_redirect_that_comes_back_carries_it_no_more(clinder: Clinder) -> None:
    there: list[Answer] = []
    with with_token(clinder), LoginHub(lambda exchange: there[0](exchange), ready_at_once) as hub:
        with FaultyHub(redirect(hub)) as other:
            there.append(redirect(other))
            code, _, said = start(clinder, hub)
        assert (code, REFUSED in said) == (1, True)
        assert [request.headers.get("authorization") for request in hub.builds] == [f"token {HUB_TOKEN}", None]


def test_whatever_else_an_auth_object_adds_stays_at_the_origin_as_well() -> None:
    def key(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["X-Api-Key"] = "key-secret"
        return request

    with FaultyHub() as other, FaultyHub(redirect(other)) as hub:
        session = BinderHub(hub.url, auth=key).launch(RepoSpec("org/repo"))
        assert (session.token, session.hub_token) == (TOKEN, None)
        assert hub.builds[0].headers["x-api-key"] == "key-secret"
        assert all("x-api-key" not in request.headers for request in other.requests)


def test_no_member_of_another_origin_is_sent_the_token(clinder: Clinder) -> None:
    with FaultyHub() as member, LoginHub(redirect(member)) as hub, with_token(clinder):
        hub.active_hosts = http("200 OK", body=json.dumps({"active_hosts": {"one": {"url": member.url}}}))
        done = clinder("build", hub.url, "--all-members", "--repo", "org/repo")
        assert (done.returncode, len(member.builds)) == (0, 1), done.stderr
        assert f"token {HUB_TOKEN}" not in tokens_sent(member)


def test_a_hub_that_only_a_file_named_is_not_sent_the_token(clinder: Clinder) -> None:
    with with_token(clinder), LoginHub() as hub:
        (clinder.directory / "myst.yml").write_text(f"project: {{jupyter: {{binder: {{url: '{hub.url}'}}}}}}")
        done = clinder("start", "--repo", "org/repo")
        assert (done.returncode, hub.requests) == (2, [])
        assert f"The hub token is not sent to {hub.url}, which myst.yml named." in done.stderr


def test_a_server_elsewhere_is_not_sent_the_token_whatever_the_stream_says(clinder: Clinder) -> None:
    """A repository writes into the stream by its build's log, and must not be able to name a server there."""
    with FaultyHub() as evil, with_token(clinder):
        evil.session = http("403 Forbidden", body='{"message": "Forbidden"}')

        def ready_elsewhere(exchange: Exchange) -> None:
            exchange.stream()
            exchange.event("ready", "server running\n", url=evil.session_url, token="theirs")
            exchange.wait_for_close()

        with LoginHub(ready_elsewhere) as hub:
            code, printed, said = start(clinder, hub)
            assert (code, printed) == (1, "")
            assert "accepts no token" in said
            assert tokens_sent(evil) == {"token theirs"}


def test_a_server_of_the_jupyterhub_that_the_login_leads_to_is_sent_the_token(clinder: Clinder) -> None:
    with LoginHub() as jupyterhub, with_token(clinder):

        def ready_there(exchange: Exchange) -> None:
            exchange.stream()
            exchange.event("ready", "server running\n", url=jupyterhub.session_url, token="of-no-use")
            exchange.wait_for_close()

        with LoginHub(ready_there) as hub:
            hub.login = f"{jupyterhub.url}hub/api/oauth2/authorize?client_id=service-binder"
            code, printed, said = start(clinder, hub)
            assert code == 0, said
            assert json.loads(printed)["token"] == HUB_TOKEN


# What goes wrong


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (failed("Forbidden\n", status_code=403), REFUSED),
        (failed("user jane is not allowed.\n", status_code=403), "access:services!service=binder"),
        (http("200 OK", body="user jane is not allowed.\n"), "access:services!service=binder"),
        (http("401 Unauthorized"), REFUSED),
        (failed("Requests from AWS are not allowed\n", status_code=403), "bans the network"),
    ],
    ids=["event", "scope", "scope, 2018", "HTTP", "ban"],
)
def test_a_refused_token_is_told_from_none(clinder: Clinder, answer: Answer, words: str) -> None:
    with with_token(clinder), LoginHub(answer) as hub:
        code, _, said = start(clinder, hub)
        assert (code, len(hub.builds)) == (1, 1)
        assert words in said
        assert "needs a login" not in said


@pytest.mark.parametrize("may_remove", [True, False])
def test_a_session_that_no_token_opens_is_removed_if_that_may_be_and_the_scope_is_named(
    clinder: Clinder, may_remove: bool
) -> None:
    with with_token(clinder), LoginHub() as hub:
        hub.opens, hub.may_remove = set(), may_remove
        code, printed, said = start(clinder, hub)
        assert (code, printed, len(hub.builds)) == (1, "", 1)
        assert "access:servers!user" in said
        assert hub.removed == (["/hub/api/users/jane/server"] if may_remove else [])
        assert ("may be left" in said) is not may_remove


@pytest.mark.parametrize("message", [RUNNING, "User jane already has the maximum of 2 named servers.\n"])
def test_a_user_who_has_servers_already_is_told_which_and_how_to_stop_them(clinder: Clinder, message: str) -> None:
    with with_token(clinder), LoginHub(failed(message, status_code=409)) as hub:
        code, _, said = start(clinder, hub)
        assert (code, len(hub.builds)) == (1, 1)
        assert message.strip() in said
        assert f"JUPYTER_BASE_URL={hub.session_url} JUPYTER_TOKEN=$CLINDER_HUB_TOKEN clinder stop" in said
        assert f"This user has: {hub.session_url}, {hub.session_url}two/" in said
        env = {"JUPYTER_BASE_URL": hub.session_url, "JUPYTER_TOKEN": HUB_TOKEN}
        assert clinder("stop", env=env).returncode == 0
        assert hub.removed == ["/hub/api/users/jane/server"]


@pytest.mark.parametrize(
    "servers", [None, [], {"": None}, {"": {"url": 1}}, {"": {"url": "http://[/"}}, {"": {"url": "a\nb"}}]
)
def test_what_jupyterhub_says_of_servers_may_be_anything(clinder: Clinder, servers: object) -> None:
    with with_token(clinder), LoginHub(failed(RUNNING, status_code=409)) as hub:
        hub.servers_in_books = servers  # type: ignore[assignment]
        code, _, said = start(clinder, hub)
        assert (code, "on the page hub/home" in said) == (1, True)


def test_what_the_hub_repeats_of_the_token_is_not_shown(clinder: Clinder) -> None:
    def repeats(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("waiting", f"{HUB_TOKEN} may launch\n")
        exchange.event("failed", f"No, {HUB_TOKEN}", status_code=400)

    with with_token(clinder), LoginHub(repeats) as hub:
        code, _, said = start(clinder, hub)
        assert (code, "... may launch" in said, "No, ..." in said) == (1, True, True)


@pytest.mark.parametrize("token", ["two words", "a\nb", "\u00fc", "x" * 5000])
@pytest.mark.parametrize("where", ["variable", "file"])
def test_a_token_that_can_be_none_is_a_usage_error_that_does_not_repeat_it(
    clinder: Clinder, token: str, where: str
) -> None:
    (clinder.directory / "token").write_text(token)
    env = {"CLINDER_HUB_TOKEN": token} if where == "variable" else {}
    words = ["--hub-token-file", "token"] if where == "file" else []
    done = clinder("start", "https://hub.example.org", "--repo", "org/repo", *words, env=env)
    assert (done.returncode, done.stdout) == (2, "")
    assert token not in done.stderr
    assert "token" in done.stderr


@pytest.mark.parametrize("path", ["missing", ".", "empty"])
def test_a_file_without_a_token_is_a_usage_error(clinder: Clinder, path: str) -> None:
    (clinder.directory / "empty").write_text("\n")
    done = clinder("start", "https://hub.example.org", "--repo", "org/repo", "--hub-token-file", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "file of the hub token" in done.stderr


# The end of a server


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("user/jane/", "/hub/api/users/jane/server"),
        ("user/jane/two/", "/hub/api/users/jane/servers/two"),
        ("user/j%40x/a%20b/", "/hub/api/users/j%40x/servers/a%20b"),
        ("prefix/user/jane/", None),  # this JupyterHub has none
        ("elsewhere/", None),
        ("user/%2e%2e/", None),
        ("user/jane/a/b/", None),
    ],
)
def test_a_server_of_jupyterhubs_own_kind_is_removed_by_its_api_after_its_end(path: str, asked: str | None) -> None:
    with LoginHub() as hub:
        assert Session(hub.url + path, HUB_TOKEN).stop() is True
        assert hub.shut_down
        assert hub.removed == ([asked] if asked else [])
        assert len(hub.requests) <= 2


@pytest.mark.parametrize("may_remove", [True, False])
def test_a_launch_that_is_cancelled_leaves_no_server(clinder: Clinder, may_remove: bool) -> None:
    clinder.env["CLINDER_HUB_TOKEN"] = HUB_TOKEN
    with LoginHub(launch(1)) as hub:
        hub.may_remove = may_remove
        process = clinder.begin("start", hub.url, "--repo", "org/repo")
        hub.wait_until("launching")
        done = Signalled(process, signal.SIGTERM)
        assert (done.code, done.stdout, hub.shut_down) == (143, "", True)
        assert (hub.removed == ["/hub/api/users/jane/server"]) is may_remove
        assert "may be left" not in done.stderr


def test_a_server_that_may_not_be_removed_has_ended_all_the_same() -> None:
    with LoginHub() as hub:
        hub.may_remove = False
        assert Session(hub.session_url, HUB_TOKEN).stop() is True


def test_a_server_of_another_kind_is_stopped_with_one_request() -> None:
    with FaultyHub() as hub:
        assert Session(hub.session_url, TOKEN).stop() is True
        assert len(hub.requests) == 1


def test_a_jupyterhub_that_does_not_answer_makes_a_stop_no_failure() -> None:
    def silent(exchange: Exchange) -> None:
        exchange.wait_for_close(10)

    with LoginHub() as hub:
        hub._answer_of_jupyterhub = silent  # type: ignore[method-assign]
        assert Session(hub.session_url, HUB_TOKEN).stop(timeout=1) is True


# Its parts


@pytest.mark.parametrize(
    ("location", "found"),
    [
        ("https://h.org/hub/api/oauth2/authorize?client_id=x", "https://h.org/"),
        ("https://h.org/a/b/hub/login?next=/hub/", "https://h.org/a/b/"),
        ("/hub/api/oauth2/authorize", "{hub}"),
        ("https://h.org/login", None),
        ("https://u:p@h.org/hub/login", None),
        ("javascript:/hub/login", None),
        ("http://[/hub/login", None),
        ("https://h.org/" + "hub/" * 900 + "x", None),
        ("", None),
    ],
)
def test_the_jupyterhub_is_where_the_login_leads_to(location: str, found: str | None) -> None:
    with LoginHub() as hub:
        hub.login = location
        expected = found.format(hub=hub.url) if found else None
        assert find_jupyterhub(hub.url, lambda: None) == expected


def test_a_jupyterhub_out_of_reach_knows_nothing() -> None:
    with FaultyHub() as hub:
        hub.die()
        assert find_jupyterhub(hub.url, lambda: None) is None
        assert servers_of(hub.url, HUB_TOKEN, lambda: None) == []
        assert remove_server(hub.session_url, HUB_TOKEN, lambda: None) is False


def test_the_token_of_an_auth_object_is_the_one_that_it_sends() -> None:
    assert token_of(TokenAuth("abc"), "https://h.org/") == "abc"
    assert token_of(HTTPBasicAuth("user", "pass"), "https://h.org/") is None
    assert token_of(lambda request: request, "https://h.org/") is None
    with pytest.raises(UsageError, match=r"^The token is empty"):
        TokenAuth("")


def test_the_library_raises_the_refusal() -> None:
    with LoginHub() as hub, pytest.raises(HubRefused, match="needs a login"):
        BinderHub(hub.url).launch(RepoSpec("org/repo"))


# The Action


def test_the_action_masks_the_token_first_and_delivers_it(tmp_path: Path) -> None:
    with LoginHub() as hub:
        job = Job(tmp_path / "job")
        main = job.main(hub_url=hub.url, hub_token=HUB_TOKEN).finish()
        assert main.code == 0, main.log.raw
        assert main.log.commands[0] == ("add-mask", {}, HUB_TOKEN)
        assert not any(HUB_TOKEN in line for line in main.log.lines)
        assert HUB_TOKEN not in main.summary
        assert main.env["JUPYTER_TOKEN"] == HUB_TOKEN
        assert any("JUPYTER_TOKEN is the hub token" in line for line in main.log.lines)
        post = job.post(main.state)
        assert (post.code, hub.removed) == (0, ["/hub/api/users/jane/server"])


def test_a_token_that_can_be_none_is_an_annotation_of_its_input(tmp_path: Path) -> None:
    main = Job(tmp_path / "job").main(hub_url="https://hub.example.org", hub_token="two words").finish()
    assert main.code == 2
    [(_, message)] = main.log.named("error")
    assert message.startswith("Input hub-token: It is empty")
    assert "two words" not in message


def test_a_token_is_no_option(clinder: Clinder) -> None:
    done = clinder("start", f"--hub-token={HUB_TOKEN}")
    assert (done.returncode, HUB_TOKEN in done.stderr) == (2, False)
    assert not re.search(r"--hub-token\b(?!-file)", clinder("start", "--help").stdout)
    assert os.environ.get("CLINDER_HUB_TOKEN") is None
