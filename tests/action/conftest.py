"""The real container and the real hub: the fixtures `image`, `checkout` and `hub`. Tests that take one are marked.

`pytest -m docker` runs those tests alone, `-m "not docker"` all others. Without an engine they fail: .ci/docker/engine
starts one, .ci/docker/base-image and act-image make what it needs.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.hub.conftest import hub as hub  # the fixture, for the tests here as well
from tests.support.git import copy_this_tree


def executable(name: str) -> str:
    """The path of a command of this environment's, whether or not it is active."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    assert found, f"no {name}: it is in requirements/dev.txt"
    return found


def docker(*words: str) -> str:
    """Run a command of Docker's; return what it prints."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"docker {' '.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


@contextmanager
def lock(name: str, mode: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a lock that all processes of this machine share. BlockingIOError if LOCK_NB is asked for and it is taken."""
    with (Path(tempfile.gettempdir()) / f"clinder-tests-{os.getuid()}-{name}.lock").open("a") as file:
        fcntl.flock(file, mode)
        yield


@pytest.fixture(scope="session")
def engine() -> None:
    """A Docker engine that answers. There is no test without it that proves the same: none is skipped."""
    try:
        done = subprocess.run(["docker", "version"], capture_output=True, text=True, check=False, timeout=30)
    except FileNotFoundError:
        pytest.fail("no docker command: run .ci/docker/engine")
    if done.returncode != 0:
        pytest.fail(f"no Docker engine answers: run .ci/docker/engine\n{done.stderr}")


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a runner has of the Action: this working tree, without what git ignores."""
    return copy_this_tree(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def image(engine: None, checkout: Path) -> Iterator[str]:  # noqa: ARG001
    """The name of the Action's image, built as a runner does. Of several processes the first builds the layers."""
    name = f"clinder-test:{uuid.uuid4().hex}"
    with lock("build"):
        docker("build", "--tag", name, str(checkout))
    yield name
    with lock("act"), lock("build"):  # it takes layers along that a build may just be about to use
        docker("image", "rm", "--force", name)
