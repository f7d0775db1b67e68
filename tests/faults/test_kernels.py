"""A session's server that is hostile or broken, against a bridge, the process that stands for a kernel."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from clinder import Session, SessionError
from clinder.kernels import offered_kernels, roll
from clinder.kernels.remote import KernelSpec, Remote
from clinder.kernels.specs import write_specs
from clinder.kernels.wire import V1
from tests.conftest import SIGNALS, Clinder, Signalled
from tests.hub.serve import LOOPBACK, free_ports
from tests.support.hub import Exchange, FaultyHub

TOKEN = "the-token-of-the-session"
STATUS = {"started": "", "last_activity": "", "kernels": 1, "connections": 1}
STARTED = {"id": "session-1", "kernel": {"id": "kernel-1"}}


class Server(ThreadingHTTPServer):
    """A Jupyter Server whose ``answers`` are by method and path, and whose websocket sends ``frames``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/user/x/"
        self.answers: dict[str, tuple[int, bytes]] = {
            "GET api/status": (200, json.dumps(STATUS).encode()),
            "GET api/kernels/kernel-1": (200, b"{}"),
            "POST api/sessions": (201, json.dumps(STARTED).encode()),
            "GET api/sessions": (200, b"[]"),
            "DELETE api/sessions/session-1": (204, b""),
        }
        self.frames: list[bytes] = []
        self.upgrade = 101
        self.protocol: str | None = V1
        self.location = ""
        self.asked: list[str] = []
        self.trickle = 0.0

    def refuse(self, *asked: str) -> None:
        """Answer these, and the websocket, with 404."""
        self.upgrade = 404
        for each in asked:
            self.answers.pop(each)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.removeprefix("/user/x/").partition("?")[0]
        self.server.asked.append(f"{self.command} {path} {self.headers.get('Authorization', '')}")
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if path.endswith("/channels"):
            self.websocket()
            return
        status, body = self.server.answers.get(f"{self.command} {path}", (404, b"{}"))
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for byte in body if self.server.trickle else b"":
            self.wfile.write(bytes([byte]))
            time.sleep(self.server.trickle)
        if not self.server.trickle:
            self.wfile.write(body)

    do_POST = do_DELETE = do_GET  # noqa: N815

    def websocket(self) -> None:
        self.close_connection = True
        if self.server.upgrade != 101:
            self.send_response(self.server.upgrade)
            self.send_header("Location", self.server.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        if self.server.protocol:
            self.send_header("Sec-WebSocket-Protocol", self.server.protocol)
        self.end_headers()
        for frame in self.server.frames:
            self.wfile.write(frame)
        self.rfile.read1(1 << 16)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


class Bridge:
    """What became of the process that a tool would have started."""

    def __init__(self, server: Server, home: Path, timeout: float = 30) -> None:
        write_specs(home, {"python3": KernelSpec("python", "Python 3")}, {}, home)
        argv = json.loads((home / "kernels" / "python3" / "kernel.json").read_text())["argv"]
        names = [f"{channel}_port" for channel in ("shell", "iopub", "stdin", "control", "hb")]
        connection: dict[str, object] = dict(zip(names, free_ports([LOOPBACK] * 5), strict=True))
        connection |= {"transport": "tcp", "ip": "127.0.0.1", "key": "key", "signature_scheme": "hmac-sha256"}
        file = home / "connection.json"
        file.write_text(json.dumps(connection))
        done = subprocess.run(
            [word.replace("{connection_file}", str(file)) for word in argv],
            env={**os.environ, "JUPYTER_BASE_URL": server.url, "JUPYTER_TOKEN": TOKEN},
            cwd=home,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        self.code = done.returncode
        self.output = done.stdout + done.stderr
        self.trouble = roll.trouble(home)


def frame(payload: bytes, opcode: int = 2, size: int | None = None) -> bytes:
    """A frame of RFC 6455, which may lie about its size."""
    return bytes([0x80 | opcode, 127]) + struct.pack(">Q", len(payload) if size is None else size) + payload


def v1(*parts: bytes, channel: bytes = b"iopub") -> bytes:
    offsets = [8 * (len(parts) + 3)]
    for part in (channel, *parts):
        offsets.append(offsets[-1] + len(part))
    return struct.pack(f"<Q{len(offsets)}Q", len(offsets), *offsets) + channel + b"".join(parts)


def status(state: str) -> bytes:
    return v1(b'{"msg_type": "status"}', b"{}", b"{}", json.dumps({"execution_state": state}).encode())


DEEP = b"[" * 60_000

NO_MESSAGE = {
    "nothing": b"",
    "few bytes": b"\x01",
    "no parts": struct.pack("<Q", 0),
    "parts without end": struct.pack("<Q", 1 << 63),
    "more parts than bytes": struct.pack("<Q", 9_999),
    "an offset before the parts": struct.pack("<3Q", 2, 0, 24),
    "an offset behind the end": struct.pack("<3Q", 2, 24, 1 << 60),
    "offsets that go back": struct.pack("<4Q", 3, 32, 4, 32),
    "few parts": v1(b"{}", b"{}"),
    "a channel that is none": v1(b"{}", b"{}", b"{}", b"{}", channel=b"\xff\x00"),
    "a header that is no JSON": v1(b"\xff", b"{}", b"{}", b"{}"),
    "a header that is no object": v1(b"1", b"{}", b"{}", b"{}"),
    "a header of numbers": v1(b'{"msg_type": 1}', b"{}", b"{}", b"{}"),
    "a header without end": v1(b'{"msg_type": "' + b"x" * 100_000 + b'"}', b"{}", b"{}", b"{}"),
    "a deep header": v1(DEEP, b"{}", b"{}", b"{}"),
    "a deep parent": v1(b"{}", DEEP, b"{}", b"{}"),
    "a deep status": v1(b'{"msg_type": "status"}', b"{}", b"{}", DEEP),
}


@pytest.mark.parametrize("data", NO_MESSAGE.values(), ids=NO_MESSAGE)
def test_what_is_no_message_ends_the_bridge_with_a_word_and_no_traceback(
    server: Server, tmp_path: Path, data: bytes
) -> None:
    server.frames = [frame(data)]
    bridge = Bridge(server, tmp_path)
    assert (bridge.code, bridge.output) == (1, "")
    (words,) = bridge.trouble
    assert words.startswith("the kernel python3: ")
    assert "DELETE api/sessions/session-1" in " ".join(server.asked)
    assert not list(tmp_path.glob("bridge-*"))


NOTICE = {
    "name": "stderr",
    "text": "IOPub message rate exceeded.\nThe Jupyter server will temporarily stop sending output\nto the client",
}

ENDS: dict[str, tuple[Callable[[Server], object], str]] = {
    "a kernel that died": (lambda s: s.frames.append(frame(status("dead"))), "it died in the session."),
    "a kernel that restarts": (lambda s: s.frames.append(frame(status("restarting"))), "it died in the session."),
    "a message of 4 EiB": (lambda s: s.frames.append(frame(b"", size=1 << 62)), "an output is larger than 256 MiB"),
    "a message that is too large there": (
        lambda s: s.frames.append(frame(struct.pack(">H", 1009), opcode=8)),
        "the session's server takes no message as large as this",
    ),
    "a limit on outputs": (
        lambda s: s.frames.append(frame(v1(b'{"msg_type": "stream"}', b"{}", b"{}", json.dumps(NOTICE).encode()))),
        "outputs are lost",
    ),
    "no such kernel": (
        lambda s: s.answers.update({"POST api/sessions": (501, b'{"message": "No \\u001b[31m::error::kernel\\n"}')}),
        "The session answered with HTTP 501: No ::error::kernel",
    ),
    "a kernel without an id": (
        lambda s: s.answers.update({"POST api/sessions": (201, b'{"id": "x", "kernel": {"id": 1}}')}),
        "The session does not say which kernel it has started",
    ),
    "an id that is a path": (
        lambda s: s.answers.update({"POST api/sessions": (201, b'{"id": "x", "kernel": {"id": "../../x"}}')}),
        "The session does not say which kernel it has started",
    ),
    "an answer without end": (
        lambda s: s.answers.update({"POST api/sessions": (201, b"[" * (1 << 23))}),
        "The session does not say which kernel it has started",
    ),
    "a wrong token": (
        lambda s: s.answers.update({"POST api/sessions": (403, b"{}"), "GET api/status": (403, b"{}")}),
        "The server does not accept this token",
    ),
    "a kernel that is gone": (
        lambda s: s.refuse("GET api/kernels/kernel-1"),
        "it is not in the session any more",
    ),
    "a session that is gone": (
        lambda s: s.refuse(*s.answers),
        "The session",
    ),
}


@pytest.mark.parametrize("case", ENDS)
def test_the_reason_of_an_end_is_told(server: Server, tmp_path: Path, case: str) -> None:
    prepare, words = ENDS[case]
    prepare(server)
    bridge = Bridge(server, tmp_path)
    assert (bridge.code, bridge.output) == (1, "")
    (told,) = bridge.trouble
    assert told.startswith(f"the kernel python3: {words}")
    assert TOKEN not in told


def test_a_redirect_carries_the_token_nowhere(server: Server, tmp_path: Path) -> None:
    other = Server()
    threading.Thread(target=other.serve_forever, args=(0.05,), daemon=True).start()
    server.upgrade, server.location = 302, f"{other.url}api/kernels/kernel-1/channels"
    server.answers.pop("GET api/kernels/kernel-1")
    assert Bridge(server, tmp_path).code == 1
    assert other.asked == []
    other.shutdown()
    other.server_close()


def test_a_server_that_trickles_is_given_up(server: Server) -> None:
    remote = Remote(Session(server.url, TOKEN))
    server.trickle = 0.3
    server.answers["POST api/sessions"] = (201, b" " * 1000)
    began = time.monotonic()
    with pytest.raises(SessionError):
        remote.start("python3", "x.ipynb", timeout=1)
    assert time.monotonic() - began < 30, "all of it would take five minutes"


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_wait_for_a_session_that_does_not_say_its_kernels(clinder: Clinder, number: int) -> None:
    with FaultyHub() as hub:

        def keep_silent(exchange: Exchange) -> None:
            if exchange.request.path.endswith("api/kernelspecs"):
                hub.reach("asked")
                exchange.wait_for_close()
            else:
                hub._answer_for_a_server(exchange)

        hub.session = keep_silent
        process = clinder.begin("run", hub.url, "--repo", "org/repo", "--kernels", "--", sys.executable, "-c", "")
        hub.wait_until("asked")
        done = Signalled(process, number)
        assert (done.code, hub.stopped) == (128 + number, 1)
        assert done.seconds < 8


def specs_of(server: Server, content: object) -> dict[str, KernelSpec]:
    server.answers["GET api/kernelspecs"] = (200, json.dumps(content).encode())
    return Remote(Session(server.url, TOKEN)).specs()


@pytest.mark.parametrize("content", [{}, [], {"kernelspecs": []}, {"kernelspecs": None}, 1])
def test_a_session_that_does_not_say_its_kernels_is_an_error(server: Server, content: object) -> None:
    with pytest.raises(SessionError, match="does not say which kernels it has"):
        specs_of(server, content)


def test_a_kernels_name_is_no_path_and_its_words_are_clean(server: Server) -> None:
    spec = {"spec": {"language": "R\x1b[2J", "display_name": "a\nb" + "x" * 1000}}
    names = ["..", ".", "../x", "a/b", "", "x" * 101, "ä", "a b", "\n", "ir", "r-4.5_x", ".hidden", "IR", "Ir"]
    found = specs_of(server, {"kernelspecs": dict.fromkeys(names, spec) | {"none": None, "list": {"spec": []}}})
    assert sorted(found) == [".hidden", "ir", "r-4.5_x"]
    assert found["ir"].language == "R"
    assert len(found["ir"].display_name) == 100


def test_what_is_offered_is_gone_afterwards_and_nobody_else_can_read_it(server: Server, tmp_path: Path) -> None:
    content = {"kernelspecs": {"python3": {"spec": {"language": "python", "display_name": "Python 3"}}}}
    server.answers["GET api/kernelspecs"] = (200, json.dumps(content).encode())
    notes: list[str] = []
    with offered_kernels(Session(server.url, TOKEN), tmp_path, notes.append, notes.append) as env:
        home = Path(env["JUPYTER_PATH"].split(os.pathsep)[0])
        assert home.stat().st_mode & 0o077 == 0
        assert TOKEN not in (home / "kernels" / "python3" / "kernel.json").read_text()
    assert not home.exists()
    assert notes == ["kernels of the session: python3"]


def test_a_bridge_that_was_killed_leaves_no_kernel(server: Server, tmp_path: Path) -> None:
    content = {"kernelspecs": {"python3": {"spec": {"language": "python"}}}}
    server.answers["GET api/kernelspecs"] = (200, json.dumps(content).encode())
    server.answers["GET api/sessions"] = (200, b'[{"id": "session-1", "path": "a/b.ipynb"}, {"id": "2", "path": "c"}]')
    with offered_kernels(Session(server.url, TOKEN), tmp_path, print, print) as env:
        home = Path(env["JUPYTER_PATH"].split(os.pathsep)[0])
        os.close(roll.enter(home, "b", "a/b.ipynb"))  # the lock goes with the process, or with its descriptor
        deadline = time.monotonic() + 20
        while list(home.glob("bridge-*")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert [each for each in server.asked if each.startswith("DELETE")] == [
        f"DELETE api/sessions/session-1 token {TOKEN}"
    ]
