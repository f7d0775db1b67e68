"""The facts about BinderHub, JupyterHub and jupyter-server that clinder is built on, without clinder.

When one of these fails after an update of requirements.in, look at clinder, not only here.
"""

# mypy: disable-error-code="import-not-found,import-untyped"
from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.session import OTHER_TOKEN, ask, printed_by_a_cell, running, wait_until

from .serve import RealHub

Event = dict[str, Any]


def events(binder_url: str, spec: str) -> Generator[Event]:
    """The build stream of gh/`spec`, keepalives left out, to its end or to where the caller leaves it."""
    headers = {"Accept": "text/event-stream"}
    url = f"{binder_url}build/gh/{spec}"
    with requests.get(url, headers=headers, stream=True, timeout=60) as response:
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        for line in response.iter_lines():
            if line.startswith(b"data:"):
                yield json.loads(line.removeprefix(b"data:"))


def events_to_the_last(binder_url: str, spec: str) -> list[Event]:
    """Those up to `ready` or `failed`. After `ready` the hub keeps the stream open for another minute."""
    seen = []
    for event in events(binder_url, spec):
        seen.append(event)
        if event["phase"] in {"ready", "failed"}:
            break
    return seen


@pytest.fixture(scope="module")
def session(hub: RealHub) -> Event:
    """A live session, by the `ready` event that delivered it. No test that takes it may end it."""
    return events_to_the_last(hub.url, "org/repo/HEAD")[-1]


@pytest.fixture(params=["url", "prefixed_url"])
def binder_url(hub: RealHub, request: pytest.FixtureRequest) -> str:
    return str(getattr(hub, request.param))


def test_an_image_that_exists_is_launched_at_once(binder_url: str, hub: RealHub) -> None:
    built, launching, ready = events_to_the_last(binder_url, "org/found/HEAD")
    assert [built["phase"], launching["phase"], ready["phase"]] == ["built", "launching", "ready"]
    assert ready["url"].startswith(f"{hub.jupyterhub_url}user/org-found-")
    assert ready["url"].endswith("/")
    assert ready["token"]
    assert ready["image"] == built["imageName"]
    assert ready["url"].split("/")[-2] in hub.servers()


def test_an_image_that_does_not_exist_is_built_with_a_log_before_it_is_launched(binder_url: str) -> None:
    phases = [event["phase"] for event in events_to_the_last(binder_url, "org/slow-repo/HEAD")]
    assert list(dict.fromkeys(phases)) == ["waiting", "fetching", "building", "built", "launching", "ready"]
    assert phases.count("building") > 20


def test_the_hub_itself_says_that_a_ref_does_not_resolve(binder_url: str) -> None:
    (event,) = events_to_the_last(binder_url, "org/repo/no-such-ref")
    assert event["phase"] == "failed"
    assert event["message"].startswith("Could not resolve ref for gh:org/repo/no-such-ref.")


def test_a_branch_with_a_slash_in_its_name_resolves_to_a_commit(hub: RealHub) -> None:
    name, commit = events_to_the_last(hub.url, "org/repo/feature/x")[-1]["image"].split(":")
    assert name.startswith("org-2drepo-")
    assert len(commit) == 40


def test_a_commit_resolves_to_itself(hub: RealHub) -> None:
    commit = "0123456789abcdef" * 2 + "01234567"
    assert events_to_the_last(hub.url, f"org/repo/{commit}")[-1]["image"].endswith(f":{commit}")


def test_a_client_that_leaves_during_the_launch_leaves_a_server_behind(hub: RealHub) -> None:
    stream = events(hub.url, "org/left-early/HEAD")
    assert [next(stream)["phase"], next(stream)["phase"]] == ["built", "launching"]
    stream.close()
    wait_until(lambda: running(hub, "left-early"))


def test_a_cell_sees_what_only_the_session_sets_and_not_the_ci_that_asked_for_it(session: Event) -> None:
    names = ["CLINDER_TEST_HUB", "BINDER_LAUNCH_HOST", "CI"]
    code = f"import json, os; print(json.dumps([os.environ.get(name) for name in {names}]))"
    real, launch_host, ci = json.loads(printed_by_a_cell(session, code))
    assert real == "real"
    assert launch_host.startswith("http://")
    assert ci is None


def test_a_session_tells_its_status_to_who_has_its_token(session: Event) -> None:
    status = ask("GET", f"{session['url']}api/status", session["token"])
    assert status.status_code == 200
    assert set(status.json()) == {"started", "last_activity", "connections", "kernels"}


def test_a_session_refuses_its_status_to_a_wrong_token_in_json(session: Event) -> None:
    refusal = ask("GET", f"{session['url']}api/status", OTHER_TOKEN)
    assert refusal.status_code == 403
    assert refusal.headers["Content-Type"] == "application/json"
    assert "X-JupyterHub-Version" not in refusal.headers


def test_a_session_refuses_to_shut_down_for_a_wrong_token_with_a_page(session: Event) -> None:
    """A page like the one that the hub has for a session that is gone, but without the hub's header."""
    refusal = ask("POST", f"{session['url']}api/shutdown", OTHER_TOKEN)
    assert refusal.status_code == 403
    assert refusal.headers["Content-Type"] == "text/html"
    assert "X-JupyterHub-Version" not in refusal.headers
    assert ask("GET", f"{session['url']}api/status", session["token"]).status_code == 200


def test_a_session_that_shuts_down_is_unavailable_until_the_hub_answers_in_its_place(hub: RealHub) -> None:
    session = events_to_the_last(hub.url, "org/stopped/HEAD")[-1]
    url, token = session["url"], session["token"]
    shutdown = ask("POST", f"{url}api/shutdown", token)
    assert (shutdown.status_code, shutdown.content) == (200, b"")

    meanwhile = []
    until = time.monotonic() + 60
    while (status := ask("GET", f"{url}api/status", token)).status_code != 302:
        meanwhile.append(status)
        assert time.monotonic() < until
    # 200: it is still about to end. How long 503 lasts depends on when the hub looks next.
    assert {answer.status_code for answer in meanwhile} <= {200, 503}
    unavailable = [answer for answer in meanwhile if answer.status_code == 503]
    assert {answer.headers["Content-Type"] for answer in unavailable} <= {"text/html"}
    assert not any("X-JupyterHub-Version" in answer.headers for answer in unavailable)

    assert status.headers["Location"].startswith("/hub/user/org-stopped-")
    again = ask("POST", f"{url}api/shutdown", token)
    assert again.status_code == 403
    assert again.headers["Content-Type"] == "text/html"
    assert "X-JupyterHub-Version" in again.headers
    wait_until(lambda: not running(hub, "stopped"))


def test_a_hub_whose_harness_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    harness = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("serve.py"))],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    of_the_hub = RealHub(tmp_path).processes
    with harness:
        try:
            assert harness.stdout
            binder_url = harness.stdout.readline().split()[-1]
            assert events_to_the_last(binder_url, "org/repo/HEAD")[-1]["phase"] == "ready"
            assert len(of_the_hub()) >= 4  # JupyterHub, its proxy, BinderHub and the session's server
        finally:
            harness.kill()  # also after a failure, because the block's end waits for its end
    wait_until(lambda: not of_the_hub())
