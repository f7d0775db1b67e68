"""The hub of a trial: it does what a plan says, and remembers each server."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from random import Random
from typing import Any

from clinder.testing import Answer, Exchange, FakeHub, FakeServer
from tests.soak.plan import Stream

_LINE = "Step 7/42 : RUN conda install --quiet --yes everything-that-there-is\n"


class SoakHub(FakeHub):
    def __init__(self, stream: Stream, dice: Random) -> None:
        super().__init__(*(self._cut(phase) for phase in stream.cuts), self._whole)
        self.lost: list[FakeServer] = []  # by a connection that broke in the launch, or a hub that said no more
        self.launching = threading.Event()
        self._stream = stream
        self._dice = dice
        self._trouble_until = 0.0

    def launch(self) -> FakeServer:
        server = super().launch()
        self._trouble_until = time.monotonic() + self._stream.trouble
        self.launching.set()
        return server

    def _whole(self, exchange: Exchange) -> None:
        """Answer a request for a build stream as a hub does that launches."""
        stream = self._stream
        if stream.end == "refused":
            exchange.page("403 Forbidden", "Sorry, org/repo has been temporarily disabled from launching.")
            return
        self._begin(exchange)
        self._build(exchange)
        if stream.end == "failed":
            self._emit(exchange, {"phase": "failed", "message": "exit code: 1"})
            exchange.wait_for_close(5)
            return
        self._emit(exchange, {"phase": "built", "message": "Built image, launching...\n"})
        if has_left(exchange):  # a write to it fails at BinderHub, which then launches nothing
            return
        server = self.launch()
        if stream.end == "mute":
            self.lost.append(server)
        self._emit(exchange, {"phase": "launching", "message": "Launching server...\n"})
        self._wait(exchange, stream.launch)
        if stream.end != "mute":
            ready = {"phase": "ready", "message": "server running\n", "url": server.url, "token": server.token}
            self._emit(exchange, {**ready, "image": "i" * stream.image})
        exchange.wait_for_close(15)

    def _cut(self, phase: str) -> Answer:
        def answer(exchange: Exchange) -> None:
            self._begin(exchange)
            self._build(exchange)
            if phase == "launch":
                self.lost.append(self.launch())
                self._emit(exchange, {"phase": "launching", "message": "Launching server...\n"})
            exchange.reset()

        return answer

    def _begin(self, exchange: Exchange) -> None:
        time.sleep(self._stream.headers)
        if not self._stream.trickled_headers:
            exchange.stream()
            return
        for byte in b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n":
            exchange.send(bytes([byte]))
            time.sleep(0.01)

    def _build(self, exchange: Exchange) -> None:
        for number in range(self._stream.lines):
            self._emit(exchange, {"phase": "building", "message": f"{number} {_LINE}"})
            if self._stream.keepalives and number % 2:
                exchange.chunk(b":keepalive\n\n")

    def _wait(self, exchange: Exchange, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (rest := until - time.monotonic()) > 0:
            time.sleep(min(rest, 0.3))
            if self._stream.keepalives:
                exchange.chunk(b":keepalive\n\n")

    def _emit(self, exchange: Exchange, event: dict[str, Any]) -> None:
        data = f"data: {json.dumps(event)}\n\n".encode()
        step: Callable[[], int] = {
            "plain": lambda: len(data),
            "odd": lambda: self._dice.choice((1, 7, 100, 5000)),
            "trickled": lambda: 1,
        }[self._stream.framing]
        at = 0
        while at < len(data):
            size = step()
            exchange.chunk(data[at : at + size])
            at += size
            if self._stream.framing == "trickled":
                time.sleep(0.002)

    def _answer_for_a_server(self, exchange: Exchange) -> None:
        request = exchange.request
        server = self.server_at(request.path)
        if time.monotonic() < self._trouble_until:
            exchange.page("503 Service Unavailable", "<html><title>JupyterHub</title>")
            return
        ends = server and not server.stopped and request.method == "POST" and self._stream.shutdown
        if ends and server and request.headers.get("authorization") == f"token {server.token}":
            server.stopped = True
            time.sleep(self._stream.shutdown)
            exchange.page("200 OK")
            return
        super()._answer_for_a_server(exchange)


def has_left(exchange: Exchange) -> bool:
    """Whether the client has closed the connection."""
    try:
        return exchange.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
