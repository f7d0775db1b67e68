"""A BinderHub for tests of programs that use clinder. A script sets its answers, and it records the requests.

>>> from clinder import BinderHub, RepoSpec
>>> from clinder.testing import READY, FakeHub
>>> with FakeHub([{"phase": "building", "message": "Step 1/9"}, READY]) as hub:
...     with BinderHub(hub.url).launch(RepoSpec("org/repo")) as session:
...         print(session.status().kernels)
...     print([server.stopped for server in hub.servers])
0
[True]

It uses raw sockets on this machine (IPv4 loopback), so that its faults are those of a real network. It needs only the
standard library. Its servers answer ``api/status``, ``api/shutdown`` and some more, and run no code; the servers of
`clinder.EmbeddedHub` do.
"""

import json
import secrets
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

__all__ = ["READY", "Answer", "Exchange", "FakeHub", "FakeServer", "Request"]

READY: Mapping[str, Any] = {"phase": "ready", "message": "server running\n"}
"""The event of a successful launch. A ``ready`` without a url and a token gets those of a new server."""


class Request(NamedTuple):
    """One HTTP request; the names of its headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]


class FakeServer:
    """A Jupyter Server that a `FakeHub` has launched: its ``url``, its ``token``, and whether it was ``stopped``.

    ``status`` is its answer to ``api/status``. ``answers`` has its other answers, by the path below its URL.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token
        self.stopped = False
        self.status: dict[str, Any] = {
            "started": "2026-01-01T00:00:00Z",
            "last_activity": "2026-01-01T00:01:00Z",
            "kernels": 0,
            "connections": 0,
        }
        self.answers: dict[str, Any] = {
            "api/kernels": [],
            "api/kernelspecs": {"default": "python3", "kernelspecs": {"python3": {"name": "python3"}}},
        }


class Exchange:
    """One connection with its ``request``, and ways to answer it."""

    def __init__(self, hub: "FakeHub", connection: socket.socket, request: Request) -> None:
        self.hub = hub
        self.connection = connection
        self.request = request
        self.chunked = True
        self.closed_after_ready: Future[bool | None] | None = None

    def send(self, data: bytes) -> None:
        """Send bytes unchanged."""
        self.connection.sendall(data)

    def stream(self, *, chunked: bool = True, kind: str = "text/event-stream", more: str = "") -> None:
        r"""Send the header of an event stream. ``more`` has further header lines, each with its ``\r\n``."""
        self.chunked = chunked
        framing = "Transfer-Encoding: chunked\r\n" if chunked else "Connection: close\r\n"
        self.send(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{framing}{more}\r\n".encode())

    def chunk(self, data: bytes) -> None:
        """Send bytes as one chunk of the stream."""
        self.send(b"%x\r\n%s\r\n" % (len(data), data) if self.chunked else data)

    def event(self, phase: str | None, message: Any = None, **more: Any) -> None:
        """Send one event."""
        content = {name: value for name, value in (("phase", phase), ("message", message)) if value is not None}
        self.chunk(f"data: {json.dumps({**content, **more})}\n\n".encode())

    def ready(self, message: str = "server running\n", **more: Any) -> None:
        """Launch a server and send its ``ready`` event. ``more`` adds or replaces fields."""
        server = self.hub.launch()
        server.token = more["token"] if isinstance(more.get("token"), str) else server.token
        self.closed_after_ready = self.hub.expect_close()
        self.event("ready", message, **{"url": server.url, "token": server.token, "image": "im/age:1", **more})

    def end(self) -> None:
        """End the stream regularly, with the last chunk of HTTP."""
        if self.chunked:
            self.send(b"0\r\n\r\n")

    def reset(self) -> None:
        """Reset the connection, as after a crash of the hub."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def page(self, status: str, body: str = "", kind: str = "text/html", more: str = "") -> None:
        """Send an answer that is no stream. ``status`` is its code and reason: ``"404 Not Found"``."""
        self.send(
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body.encode())}\r\n"
            f"Connection: close\r\n{more}\r\n{body}".encode()
        )

    def wait_for_close(self, seconds: float = 30) -> bool:
        """Return whether the client closes the connection within so many seconds, and record it after a ``ready``."""
        self.connection.settimeout(seconds)
        try:
            closed = self.connection.recv(1) == b""
        except OSError as error:
            closed = not isinstance(error, TimeoutError)
        self.record_close(closed)
        return closed

    def record_close(self, closed: bool | None) -> None:
        """Record whether the client closed the stream, for the hub's ``closed_after_ready``; None if not checked."""
        if self.closed_after_ready and not self.closed_after_ready.done():
            self.closed_after_ready.set_result(closed)


Answer = Callable[[Exchange], None]

_Hub = TypeVar("_Hub", bound="FakeHub")


class FakeHub:
    """A hub that runs as long as its ``with`` block, at the URL ``url``.

    Each answer of the script is for one request for a build stream, in their order. The last answer is for all further
    requests. Without a script, each launch is ready at once. An answer is a list of events, each a dict as BinderHub
    sends it. For other answers, it is a function that gets the `Exchange`. An exception in such a function is raised at
    the end of the block.

    ``requests`` has all requests, ``builds`` has the requests for a build stream, and ``servers`` has the launched
    servers. ``session``, if set, answers all requests to servers; ``active_hosts``, if set, answers ``/active_hosts``
    (of a federation).
    """

    def __init__(self, *script: Answer | Iterable[Mapping[str, Any]]) -> None:
        self._script = [answer if callable(answer) else _events(answer) for answer in script or ([READY],)]
        self.requests: list[Request] = []
        self.builds: list[Request] = []
        self.servers: list[FakeServer] = []
        self._closes: list[Future[bool | None]] = []
        self.session: Answer | None = None
        self.active_hosts: Answer | None = None
        self._errors: list[Exception] = []
        self.reached: dict[str, threading.Event] = {}
        self._lock = threading.Lock()
        self._listener = _bound(0)
        self._closed_port: socket.socket | None = None
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"

    def __enter__(self: _Hub) -> _Hub:
        self._listener.listen(128)
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_listening()
        if self._closed_port:
            self._closed_port.close()
        if error is None and self._errors:
            raise self._errors[0]

    def die(self) -> None:
        """Refuse all connections from now on. Until the end of the block, no other program gets the port."""
        if self._closed_port is None:
            port = self._listener.getsockname()[1]
            self._stop_listening()
            self._closed_port = _bound(port)

    def _stop_listening(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # close() alone would leave the accept() in the other thread
        self._listener.close()

    @property
    def closed_after_ready(self) -> list[bool]:
        """For each ``ready``: whether the client closed the stream. This waits until it is known.

        A client must close it, because BinderHub launches a second server for a client that reconnects. A ``ready``
        counts if its answer is a list, or a function that calls `Exchange.wait_for_close`.
        """
        return [closed for one in self._closes if (closed := one.result()) is not None]

    def expect_close(self) -> "Future[bool | None]":
        """Return a future that will tell whether the client closed its stream."""
        self._closes.append(Future())
        return self._closes[-1]

    def launch(self) -> FakeServer:
        """Launch a server with a URL and a token of its own, as ``ready`` does."""
        with self._lock:
            server = FakeServer(f"{self.url}user/org-repo-{len(self.servers) + 1}/", secrets.token_hex(16))
            self.servers.append(server)
        return server

    def reach(self, name: str) -> None:
        """Note, in an answer, that it has reached a point of this name."""
        self.reached.setdefault(name, threading.Event()).set()

    def wait_until(self, name: str, seconds: float = 20) -> None:
        """Wait until an answer has called `reach` with this name. Raises `TimeoutError`."""
        if not self.reached.setdefault(name, threading.Event()).wait(seconds):
            raise TimeoutError(f"never reached: {name}")

    def server_at(self, path: str) -> FakeServer | None:
        """Return the server that this path belongs to; None if there is none."""
        return next((one for one in self.servers if f"{self.url}{path[1:]}".startswith(one.url)), None)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if self._listener.fileno() < 0:
                    return
                continue  # the client has left during its handshake
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                request = _read(connection)
                if request is not None:
                    self._choose_and_run(Exchange(self, connection, request))
            except ConnectionError:
                pass  # the client has left
            except Exception as error:  # noqa: BLE001  (the test's own, raised where the test sees it)
                if not isinstance(error, OSError) or connection.fileno() >= 0:  # reset() closed it
                    self._errors.append(error)

    def _choose_and_run(self, exchange: Exchange) -> None:
        try:
            self._choose(exchange.request)(exchange)
        finally:
            exchange.record_close(None)

    def _choose(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            if "/build/" in request.path:
                self.builds.append(request)
                return self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if request.path == "/active_hosts" and self.active_hosts:
            return self.active_hosts
        return self.session or self._answer_for_a_server

    def _answer_for_a_server(self, exchange: Exchange) -> None:
        """Answer as Jupyter Server does; for a server that was stopped, as JupyterHub does."""
        request = exchange.request
        server = self.server_at(request.path)
        if server is None:
            exchange.page("404 Not Found")
        elif server.stopped and request.method == "POST":
            exchange.page("403 Forbidden", "<html><title>JupyterHub</title>")
        elif server.stopped:
            exchange.page("302 Found", more=f"Location: /hub{request.path}\r\n")
        elif request.headers.get("authorization") != f"token {server.token}":
            exchange.page("403 Forbidden", '{"message": "Forbidden"}', "application/json")
        elif request.method == "POST" and request.path.endswith("/api/shutdown"):
            server.stopped = True
            exchange.page("200 OK")
        else:
            self._answer_with_json(exchange, server)

    def _answer_with_json(self, exchange: Exchange, server: FakeServer) -> None:
        """Answer with the server's JSON for this path, or with 304 to a client that has it."""
        path = exchange.request.path.partition("?")[0]
        answers = {"api/status": server.status, **server.answers}
        found = next((answer for end, answer in answers.items() if path.endswith(f"/{end}")), None)
        if found is None:
            exchange.page("404 Not Found", "<html><title>Jupyter Server</title>")
            return
        body = json.dumps(found)
        etag = f'"{zlib.crc32(body.encode())}"'
        if exchange.request.headers.get("if-none-match") == etag:
            exchange.page("304 Not Modified")
        else:
            exchange.page("200 OK", body, "application/json", f"ETag: {etag}\r\n")


def _bound(port: int) -> socket.socket:
    """Return a socket at a port of this machine, which does not listen yet; 0 stands for any free port."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # or open connections would hold the port
    bound.bind(("127.0.0.1", port))
    return bound


def _events(events: Iterable[Mapping[str, Any]]) -> Answer:
    """Return an answer that sends these events, and after ``ready`` or ``failed`` waits for the client to leave."""
    script = [dict(event) for event in events]
    last = script[-1].get("phase") if script else None

    def answer(exchange: Exchange) -> None:
        exchange.stream()
        for event in script:
            if event.get("phase") == "ready":
                exchange.ready(**{name: value for name, value in event.items() if name != "phase"})
            else:
                exchange.chunk(f"data: {json.dumps(event)}\n\n".encode())
        if last in ("ready", "failed"):
            exchange.wait_for_close()
        else:
            exchange.end()

    return answer


def _read(connection: socket.socket) -> Request | None:
    """Read one request with its body; return None if the client leaves before its end."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        more = connection.recv(65536)
        if not more:
            return None
        body += more
    method, path, _ = first.split(" ")
    return Request(method, path, headers)
