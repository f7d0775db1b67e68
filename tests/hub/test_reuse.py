"""`--reuse-image` on a real BinderHub whose builds take time: a change of prose does not build."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Clinder
from tests.support.git import git
from tests.support.session import user

from .serve import RealHub

BUILD = ["waiting", "fetching", "building"]


class Author:
    """Somebody with a checkout of org/built-..., of which the hub has no image yet."""

    def __init__(self, clinder: Clinder, hub: RealHub) -> None:
        self._clinder, self._hub = clinder, hub
        self.repo = f"org/built-{uuid.uuid4().hex[:8]}"
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("remote", "add", "origin", f"https://github.com/{self.repo}")

    def git(self, *words: str) -> str:
        return git(self._clinder.directory, *words)

    def commit(self, name: str, text: str) -> str:
        """Commit and push a file."""
        Path(self._clinder.directory, name).write_text(text)
        self.git("add", name)
        self.git("commit", "--quiet", "--message", f"{name}: {text}")
        self.git("update-ref", "refs/remotes/origin/main", "HEAD")
        return self.git("rev-parse", "HEAD")

    def start(self, *words: str) -> tuple[dict[str, Any], list[str], str]:
        """What `clinder start` printed, the phases that it went through, and its log."""
        done = self._clinder("start", self._hub.url, "--json", *words, timeout=120)
        assert done.returncode == 0, done.stderr
        started: dict[str, Any] = json.loads(done.stdout)
        assert user(started["url"]) in self._hub.servers()
        return started, re.findall(r"^==> (\w+) ", done.stderr, re.MULTILINE), done.stderr


@pytest.fixture
def author(clinder: Clinder, hub: RealHub) -> Author:
    return Author(clinder, hub)


def test_commits_of_prose_are_built_without_reuse_and_not_with_it(author: Author) -> None:
    environment = author.commit("environment.yml", "dependencies: []")
    started, phases, _ = author.start("--reuse-image")
    assert phases[:3] == BUILD
    assert (started["repo"], started["ref"]) == (author.repo, environment)
    assert started["instead_of"] is None

    for text in ("one", "two"):
        prose = author.commit("index.md", text)
        started, phases, log = author.start("--reuse-image")
        assert phases == ["built", "launching", "ready"]
        assert (started["repo"], started["ref"]) == (author.repo, environment)
        assert started["image"].endswith(f":{environment}")
        assert started["instead_of"] == {"provider": "gh", "repo": author.repo, "ref": prose}
        [line] = [line for line in log.splitlines() if "reusing the image" in line]
        assert environment[:10] in line
        assert prose[:10] in line

    started, phases, _ = author.start()
    assert phases[:3] == BUILD
    assert started["ref"] == prose


def test_a_change_of_the_environment_is_built_and_then_reused(author: Author) -> None:
    author.commit("environment.yml", "dependencies: []")
    author.start("--reuse-image")
    changed = author.commit("apt.txt", "cowsay")
    started, phases, log = author.start("--reuse-image")
    assert phases[:3] == BUILD
    assert started["ref"] == changed
    assert (
        f"no image is reused: {changed[:10]} itself changed the environment (apt.txt; narrow: apt.txt, environment.yml)"
        in log
    )
    author.commit("index.md", "prose")
    started, phases, _ = author.start("--reuse-image")
    assert phases == ["built", "launching", "ready"]
    assert started["ref"] == changed


def test_a_command_runs_in_the_session_of_the_reused_image(author: Author, clinder: Clinder, hub: RealHub) -> None:
    author.commit("environment.yml", "dependencies: []")
    author.start("--reuse-image")
    author.commit("index.md", "prose")
    done = clinder("run", hub.url, "--reuse-image", "--", "sh", "-c", 'echo "$JUPYTER_BASE_URL"', timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{hub.jupyterhub_url}user/")
    assert "==> building" not in done.stderr
