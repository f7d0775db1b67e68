"""The files for CI without Actions: their commands, run as written on a real hub."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.action.conftest import docker
from tests.hub.serve import HERE, RealHub
from tests.support.act import RUNNER
from tests.support.git import git
from tests.support.myst import project, show
from tests.support.runner import ROOT
from tests.support.session import user, wait_until

__all__ = ["project"]  # a fixture

CI = ROOT / "examples" / "ci"
HEAD = "d" * 40


def gitlab() -> list[str]:
    script: list[str] = yaml.safe_load((CI / ".gitlab-ci.yml").read_text())["build"]["script"]
    return script


def read_the_docs() -> list[str]:
    commands: list[str] = yaml.safe_load((CI / ".readthedocs.yaml").read_text())["build"]["commands"]
    return commands


def netlify() -> list[str]:
    return [str(netlify_config()["config"]["build"]["command"])]


def netlify_config() -> dict[str, Any]:
    """The file as Netlify's own reader takes it, which refuses what is wrong."""
    reader = HERE / "node_modules" / ".bin" / "netlify-config"
    done = subprocess.run(
        [reader, "--offline", f"--config={CI / 'netlify.toml'}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    content: dict[str, Any] = json.loads(done.stdout)
    return content


# The commands, the variables that say what is built (on a request), and what is launched then.
HOSTS = {
    "gitlab": (
        gitlab,
        {
            "GITLAB_CI": "true",
            "CI_PROJECT_URL": "https://gitlab.com/group/project",
            "CI_COMMIT_SHA": HEAD,
            "CI_MERGE_REQUEST_IID": "7",
            "CI_MERGE_REQUEST_SOURCE_PROJECT_URL": "https://gitlab.com/fork/project",
        },
        "gl/fork/project/",
    ),
    "netlify": (
        netlify,
        {"NETLIFY": "true", "REPOSITORY_URL": "https://github.com/org/site", "COMMIT_REF": HEAD},
        "gh/org/site/",
    ),
    "read the docs": (
        read_the_docs,
        {
            "READTHEDOCS": "True",
            "READTHEDOCS_GIT_CLONE_URL": "https://github.com/org/docs.git",
            "READTHEDOCS_GIT_COMMIT_HASH": HEAD,
            "READTHEDOCS_OUTPUT": "/tmp/output",
        },
        "gh/org/docs/",
    ),
}


def test_netlifys_own_reader_takes_it() -> None:
    build = netlify_config()["config"]["build"]
    assert build["publish"].endswith("_build/html")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install clinder` will find, once it is published."""
    directory = tmp_path_factory.mktemp("wheels")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", f"--wheel-dir={directory}", str(ROOT)]
    subprocess.run(command, check=True)
    return directory


@pytest.mark.docker
@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("host", HOSTS)
def test_the_build_commands_run_as_written(host: str, wheels: Path, project: Path, hub: RealHub) -> None:
    docker("image", "inspect", RUNNER)
    commands, env, launched = HOSTS[host]
    git(project, "init", "--quiet")
    (project / "requirements.txt").write_text("numpy\n")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "environment")
    environment = git(project, "rev-parse", "HEAD")
    git(project, "commit", "--quiet", "--allow-empty", "--message", "prose")
    commit = git(project, "rev-parse", "HEAD")
    env = {name: commit if value == HEAD else value for name, value in env.items()}
    env |= {"CLINDER_HUB": hub.url, "PIP_FIND_LINKS": "/wheels", "PIP_ROOT_USER_ACTION": "ignore"}
    # --html would download a theme.
    script = "\n".join(commands()).replace("--html", "--site").replace("_build/html", "_build/site")
    words = ["docker", "run", "--rm", "--network", "host", "--workdir", "/project"]
    words += [f"--volume={project}:/project", f"--volume={wheels}:/wheels:ro"]
    words += [word for name, value in env.items() for word in ("--env", f"{name}={value}")]
    done = subprocess.run(
        [*words, RUNNER, "bash", "-e", "-c", script], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    reused = "--reuse-image" in script
    assert f"launching {launched}{environment if reused else commit} on {hub.url}" in done.stderr
    assert show(project).stdout.startswith(f"launched by: {hub.url}\n")
    [url] = re.findall(r"^server running at (\S+)", done.stderr, re.MULTILINE)
    wait_until(lambda: user(url) not in hub.servers())
