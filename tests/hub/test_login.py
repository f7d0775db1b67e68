"""A real JupyterHub with tokens, scopes and roles, under a prefix, and BinderHub behind its login.

At `prefixed_url` BinderHub is JupyterHub's service, and gives a user one server; at `url`, another origin, named ones.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clinder import BinderHub, RepoSpec, TokenAuth
from tests.conftest import Clinder
from tests.support.myst import build, project
from tests.support.session import ask, printed_by_a_cell, wait_until

from .serve import RealHub

__all__ = ["project"]  # a fixture

LAUNCH = "access:services!service=binder"
SCOPES = (LAUNCH, "access:servers!user", "servers!user")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealHub]:
    with RealHub(tmp_path_factory.mktemp("login"), login=True) as hub:
        yield hub


def start(clinder: Clinder, url: str, token: str, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    env = {"CLINDER_HUB_TOKEN": token} if token else {}
    done = clinder("start", url, "--repo", "org/repo", "--json", *words, env=env, timeout=150)
    assert done.returncode == code, done.stderr
    assert not token or token not in done.stderr
    return done


@pytest.mark.parametrize("named", [False, True])
def test_the_api_token_opens_the_session_and_a_stop_makes_room_for_the_next(
    clinder: Clinder, hub: RealHub, named: bool
) -> None:
    user = f"again-{named}".lower()
    token = hub.new_token(user, *SCOPES)
    for _ in range(2):
        done = start(clinder, hub.url if named else hub.prefixed_url, token)
        session = json.loads(done.stdout)
        assert session["token"] == token
        assert session["url"].startswith(f"{hub.jupyterhub_url}user/{user}/{'org-repo-' if named else ''}")
        assert "JUPYTER_TOKEN is the hub token" in done.stderr
        assert printed_by_a_cell(session, "print(1 + 1)") == "2\n"
        assert clinder("stop", "-", input=done.stdout).returncode == 0
        assert [name for name in hub.servers_of(user) if name] == []
    assert user not in hub.servers()


@pytest.mark.parametrize("address", ["url", "prefixed_url"])
@pytest.mark.parametrize(
    ("scopes", "words"),
    [
        (None, "This hub needs a login: set CLINDER_HUB_TOKEN"),
        ((), "does not accept the token of CLINDER_HUB_TOKEN"),
        (("access:servers!user",), LAUNCH),
    ],
    ids=["no token", "wrong token", "no scope"],
)
def test_a_login_that_is_missing_is_told_in_words(
    clinder: Clinder, hub: RealHub, address: str, scopes: tuple[str, ...] | None, words: str
) -> None:
    token = "" if scopes is None else hub.new_token("nobody", *scopes) if scopes else "wrong-token"
    assert words in start(clinder, getattr(hub, address), token, code=1).stderr
    assert "nobody" not in hub.servers()


def test_a_token_that_may_not_open_the_server_is_told_so_and_the_server_is_removed(
    clinder: Clinder, hub: RealHub
) -> None:
    token = hub.new_token("closed", LAUNCH, "servers!user")
    assert "access:servers!user" in start(clinder, hub.prefixed_url, token, code=1).stderr
    wait_until(lambda: "closed" not in hub.servers())


def test_who_has_a_server_already_is_told_which_and_how_to_stop_it(clinder: Clinder, hub: RealHub) -> None:
    token = hub.new_token("busy", *SCOPES)
    url = json.loads(start(clinder, hub.prefixed_url, token).stdout)["url"]
    said = start(clinder, hub.prefixed_url, token, code=1).stderr
    assert "User busy already has a running server." in said
    assert f"JUPYTER_BASE_URL={url} JUPYTER_TOKEN=$CLINDER_HUB_TOKEN clinder stop" in said
    assert clinder("stop", env={"JUPYTER_BASE_URL": url, "JUPYTER_TOKEN": token}).returncode == 0
    assert "busy" not in hub.servers()


def test_a_token_without_the_scope_to_remove_ends_the_server_all_the_same(clinder: Clinder, hub: RealHub) -> None:
    token = hub.new_token("ends", LAUNCH, "access:servers!user")
    done = start(clinder, hub.prefixed_url, token)
    assert clinder("stop", "-", input=done.stdout).returncode == 0
    wait_until(lambda: "ends" not in hub.servers())


def test_the_library_launches_stops_and_removes(hub: RealHub) -> None:
    token = hub.new_token("library", *SCOPES)
    with BinderHub(hub.url, auth=TokenAuth(token)).launch(RepoSpec("org/repo")) as session:
        assert session.status().kernels == 0
        assert ask("GET", f"{session.url}api/status", "another").status_code == 403
    assert "library" not in hub.servers()


def test_myst_executes_on_such_a_session(clinder: Clinder, hub: RealHub, project: Path) -> None:
    clinder.env["CLINDER_HUB_TOKEN"] = hub.new_token("author", *SCOPES)
    printed = build(clinder, project, hub.prefixed_url, "--repo", "org/quickstart")
    assert printed[0] == f"launched by: {hub.url}"
    assert "author" not in hub.servers()
