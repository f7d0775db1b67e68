"""What every request of clinder has in common, and what went wrong with one, in a few words."""

import http.client
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import ip_address
from queue import Empty, Queue
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.utils import get_environ_proxies, select_proxy

from clinder import __version__
from clinder.text import strip_ansi

USER_AGENT = f"clinder/{__version__} (+https://github.com/org/clinder)"

# Whatever a request, or reading its answer, raises when the network or the other side is at fault.
NETWORK_ERRORS = (
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)


# What a redirect to another origin keeps: of the cookies requests itself chooses those that are for it.
_PLAIN_HEADERS = {"accept", "accept-encoding", "connection", "cookie", "proxy-authorization", "user-agent"}

# How often a wait for the network looks for a reason to end, in seconds.
TICK = 0.05

_T = TypeVar("_T")


def sleep_unless(seconds: float, check: Callable[[], None]) -> None:
    """Sleep for so long. ``check`` is called before and meanwhile; what it raises ends the sleep."""
    until = time.monotonic() + seconds
    while True:
        check()
        rest = until - time.monotonic()
        if rest <= 0:
            return
        time.sleep(min(rest, TICK))


class Client(requests.Session):
    """A session of requests that says who it is, sends no password from ~/.netrc, and can be ended from outside.

    A name server, a handshake and headers that trickle in know of no deadline. So `interruptible` does the work in a
    thread, and whoever waits for it can end its connections: `stop_reading` leaves what has arrived to be read.
    """

    def __init__(self, cookies: RequestsCookieJar | None = None) -> None:
        super().__init__()
        if cookies is not None:
            self.cookies = cookies
        self.headers["User-Agent"] = USER_AGENT
        self.auth = lambda request: request
        self.hooks["response"].append(_without_body)
        self._sockets: list[socket.socket] = []
        self._hung_up = False
        self.mount("http://", _Adapter(self._keep))
        self.mount("https://", _Adapter(self._keep))

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Send to another origin than the one that redirects nothing that an auth object may have added."""
        if origin(prepared_request.url or "") != origin(response.url):
            for name in [name for name in prepared_request.headers if name.lower() not in _PLAIN_HEADERS]:
                del prepared_request.headers[name]

    def interruptible(self, work: Callable[[], _T], check: Callable[[], None]) -> _T:
        """Return the result of work, done in a thread. ``check`` is called meanwhile; what it raises ends the work."""
        check()
        # No SimpleQueue: its get() forgets the timeout when a signal comes at the end of it (CPython before 3.13).
        results: Queue[tuple[_T | None, Exception | None]] = Queue()

        def run() -> None:
            try:
                results.put((work(), None))
            except Exception as error:  # noqa: BLE001  (raised again in the thread that waits)
                results.put((None, error))

        threading.Thread(target=run, daemon=True).start()
        try:
            while True:
                check()
                with suppress(Empty):
                    result, error = results.get(timeout=TICK)
                    break
        except BaseException:
            self.hang_up()
            raise
        if error is not None:
            raise error
        return result  # type: ignore[return-value]

    def stop_reading(self) -> None:
        """Have every connection end behind what has arrived. Any thread may call this."""
        self._shut_down(socket.SHUT_RD)

    def hang_up(self) -> None:
        """End every connection, those that are still to come as well. Any thread may call this."""
        self._hung_up = True
        self._shut_down(socket.SHUT_RDWR)

    def close(self) -> None:
        """End every connection and forget them."""
        self.hang_up()
        for connection in self._sockets:
            connection.close()
        super().close()

    def _shut_down(self, how: int) -> None:
        for connection in list(self._sockets):
            with suppress(OSError):  # it has ended
                connection.shutdown(how)

    def _keep(self, connection: socket.socket) -> None:
        # A duplicate: TLS takes the socket itself over, and must not be ended but by the system's own call.
        duplicate = connection.dup()
        self._sockets.append(duplicate)
        if self._hung_up:
            self._shut_down(socket.SHUT_RDWR)
            duplicate.close()


class _Adapter(HTTPAdapter):
    """Requests' own adapter, whose new connections are told to the `Client`."""

    def __init__(self, keep: Callable[[socket.socket], None]) -> None:
        self._keep = keep
        super().__init__()

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        """Return the pool of connections for a request (requests 2.32)."""
        pool: Any = super().get_connection_with_tls_context(*args, **options)
        if not hasattr(pool.ConnectionCls, "kept"):
            pool.ConnectionCls = self._kept(pool.ConnectionCls)
        return pool

    def _kept(self, kind: Any) -> Any:
        keep = self._keep

        class Connection(kind):  # type: ignore[misc]
            kept = True

            def _new_conn(self) -> Any:
                connection = super()._new_conn()
                keep(connection)
                return connection

        return Connection


def _without_body(response: requests.Response, **_: object) -> None:
    """Leave a redirect's body unread, which requests would read to its end, however long that is."""
    if response.is_redirect:
        response.raw.close()


def proxies(url: str) -> dict[str, str]:
    """Return the proxies argument of a request to url: none for this machine, else what the environment says."""
    return {"no_proxy": urlsplit(url).hostname or ""} if is_loopback(url) else {}


def proxy_of(url: str) -> str:
    """Return the proxy that a request to url goes through, and the variable that names it; nothing without one."""
    if is_loopback(url):
        return ""
    proxy = select_proxy(url, get_environ_proxies(url))
    if proxy is None:
        return ""
    names = [name for name, value in os.environ.items() if name.lower().endswith("_proxy") and value == proxy]
    shown = re.sub(r"//[^/]*@", "//...@", proxy[:500])
    return f"{shown} (from {names[0]})" if names else shown


def origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port of a URL."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def is_loopback(url: str) -> bool:
    """Tell whether url is on this very machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield error and what it wraps, outermost first: requests wraps urllib3, which wraps the operating system."""
    seen: set[int] = set()
    queue = [error]
    while queue:
        current = queue.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        inner = [*current.args, getattr(current, "reason", None), current.__cause__, current.__context__]
        queue += [cause for cause in inner if isinstance(cause, BaseException)]


def caused_by(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """Return the first exception of that kind in error or in what it wraps."""
    return next((cause for cause in _causes(error) if isinstance(cause, kind)), None)


def describe(error: BaseException) -> str:
    """Say what was wrong with the network, in the words of the operating system where it has some."""
    if caused_by(error, requests.exceptions.ConnectTimeout):
        return "no connection in time"
    if caused_by(error, socket.gaierror):
        return "its name could not be resolved"
    if failure := caused_by(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {getattr(failure, 'verify_message', failure)}"
    if caused_by(error, requests.exceptions.ReadTimeout) or caused_by(error, TimeoutError):
        return "no answer in time"
    system = [cause for cause in _causes(error) if isinstance(cause, OSError) and cause.strerror]
    if system:
        return str(system[-1].strerror).lower()
    if caused_by(error, http.client.IncompleteRead) or caused_by(error, urllib3.exceptions.IncompleteRead):
        return "the connection ended in mid-answer"
    innermost = list(_causes(error))[-1]
    return " ".join(strip_ansi(str(innermost)).split()) or type(innermost).__name__
