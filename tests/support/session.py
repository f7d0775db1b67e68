"""What tests of real servers share: asking them, waiting for them, and finding their processes."""

# mypy: disable-error-code="import-untyped"
from __future__ import annotations

import contextlib
import json
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import websocket

from tests.conftest import Clinder
from tests.hub.serve import RealHub

OTHER_TOKEN = "not-the-token-of-this-session"


def ask(method: str, url: str, token: str) -> requests.Response:
    headers = {"Authorization": f"token {token}"}
    return requests.request(method, url, headers=headers, timeout=30, allow_redirects=False)


def wait_until(condition: Callable[[], bool], timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def running(hub: RealHub, repo: str) -> bool:
    """Whether there is a server for org/`repo`: BinderHub names its users after the repository."""
    return any(name.startswith(f"org-{repo}-") for name in hub.servers())


def printed_by_a_cell(session: dict[str, Any], code: str) -> str:
    """What `code`, run in a new kernel of the session, prints first."""
    url, token = session["url"], session["token"]
    headers = {"Authorization": f"token {token}"}
    kernel = requests.post(f"{url}api/kernels", json={"name": "python3"}, headers=headers, timeout=30)
    channels = f"{url.replace('http', 'ws', 1)}api/kernels/{kernel.json()['id']}/channels"
    identity = {"msg_id": uuid.uuid4().hex, "session": uuid.uuid4().hex, "username": "", "version": "5.4"}
    request = {
        "channel": "shell",
        "header": {**identity, "msg_type": "execute_request"},
        "parent_header": {},
        "metadata": {},
        "content": {"code": code, "silent": False},
    }
    connection = websocket.create_connection(channels, header=headers, timeout=30)
    try:
        connection.send(json.dumps(request))
        while (message := json.loads(connection.recv()))["msg_type"] != "stream":
            assert message["msg_type"] != "error", message["content"]
        return str(message["content"]["text"])
    finally:
        connection.close()


def user(url: str) -> str:
    """The name under which JupyterHub knows the server at this URL."""
    return url.rstrip("/").rpartition("/user/")[2]


def never_within(seconds: float, hub: RealHub, repo: str) -> None:
    """Assert that no server of org/`repo` comes up: a launch goes on at the hub when its client has left."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert not running(hub, repo)
        time.sleep(0.2)


Processes = Callable[[], list[psutil.Process]]


@pytest.fixture
def temporary(clinder: Clinder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This test's own directory for temporary files, in which each server of the embedded hub has one in turn."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    clinder.env["TMPDIR"] = str(directory)
    monkeypatch.setattr(tempfile, "tempdir", str(directory))  # for a hub in this very process
    return directory


@pytest.fixture
def servers(temporary: Path) -> Iterator[Processes]:
    """The processes of this test's servers and their kernels. Those that it leaves are ended after it."""

    def running() -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if is_of_a_session(process, temporary)]

    yield running
    for process in running():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def is_of_a_session(process: psutil.Process, temporary: Path) -> bool:
    try:
        return Path(process.environ().get("JUPYTER_RUNTIME_DIR", "/")).is_relative_to(temporary)
    except (psutil.Error, OSError):  # it has just ended, or is somebody else's
        return False


def wait_for_the_end(servers: Processes, temporary: Path) -> None:
    """Wait until no process is left, and no file. Less than a minute: a server looks that often whether it is idle."""
    wait_until(lambda: not servers() and not list(temporary.iterdir()), timeout=40)
