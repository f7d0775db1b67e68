"""act, which runs a whole workflow of GitHub's on this machine."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import uuid
from pathlib import Path
from typing import Any

from tests.action.conftest import executable, lock
from tests.support.git import commit_all, git

RUNNER = "clinder-act-runner"  # see .ci/docker/act-image


class Act:
    """act, in a repository of its own; `messages` is what the last run logged, by step."""

    def __init__(self, repository: Path, checkout: Path, home: Path) -> None:
        self.repository = repository
        self.checkout = checkout
        self.home = home
        git(repository, "init", "--quiet", "--initial-branch", "main")
        git(repository, "remote", "add", "origin", "https://github.com/org/repo")

    def commit_all(self) -> str:
        """Commit everything; return the commit."""
        return commit_all(self.repository)

    def __call__(self, workflow: str, event: str = "push", payload: dict[str, Any] | None = None) -> int:
        """Commit the workflow and run it; return act's exit code."""
        path = self.repository / ".github" / "workflows" / "workflow.yml"
        path.parent.mkdir(parents=True)
        path.write_text(workflow)
        return self.run(path, event, payload)

    def run(
        self,
        workflow: Path,
        event: str = "push",
        payload: dict[str, Any] | None = None,
        repositories: dict[str, Path] | None = None,
    ) -> int:
        """Commit everything and run a workflow; `repositories` are on this machine. Return act's exit code."""
        # By its workflow's name and its own act names a job's container, and removes one that has that name already.
        text = f"\n{workflow.read_text()}"
        workflow.write_text(edited("\nname: ", f"\nname: {uuid.uuid4().hex} ", text))
        self.commit = self.commit_all()
        self.home.mkdir()
        (self.home / "event.json").write_text(json.dumps(payload or {}))
        command = [executable("act"), event, "--json", "--rm", "--bind", "--network", "host", "--no-cache-server"]
        command += ["--platform", f"ubuntu-latest={RUNNER}", "--pull=false"]
        command += ["--local-repository", f"org/clinder-action@v1={self.checkout}"]
        command += ["--workflows", str(workflow)]
        for name, path in (repositories or {}).items():
            command += ["--local-repository", f"{name}={path}"]
        command += ["--eventpath", str(self.home / "event.json")]
        # Nothing of this machine's own act may decide a test.
        env = {
            **os.environ,
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home),
        }
        with lock("act", fcntl.LOCK_SH):
            done = subprocess.run(
                command, cwd=self.repository, env=env, capture_output=True, text=True, check=False, timeout=300
            )
        self.log = done.stdout + done.stderr
        objects = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        self.messages = [(str(one.get("stage")), one["msg"].rstrip("\n")) for one in objects if "msg" in one]
        return done.returncode

    def said(self, stage: str, pattern: str) -> list[str]:
        """What the first group of the pattern is in the messages of a stage, Main or Post, in their order."""
        found = [re.fullmatch(pattern, message) for each, message in self.messages if each == stage]
        return [match[1] for match in found if match]


def edited(old: str, new: str, text: str) -> str:
    assert text.count(old) == 1, f"the example has changed: {old}"
    return text.replace(old, new)
