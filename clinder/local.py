"""The embedded hub, ``local``: a small BinderHub on a loopback port, for a first try without a real hub.

It has the protocol of BinderHub (``GET build/<provider>/<spec>``, server-sent events, all the phases), but it builds no
image. It launches a jupyter-server of this Python environment, in a process of its own and with a new token. The server
goes on when the hub ends. It ends with ``POST api/shutdown``, or when it has been idle.
"""

import json
import os
import secrets
import select
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO
from urllib.parse import urlsplit

from clinder import __version__
from clinder.errors import UsageError
from clinder.hub import BinderHub

# Seconds, as on mybinder.org: a kernel that is idle for so long is culled, and a server that then has no kernels and
# no requests for as long again ends.
IDLE = 600

_KEEPALIVE = 25.0
_KEEP = "keep\n"


class EmbeddedHub:
    """A hub that runs as long as its ``with`` block; the value of the block is a `BinderHub`.

    ``directory`` contains the files that sessions see (default: the current directory). A session that is idle for
    ``idle`` seconds ends. The hub's port is open from the constructor on, and the block can be entered once. Raises
    `UsageError` if ``directory`` is no directory, and if jupyter-server or ipykernel is not installed.
    """

    def __init__(self, directory: str | None = None, *, idle: float = IDLE) -> None:
        if find_spec("jupyter_server") is None or find_spec("ipykernel") is None:
            raise UsageError(
                "The embedded hub needs jupyter-server and ipykernel, and this Python does not have both.",
                "Install them: pip install 'clinder[local]'",
            )
        files = Path(directory or ".").resolve()
        if not files.is_dir():
            raise UsageError(f"Not a directory: {directory}", "Expected the one whose files sessions are to see.")
        self._server = _Server(str(files), idle)

    def __enter__(self) -> BinderHub:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return BinderHub(self._server.url)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):  # not http.server's, which looks up this machine's name
    daemon_threads = True

    def __init__(self, directory: str, idle: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.directory = directory
        self.idle = idle
        # A client of this hub gets a shell of the user that started it. All users of the machine can reach a loopback
        # port, so the path is secret.
        self.path = f"/{secrets.token_urlsafe(16)}/"
        self.url = f"http://127.0.0.1:{self.server_address[1]}{self.path}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report nothing: either the client has left, or it is told what went wrong."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = f"clinder/{__version__}"

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        page = path.removeprefix(self.server.path)
        if page == path:
            self.send_error(404)
        elif page == "versions":
            self._send("application/json", json.dumps({"builder": "none", "binderhub": f"clinder {__version__}"}))
        elif page == "health":
            self._send("application/json", json.dumps({"ok": True, "checks": []}))
        elif page.startswith("build/"):
            self._build(page.removeprefix("build/"))
        else:
            self.send_error(404)

    def _send(self, kind: str, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def _build(self, spec: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if "text/event-stream" not in self.headers.get("Accept", ""):
            self._emit("failed", "Missing Accept header: text/event-stream\n", status_code=400)
        else:
            self._launch(spec)
        self._write(b"")

    def _launch(self, spec: str) -> None:
        self._emit("waiting", "Skipped: the local hub has no queue.\n")
        self._emit("fetching", f"Nothing to fetch: the files are those in {self.server.directory}\n")
        self._emit("building", f"No image is built: the environment is that of {sys.executable}\n")
        self._emit("building", f"Python {sys.version.split()[0]}: the local hub installs nothing else\n")
        self._emit("pushing", "Nothing to push\n", progress={"none": {"current": 1, "total": 1}})
        self._emit("built", "Launching...\n", imageName="local")
        self._emit("launching", "Launching server...\n")
        try:
            server = _Child(self.server.directory, self.server.idle, f"v2/{spec}")
        except OSError as error:  # no room for its files, no process
            self._emit("failed", f"The server could not be started: {error}\n", status_code=400)
            return
        with server as child:
            url = child.wait(lambda: self._write(b":keepalive\n\n"))
            if url is None:
                self._emit("failed", f"The server could not be started:\n{child.log()}", status_code=400)
                return
            if self._is_alone():
                return  # the client has left, so nobody would know the address
            child.keep()  # before the event, because its reader may end this process
            self._emit(
                "ready",
                f"server running at {url}\n",
                url=url,
                token=child.token,
                image="local",
                repo_url=Path(self.server.directory).as_uri(),
                binder_launch_host=self.server.url,
                binder_request=f"v2/{spec}",
                binder_persistent_request=f"v2/{spec}",
            )

    def _is_alone(self) -> bool:
        """Tell whether the client has closed the connection."""
        try:
            return bool(select.select([self.connection], [], [], 0)[0]) and not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def _emit(self, phase: str, message: str, **more: Any) -> None:
        self._write(f"data: {json.dumps({'phase': phase, 'message': message, **more})}\n\n".encode())

    def _write(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing: standard error belongs to the command line."""


class _Child:
    """A server's process, seen from the hub. It ends with the ``with`` block, unless keep() was called."""

    def __init__(self, directory: str, idle: float, request: str) -> None:
        self.token = secrets.token_urlsafe(32)
        self._home = home = tempfile.mkdtemp(prefix="clinder-")  # only its owner can read it; the server removes it
        self._log = Path(home, "log").open("a+b")  # noqa: SIM115  (kept open: the file may be removed before it is read)
        env = {name: value for name, value in os.environ.items() if name not in ("JUPYTER_BASE_URL", "JUPYTER_TOKEN")}
        env |= {"JUPYTER_RUNTIME_DIR": home, "BINDER_LAUNCH_HOST": "local", "BINDER_REQUEST": request}
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from clinder.local import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=env,
            cwd=home,
            start_new_session=True,  # so that Ctrl-C and the end of the terminal do not end it
            text=True,
        )
        threading.Thread(target=self._wait_for_its_end, daemon=True).start()
        self._say(json.dumps({"token": self.token, "directory": directory, "idle": idle}) + "\n")

    def __enter__(self) -> "_Child":
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):  # it has already ended
            self._process.stdin.close()  # then it ends, unless it was told to go on
        self._process.stdout.close()
        self._log.close()

    def _wait_for_its_end(self) -> None:
        """Wait for the end of the process, so that it does not stay as a zombie, and remove its directory."""
        self._process.wait()
        shutil.rmtree(self._home, ignore_errors=True)  # after a crash, the server has not removed it

    def wait(self, on_silence: Callable[[], None]) -> str | None:
        """Return the server's URL when it listens, or None if it has ended. ``on_silence`` is called every 25 s."""
        assert self._process.stdout is not None
        while not select.select([self._process.stdout], [], [], _KEEPALIVE)[0]:
            on_silence()
        return self._process.stdout.readline().strip() or None

    def keep(self) -> None:
        """Tell the server to go on after the hub's end."""
        self._say(_KEEP)

    def log(self) -> str:
        """Return the last ten lines of the server's log."""
        self._log.seek(0)
        return "\n".join(self._log.read().decode(errors="replace").splitlines()[-10:])

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # it has ended, and wait() returns None
            self._process.stdin.write(line)
            self._process.stdin.flush()


def serve() -> None:
    """Run the server: the main function of a session's process. It reads its settings from standard input."""
    with suppress(ValueError):  # with PYTHONSAFEPATH, Python has done it
        sys.path.remove("")  # the server must not import the files of a session as modules
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a user's Jupyter configuration may print: that goes to the log
    try:
        if settings := sys.stdin.readline():  # empty if the hub has already ended
            _serve(answers, **json.loads(settings))
    finally:
        shutil.rmtree(os.environ["JUPYTER_RUNTIME_DIR"], ignore_errors=True)


def _serve(answers: TextIO, token: str, directory: str, idle: float) -> None:
    from jupyter_server.serverapp import ServerApp
    from tornado.ioloop import IOLoop, PeriodicCallback

    os.chdir(directory)  # where kernels begin
    app = ServerApp.instance()
    app.initialize(
        [
            f"--IdentityProvider.token={token}",  # this list is not the process's command line, which others can read
            "--PasswordIdentityProvider.hashed_password=",
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={_free_port()}",
            "--ServerApp.port_retries=50",  # another program may get the free port before the server listens there
            f"--ServerApp.base_url=/user/{secrets.token_hex(4)}/",
            f"--ServerApp.root_dir={directory}",
            "--ServerApp.open_browser=False",
            "--ServerApp.allow_root=True",
            "--ZMQChannelsWebsocketConnection.limit_rate=False",  # with a limit, the server would drop outputs
            "--MappingKernelManager.cull_connected=True",
            f"--MappingKernelManager.cull_idle_timeout={max(1, int(idle))}",
            f"--MappingKernelManager.cull_interval={max(1, min(60, int(idle / 2)))}",
            f"--ServerApp.shutdown_no_activity_timeout={max(1, int(idle))}",
        ]
    )

    def begin() -> None:
        threading.Thread(target=end_unless_kept, daemon=True).start()
        with suppress(OSError), answers:  # the hub may have ended
            answers.write(f"http://127.0.0.1:{app.port}{app.base_url}\n")
        if idle < 60:  # the server itself checks only once a minute
            PeriodicCallback(app.shutdown_no_activity, 1000).start()

    def end_unless_kept() -> None:
        kept = sys.stdin.readline() == _KEEP
        if not kept:
            app.io_loop.add_callback(app.stop)

    IOLoop.current().add_callback(begin)
    app.start()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
