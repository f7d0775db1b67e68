"""The hub that misbehaves on demand, and the answers that several test modules give."""

import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import trustme
from typing_extensions import Self

from clinder.testing import READY, Answer, Exchange, FakeHub, FakeServer, Request

__all__ = ["READY", "TOKEN", "Answer", "Exchange", "FaultyHub", "Request", "SecureHub"]

TOKEN = "f00dfeed-secret"

# As a launch passes through them.
PHASES = ("waiting", "fetching", "building", "pushing", "built", "launching")


class FaultyHub(FakeHub):
    """A `FakeHub` whose servers have one address and one token, so that a test knows them before any launch.

    There is always a server at that address.
    """

    def __init__(self, *script: Answer, listen_after: float = 0) -> None:
        super().__init__(*script)
        self.session_url = f"{self.url}user/x/"
        self._addressed: list[FakeServer] = []
        self._listen_after = listen_after

    @property
    def launched(self) -> int:
        return len(self.servers)

    @property
    def stopped(self) -> int:
        return sum(server.stopped for server in self._addressed)

    def launch(self) -> FakeServer:
        self.servers.append(FakeServer(self.session_url, TOKEN))
        return self.servers[-1]

    def server_at(self, path: str) -> FakeServer | None:
        if not path.startswith("/user/x/"):
            return None
        with self._lock:
            if not self._addressed or self._addressed[-1].stopped:
                self._addressed.append(FakeServer(self.session_url, TOKEN))
                self._addressed[-1].status.update(kernels=2, connections=1)
            return self._addressed[-1]

    def __enter__(self) -> Self:
        if not self._listen_after:
            return super().__enter__()
        threading.Thread(target=self._listen_late, daemon=True).start()
        return self

    def _listen_late(self) -> None:
        time.sleep(self._listen_after)
        if self._listener.fileno() >= 0:  # the test may have ended
            super().__enter__()


class SecureHub(FaultyHub):
    """A FaultyHub with a certificate of an authority of its own."""

    def __init__(self, directory: Path, *script: Answer) -> None:
        super().__init__(*script)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(directory / "ca.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self._listener = context.wrap_socket(self._listener, server_side=True)
        self.url = self.url.replace("http:", "https:")
        self.session_url = f"{self.url}user/x/"
        self.env = {"REQUESTS_CA_BUNDLE": str(directory / "ca.pem")}


def ready_at_once(exchange: Exchange) -> None:
    exchange.stream()
    exchange.ready()
    exchange.wait_for_close()


def in_trouble_once(exchange: Exchange) -> None:
    """Answer for a session that is there, as a proxy does that can't reach it right now."""
    exchange.page("502 Bad Gateway")
    exchange.hub.session = None
    exchange.hub.reach("stopping")


def redirect(to: FakeHub) -> Answer:
    """Answer as the front door of a federation does."""

    def answer(exchange: Exchange) -> None:
        location = to.url.rstrip("/") + exchange.request.path
        exchange.page("307 Temporary Redirect", more=f"Location: {location}\r\nSet-Cookie: host=member; Path=/\r\n")

    return answer


def launch(after: float) -> Answer:
    """Return an answer that launches for so many seconds before it is ready, whether anybody listens or not."""

    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("built", "Built image, launching...\n")
        exchange.event("launching", "Launching server...\n")
        exchange.hub.reach("launching")
        time.sleep(after)
        exchange.ready()
        exchange.wait_for_close()

    return answer


def http(status: str, more: str = "", body: str = "<html><title>Sorry</title></html>") -> Answer:
    return lambda exchange: exchange.page(status, body, more=more)


def failed(message: str | None = None, *, after: tuple[str, ...] = (), **more: object) -> Answer:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        for phase in after:
            exchange.event(phase, f"a line while {phase}\n")
        exchange.event("failed", message, **more)
        assert exchange.wait_for_close(), "the stream was not closed after the verdict"

    return answer


def cut(phase: str, how: Callable[[Exchange], None]) -> Answer:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        for earlier in PHASES[: PHASES.index(phase) + 1]:
            exchange.event(earlier, f"a line while {earlier}\n")
        how(exchange)

    return answer
