"""Whole workflows with act: the example that users copy, and that each step stops its own session there too."""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.action.conftest import docker, lock
from tests.hub.serve import RealHub
from tests.support.act import RUNNER, Act, edited
from tests.support.hub import TOKEN, FaultyHub
from tests.support.myst import project, show
from tests.support.runner import ROOT, Job
from tests.support.session import running, user, wait_until

__all__ = ["project"]  # a fixture

EXAMPLE = ROOT / "examples" / "workflows" / "myst.yml"
USES = "      - uses: org/clinder-action@v1\n"
INSTALL = "      - run: npm install --global mystmd@1\n"
BUILT_BY_ACT = "act-org-clinder-action-v1-dockeraction"  # act makes the name up, the same for all


# The rule, with processes


def under_act(tmp_path: Path, name: str, step: str) -> Job:
    return Job(tmp_path / name, env={"ACT": "true", "GITHUB_ACTION": step})


def test_under_act_a_post_step_without_state_stops_the_session_of_its_step(tmp_path: Path) -> None:
    with FaultyHub() as hub:
        job = under_act(tmp_path, "job", "my-step")
        main = job.main(hub_url=hub.url).finish()
        assert main.env.keys() == {"JUPYTER_BASE_URL", "JUPYTER_TOKEN", "CLINDER_STATE_MY_STEP"}
        assert sum(TOKEN in line for line in main.log.raw) == 1, "in the mask alone"
        post = job.post({}, inputs=False)
        assert post.log.lines == [f"Stopped {hub.session_url}"]
        assert post.log.raw[0] == f"::add-mask::{TOKEN}"
        assert hub.stopped == 1


def test_elsewhere_such_a_variable_is_ignored(tmp_path: Path) -> None:
    with FaultyHub() as hub:
        job = Job(tmp_path / "job", env={"GITHUB_ACTION": "x", "CLINDER_STATE_X": f"{hub.session_url} {TOKEN}"})
        job.inputs = {}
        assert job.post({}).log.lines == ["This step started no session: nothing to stop."]
        assert hub.requests == []


def test_under_act_steps_that_share_a_name_stop_their_own_sessions(tmp_path: Path) -> None:
    """As in composite actions. Of three steps the second fails; act runs the post steps of all, the last first."""
    with FaultyHub() as first, FaultyHub() as last:
        job = under_act(tmp_path, "job", "0")
        assert job.main(hub_url=first.url).finish().code == 0
        assert job.main(hub_url="no hub").finish().code == 2
        assert job.main(hub_url=last.url).finish().code == 0

        assert job.post({}).log.lines == [f"Stopped {last.session_url}"]
        assert (first.stopped, last.stopped) == (0, 1)
        assert job.post({}).log.lines == ["This step started no session: nothing to stop."]
        assert (first.stopped, last.stopped) == (0, 1)
        assert job.post({}).log.lines == [f"Stopped {first.session_url}"]
        assert (first.stopped, last.stopped) == (1, 1)


# Whole workflows


@pytest.fixture
def act(engine: None, checkout: Path, project: Path, tmp_path: Path) -> Iterator[Act]:  # noqa: ARG001
    docker("image", "inspect", RUNNER)  # .ci/docker/act-image makes it
    yield Act(project, checkout, tmp_path / "home")
    # What act has built stays behind, and builds at one time leave it nameless. Unless some of it may be in use:
    with suppress(BlockingIOError), lock("act", fcntl.LOCK_EX | fcntl.LOCK_NB), lock("build"):
        nameless = ["--filter", "dangling=true", "--filter", "label=org.opencontainers.image.title=clinder"]
        left = docker("image", "ls", "--quiet", *nameless).split()
        subprocess.run(["docker", "image", "rm", BUILT_BY_ACT, *left], check=False, capture_output=True)


def example(hub: RealHub) -> str:
    """The example as it stands, but on this hub, and without the theme that --html would download."""
    text = edited(USES, f"{USES}        with:\n          hub-url: {hub.url}\n", EXAMPLE.read_text())
    return edited("--html", "--site", text)


def built_on(hub: RealHub, act: Act) -> None:
    """Assert that the cells were executed on a session of this hub, which has ended."""
    assert show(act.repository).stdout.startswith(f"launched by: {hub.url}\n"), act.log
    [url] = act.said("Main", r"clinder: ready: (.*)")
    assert act.said("Post", r"Stopped (.*)") == [url], act.log
    wait_until(lambda: user(url) not in hub.servers())


@pytest.mark.docker
def test_the_example_executes_the_commit_that_was_pushed(act: Act, hub: RealHub) -> None:
    assert act(example(hub)) == 0, act.log
    assert act.said("Main", r"clinder: launching (.*) on .*") == [f"gh/org/repo/{act.commit}"]
    built_on(hub, act)


@pytest.mark.docker
def test_the_example_executes_the_head_of_a_pull_request_in_its_fork(act: Act, hub: RealHub) -> None:
    head = {"ref": "change", "sha": "b" * 40, "repo": {"full_name": "fork/repo"}}
    base = {"ref": "main", "sha": "c" * 40, "repo": {"full_name": "org/repo"}}
    assert act(example(hub), "pull_request", {"number": 1, "pull_request": {"head": head, "base": base}}) == 0, act.log
    assert act.said("Main", r"clinder: launching (.*) on .*") == [f"gh/fork/repo/{'b' * 40}"]
    [url] = act.said("Main", r"clinder: ready: (.*)")
    assert user(url).startswith("fork-repo-"), "as the hub names it"
    built_on(hub, act)


@pytest.mark.docker
def test_a_step_that_fails_after_the_action_still_stops_the_session(act: Act, hub: RealHub) -> None:
    text = edited(INSTALL, "", edited("myst build --execute --site --strict", "exit 3", example(hub)))
    assert act(text) == 1
    [url] = act.said("Main", r"clinder: ready: (.*)")
    assert act.said("Post", r"Stopped (.*)") == [url], act.log
    wait_until(lambda: user(url) not in hub.servers())


WRAPPER = """\
name: wrapper
description: Two sessions, and one that fails. For act these steps have the names of the job's own first three.
runs:
  using: composite
  steps:
    - uses: org/clinder-action@v1
      with: {hub-url: "HUB", repo: org/inner-one}
    - uses: org/clinder-action@v1
      with: {hub-url: "HUB", repo: org/inner-none, ref: no-such-ref}
      continue-on-error: true
    - uses: org/clinder-action@v1
      with: {hub-url: "HUB", repo: org/inner-two}
"""

SEVERAL = """\
name: several
on: push
jobs:
  job:
    runs-on: ubuntu-latest
    steps:
      - uses: org/clinder-action@v1
        with: {hub-url: "HUB", repo: org/outer-one}
      - uses: org/clinder-action@v1
        id: named
        with: {hub-url: "HUB", repo: org/outer-two}
      - uses: actions/checkout@v5
      - uses: ./wrapper
      - run: >
          curl --fail --silent --show-error --write-out '\\n' --header "Authorization: token $TOKEN" "${URL}api/status"
        env:
          URL: ${{ steps.named.outputs.url }}
          TOKEN: ${{ steps.named.outputs.token }}
"""


@pytest.mark.docker
def test_several_uses_in_one_job_stop_their_own_sessions_and_show_no_token(act: Act, hub: RealHub) -> None:
    (act.repository / "wrapper").mkdir()
    (act.repository / "wrapper" / "action.yml").write_text(WRAPPER.replace("HUB", hub.url))
    assert act(SEVERAL.replace("HUB", hub.url)) == 0, act.log
    urls = act.said("Main", r"clinder: ready: (.*)")
    assert [user(url).rpartition("-")[0] for url in urls] == [
        "org-outer-one",
        "org-outer-two",
        "org-inner-one",
        "org-inner-two",
    ]
    assert act.said("Main", r"\s*\{?.*\"(started)\": .*") == ["started"], "by the session, to curl"
    # In the reverse order, and none of them had been stopped by another step.
    assert act.said("Post", r"(Stopped .*|This step started no .*)") == [
        f"Stopped {urls[3]}",
        "This step started no session: nothing to stop.",
        *(f"Stopped {url}" for url in urls[2::-1]),
    ]
    wait_until(lambda: not any(running(hub, repo) for repo in ("outer", "inner")))
