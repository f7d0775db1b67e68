"""What goes wrong between a tool and its kernel: the tool is told as by a local kernel, and `run` says why."""

# mypy: disable-error-code="import-not-found,import-untyped"
from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from clinder import EmbeddedHub, RepoSpec, Session
from tests.support.session import ask, wait_until

from .conftest import Kernel, Offer, offering, paths


class Line:
    """A way to a session that can be cut, or lose what is sent on it."""

    def __init__(self, session: Session) -> None:
        parts = urlsplit(session.url)
        self._to = (parts.hostname, parts.port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.loses = False  # what is sent to the session
        self.is_down = False  # no new connections
        self.url = session.url.replace(f":{parts.port}", f":{self._server.getsockname()[1]}")
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                if self.is_down:
                    client.close()
                    continue
                server = socket.create_connection(self._to)
                self._pairs.append((client, server))
                threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, is_request: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if not (is_request and self.loses):
                    sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """End all connections. New ones are accepted."""
        pairs, self._pairs = self._pairs, []
        for each in (one for pair in pairs for one in pair):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def close(self) -> None:
        self._server.close()
        self.cut()


@pytest.fixture
def line(session: Session) -> Iterator[Line]:
    line = Line(session)
    yield line
    line.close()


@pytest.fixture
def own_session(project: Path) -> Iterator[Session]:
    """A session that a test may end."""
    with EmbeddedHub(str(project)) as hub, hub.launch(RepoSpec("org/repo")) as session:
        yield session


# The connection


@contextlib.contextmanager
def broken(line: Line, offer: Offer) -> Iterator[None]:
    """While this is open there is no connection, and the session's server knows that."""
    line.is_down = True
    line.cut()
    wait_until(lambda: connections(offer) == 0)
    yield
    line.is_down = False


def connections(offer: Offer) -> int:
    """How many websockets the session's server has, asked directly."""
    return offer.session.status().connections


WAITS = """
import pathlib, time
def wait_for(name):
    while not pathlib.Path(name).exists(): time.sleep(0.05)
for n in range(3):
    print("before", n, flush=True)
    wait_for(f"go-{n}")
    print("while", n, flush=True)
    display(n)
    time.sleep(0.5)
    pathlib.Path(f"done-{n}").touch()
"""


def test_what_a_cell_puts_out_while_there_is_no_connection_comes_later(own_session: Session, project: Path) -> None:
    with offering(own_session, project) as direct:
        line = Line(own_session)
        with offering(Session(line.url, own_session.token), project) as offer, offer.kernel() as kernel:

            def breaks() -> None:
                for n in range(3):
                    time.sleep(1)
                    with broken(line, direct):
                        (project / f"go-{n}").touch()
                        wait_until((project / f"done-{n}").exists)

            breaking = threading.Thread(target=breaks)
            breaking.start()
            outputs = kernel.run(WAITS, timeout=60)
            breaking.join()
            assert kernel.printed("print(n)") == "2\n"
        line.close()
    printed = "".join(each["content"].get("text", "") for each in outputs)
    assert printed == "".join(f"before {n}\nwhile {n}\n" for n in range(3))
    assert [each["content"]["data"]["text/plain"] for each in outputs if "data" in each["content"]] == ["0", "1", "2"]
    assert "the connection to the session broke while a cell ran" in offer.warnings[0]


def test_a_cell_that_is_sent_while_there_is_no_connection_runs_once(own_session: Session, project: Path) -> None:
    with offering(own_session, project) as direct:
        line = Line(own_session)
        with offering(Session(line.url, own_session.token), project) as offer, offer.kernel() as kernel:
            kernel.run("x = 0")
            for n in range(1, 4):
                with broken(line, direct):
                    time.sleep(0.5)  # the bridge knows it too
                    msg_id = kernel.client.execute("x += 1; print(x)")
                    time.sleep(0.2)
                while kernel.client.get_shell_msg(timeout=30)["parent_header"]["msg_id"] != msg_id:
                    pass
                assert kernel.printed("print(x)") == f"{n}\n"
        line.close()


def test_a_cell_that_is_lost_with_the_connection_is_no_endless_wait(line: Line, offer: Offer) -> None:
    with offering(Session(line.url, offer.session.token), offer.project) as broken, broken.kernel() as kernel:
        kernel.run("x = 1")
        line.loses = True
        kernel.client.execute("x = 2")
        time.sleep(0.3)
        line.loses = False
        line.cut()
        wait_until(lambda: not kernel.manager.is_alive())
    assert broken.warnings == [
        "warning: the kernel python3: the connection to the session broke while a cell ran: outputs may be missing",
        "warning: the kernel python3: the connection to the session broke, and an answer is lost",
    ]


# The death of a kernel, of a session, of a tool


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "it died in the session."),
        ("import os, signal; os.kill(os.getppid(), signal.SIGKILL)", "The session is gone: its server has ended."),
    ],
    ids=["kernel", "session"],
)
def test_a_death_ends_the_tool_with_its_own_error_at_once(
    own_session: Session, project: Path, code: str, reason: str
) -> None:
    tool = """
import sys, nbclient, nbformat
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(sys.argv[1])])
nbclient.NotebookClient(notebook, kernel_name="python3").execute()
"""
    with offering(own_session, project) as offer:
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", tool, code],
            cwd=project / "notebooks",
            env={**os.environ, **offer.env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert time.monotonic() - began < 45
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1] == "nbclient.exceptions.DeadKernelError: Kernel died"
    (warning,) = offer.warnings
    assert warning.startswith(f"warning: the kernel python3 in notebooks/: {reason}")


def test_a_kernel_that_was_ended_by_others_is_missed(offer: Offer) -> None:
    with offering(offer.session, offer.project) as other, other.kernel() as kernel:
        before = paths(other)
        name = kernel.printed("import os; print(os.environ['JPY_SESSION_NAME'])").strip()
        assert Path(name).name in before
        sessions = ask("GET", f"{other.session.url}api/sessions", other.session.token).json()
        (own,) = [each["kernel"]["id"] for each in sessions if each["path"] == Path(name).name]
        ask("DELETE", f"{other.session.url}api/kernels/{own}", other.session.token)
        kernel.client.execute("print(1)")
        wait_until(lambda: not kernel.manager.is_alive())
    (warning,) = other.warnings
    assert "it is not in the session any more" in warning


TOOL = """
import sys
from jupyter_client.manager import KernelManager
manager = KernelManager()
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout=60)
client.execute("import time; time.sleep(100)")
print(manager.provisioner.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("victim", ["tool", "bridge"])
def test_no_kernel_is_left_when_the_tool_or_the_bridge_is_killed(offer: Offer, victim: str) -> None:
    before = set(paths(offer))
    with subprocess.Popen(
        [sys.executable, "-c", TOOL],
        cwd=offer.project,
        env={**os.environ, **offer.env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as tool:
        assert tool.stdout
        bridge = psutil.Process(int(tool.stdout.readline()))
        assert len(set(paths(offer)) - before) == 1
        (tool if victim == "tool" else bridge).kill()
        wait_until(lambda: set(paths(offer)) == before)
        tool.kill()
    wait_until(lambda: not bridge.is_running())


def test_bridges_end_with_the_offer(session: Session, project: Path) -> None:
    with offering(session, project) as offer:
        manager = offer.manager()
        manager.start_kernel(cwd=str(project), env={**os.environ, **offer.env}, independent=True)
        home = offer.home
        client = manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        client.stop_channels()
    assert not home.exists()
    wait_until(lambda: not manager.is_alive())
    manager.cleanup_resources()


# Bounds


def test_a_kernels_bridge_takes_little_memory(kernel: Kernel) -> None:
    assert kernel.printed("print(1)") == "1\n"
    assert psutil.Process(kernel.pid).memory_info().rss < 40 << 20
