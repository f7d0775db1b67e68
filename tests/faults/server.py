"""A server that misbehaves on demand: raw sockets, so that a fault is a real one.

A `FaultyHub` answers each request for a build stream with the next function of its script (and the last one for ever),
and plays the sessions that it launched: `api/status` and `api/shutdown`, with tokens that count.
"""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple

from typing_extensions import Self

TOKEN = "f00dfeed-secret"


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]


class Exchange:
    """One connection with its request, and ways to answer it."""

    def __init__(self, hub: "FaultyHub", connection: socket.socket, request: Request) -> None:
        self.hub = hub
        self.connection = connection
        self.request = request
        self.chunked = True

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def stream(self, *, chunked: bool = True, kind: str = "text/event-stream", more: str = "") -> None:
        """Send the header of an event stream."""
        self.chunked = chunked
        framing = "Transfer-Encoding: chunked\r\n" if chunked else "Connection: close\r\n"
        self.send(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{framing}{more}\r\n".encode())

    def chunk(self, data: bytes) -> None:
        self.send(b"%x\r\n%s\r\n" % (len(data), data) if self.chunked else data)

    def event(self, phase: str | None, message: Any = None, **more: Any) -> None:
        content = {name: value for name, value in (("phase", phase), ("message", message)) if value is not None}
        self.chunk(f"data: {json.dumps({**content, **more})}\n\n".encode())

    def ready(self, message: str = "server running\n", **more: Any) -> None:
        self.hub.launched += 1
        self.event("ready", message, **{"url": self.hub.session_url, "token": TOKEN, "image": "im/age:1", **more})

    def end(self) -> None:
        """End the stream as HTTP has it."""
        if self.chunked:
            self.send(b"0\r\n\r\n")

    def reset(self) -> None:
        """End the connection as a crash does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def page(self, status: str, body: str = "", kind: str = "text/html", more: str = "") -> None:
        self.send(
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body.encode())}\r\n"
            f"Connection: close\r\n{more}\r\n{body}".encode()
        )

    def wait_for_close(self, seconds: float = 30) -> bool:
        """Return whether the client closed the connection within so many seconds."""
        self.connection.settimeout(seconds)
        try:
            return self.connection.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True


Answer = Callable[[Exchange], None]


def ready_at_once(exchange: Exchange) -> None:
    exchange.stream()
    exchange.ready()
    exchange.hub.closed_after_ready.append(exchange.wait_for_close())


def in_trouble_once(exchange: Exchange) -> None:
    """Answer for a session that is there, as a proxy does that can't reach it right now."""
    exchange.page("502 Bad Gateway")
    exchange.hub.session = None
    exchange.hub.reach("stopping")


def redirect(to: "FaultyHub") -> Answer:
    """Answer as the front door of a federation does."""

    def answer(exchange: Exchange) -> None:
        location = to.url.rstrip("/") + exchange.request.path
        exchange.page("307 Temporary Redirect", more=f"Location: {location}\r\nSet-Cookie: host=member; Path=/\r\n")

    return answer


class FaultyHub:
    """A context manager that serves until its end; ``url`` is the hub's."""

    def __init__(self, *script: Answer, listen_after: float = 0) -> None:
        self.script = list(script) or [ready_at_once]
        self.requests: list[Request] = []
        self.builds: list[Request] = []
        self.launched = 0
        self.stopped = 0
        self.closed_after_ready: list[bool] = []
        self.reached: dict[str, threading.Event] = {}
        self.session: Answer | None = None  # instead of a well-behaved session
        self.active_hosts: Answer | None = None  # of a federation's front door
        self.errors: list[BaseException] = []
        self._listen_after = listen_after
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self.session_url = f"{self.url}user/x/"

    def __enter__(self) -> Self:
        if not self._listen_after:
            self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.die()
        if error is None:
            assert not self.errors, self.errors

    def die(self) -> None:
        """Refuse connections from now on."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # close() alone would leave the accept() in the other thread
        self._listener.close()

    def reach(self, name: str) -> None:
        """Say from within an answer that it has come this far."""
        self.reached.setdefault(name, threading.Event()).set()

    def wait_until(self, name: str, seconds: float = 20) -> None:
        assert self.reached.setdefault(name, threading.Event()).wait(seconds), f"never reached: {name}"

    def _serve(self) -> None:
        if self._listen_after:
            time.sleep(self._listen_after)
            with suppress(OSError):
                self._listener.listen()
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                request = _read(connection)
                if request is None:
                    return
                self.requests.append(request)
                if "/build/" in request.path:
                    self.builds.append(request)
                    answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                elif request.path == "/active_hosts" and self.active_hosts:
                    answer = self.active_hosts
                else:
                    answer = self.session or self._well_behaved_session
                answer(Exchange(self, connection, request))
            except (ConnectionError, BrokenPipeError):
                pass  # the client had enough, as it may
            except OSError as error:
                if error.errno != 9:  # reset() closed it
                    self.errors.append(error)
            except AssertionError as error:
                self.errors.append(error)

    def _well_behaved_session(self, exchange: Exchange) -> None:
        request = exchange.request
        if request.headers.get("authorization") != f"token {TOKEN}":
            exchange.page("403 Forbidden", '{"message": "Forbidden"}', "application/json")
        elif request.method == "POST" and request.path == "/user/x/api/shutdown":
            self.stopped += 1
            exchange.page("200 OK")
        elif request.path == "/user/x/api/status":
            body = {
                "started": "2026-01-01T00:00:00Z",
                "last_activity": "2026-01-01T00:01:00Z",
                "kernels": 2,
                "connections": 1,
            }
            exchange.page("200 OK", json.dumps(body), "application/json")
        else:
            exchange.page("404 Not Found")


def _read(connection: socket.socket) -> Request | None:
    """Read one request, body included."""
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
        body += connection.recv(65536)
    method, path, _ = first.split(" ")
    return Request(method, path, headers)
