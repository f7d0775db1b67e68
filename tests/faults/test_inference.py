"""The real command with little said: what it launches, what its log says first, and what it asks of whom."""

import json
import sys
from pathlib import Path

import pytest

from tests.conftest import Clinder
from tests.support.git import Git
from tests.support.hub import TOKEN, FaultyHub

SHA = "0123456789abcdef0123456789abcdef01234567"
GITHUB = {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "org/ci", "GITHUB_SHA": SHA, "GITHUB_EVENT_NAME": "push"}


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """A checkout with a commit that its remote has."""
    git = Git(tmp_path, monkeypatch)
    git.commit()
    git("remote", "add", "origin", "https://me:secret@github.com/org/repo.git")
    git.pushed()
    return git


def test_a_checkout_is_launched_at_its_commit_without_git(clinder: Clinder, git: Git) -> None:
    with FaultyHub() as hub:
        done = clinder("start", hub.url, cwd=git.path, env={"PATH": ""})
        assert (done.returncode, done.stdout) == (0, f"{hub.session_url}?token={TOKEN}\n")
        assert hub.builds[0].path == f"/build/gh/org/repo/{git.head}"
        assert done.stderr.splitlines()[0] == (
            f"clinder: launching gh/org/repo/{git.head} on {hub.url} "
            "(repository and commit from the git checkout, remote origin)"
        )
        assert "warning" not in done.stderr
        assert "secret@" not in done.stderr


def test_run_in_a_checkout_with_a_myst_yml_needs_no_options(clinder: Clinder, git: Git) -> None:
    with FaultyHub() as hub:
        (git.path / "myst.yml").write_text(f"project: {{github: org/repo, jupyter: {{binder: {{url: '{hub.url}'}}}}}}")
        done = clinder("run", "--", sys.executable, "-c", "print('done')", cwd=git.path)
        assert (done.returncode, done.stdout) == (0, "done\n")
        assert hub.builds[0].path == f"/build/gh/org/repo/{git.head}"
        said = "(repository from myst.yml, commit from the git checkout, remote origin, hub from myst.yml)"
        assert done.stderr.splitlines()[0].endswith(said)


def test_a_commit_that_was_not_pushed_is_warned_about(clinder: Clinder, git: Git) -> None:
    commit = git.commit()
    with FaultyHub() as hub:
        done = clinder("start", hub.url, cwd=git.path)
        assert done.returncode == 0
        assert f"warning: commit {commit[:10]} is on no branch of that remote" in done.stderr.splitlines()[1]


def test_in_ci_it_is_what_ci_builds(clinder: Clinder, git: Git) -> None:
    event = {"head": {"sha": git.head, "repo": {"full_name": "fork/ci"}}, "base": {"sha": SHA, "ref": "main"}}
    path = git.path / "event.json"
    path.write_text(json.dumps({"pull_request": {"number": 7, **event}}))
    request = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": str(path)}
    with FaultyHub() as hub:
        assert clinder("start", hub.url, cwd=git.path, env=GITHUB).returncode == 0
        done = clinder("start", hub.url, cwd=git.path, env=GITHUB | request)
        assert [build.path for build in hub.builds] == [f"/build/gh/org/ci/{SHA}", f"/build/gh/fork/ci/{git.head}"]
        assert "from GitHub Actions, head of pull request 7)" in done.stderr.splitlines()[0]


def test_a_build_token_is_not_sent_to_a_hub_that_myst_yml_named(clinder: Clinder, git: Git) -> None:
    with FaultyHub() as hub:
        (git.path / "myst.yml").write_text(f"project: {{binder: '{hub.url}'}}")
        done = clinder("start", cwd=git.path, env={"CLINDER_BUILD_TOKEN": "jwt-secret"})
        assert (done.returncode, done.stdout, hub.requests) == (2, "", [])
        assert f"The build token is not sent to {hub.url}, which myst.yml named" in done.stderr
        assert "jwt-secret" not in done.stderr
        assert clinder("start", hub.url, cwd=git.path, env={"CLINDER_BUILD_TOKEN": "jwt-secret"}).returncode == 0
        assert hub.builds[0].path.endswith("?build_token=jwt-secret")


def test_nothing_found_lists_what_was_looked_at_and_says_what_to_do(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        done = clinder("start", hub.url, env={"PATH": ""})
        assert (done.returncode, done.stdout, hub.requests) == (2, "", [])
    problem, advice, _ = done.stderr.splitlines()
    assert problem.startswith("clinder: error: No repository to launch: none was given; no variables of GitHub Actions")
    assert f"no myst.yml with a project is in {clinder.directory} or above it" in problem
    assert f"{clinder.directory} is in no git checkout" in problem
    assert "--repo org/repo" in advice


def test_a_remote_that_no_hub_could_reach_is_named_without_its_password(clinder: Clinder, git: Git) -> None:
    git("remote", "set-url", "origin", "ssh://me:secret@work/repo")
    done = clinder("start", cwd=git.path)
    assert done.returncode == 2
    assert f"the git checkout {git.path} has no remote that a hub could reach (origin: ssh://work/repo)" in done.stderr


@pytest.mark.parametrize("content", ["project:\n\tx", "[" * 20_000, "- x", "project: {binder: {repo: [x]}}"])
def test_a_broken_myst_yml_is_three_lines_and_no_traceback(clinder: Clinder, git: Git, content: str) -> None:
    (git.path / "myst.yml").write_text(content)
    done = clinder("start", cwd=git.path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 3)
    assert "myst.yml" in done.stderr.splitlines()[0]
