"""The HTTP client for all requests of clinder, and short descriptions of network errors."""

import http.client
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
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
from clinder.errors import UsageError
from clinder.text import strip_ansi

USER_AGENT = f"clinder/{__version__} (+https://github.com/org/clinder)"

# The exceptions of a request, or of reading its answer, when the network or the server fails.
NETWORK_ERRORS = (
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)


# The headers that are sent also after a redirect to another origin. requests chooses the cookies for that origin.
_PLAIN_HEADERS = {"accept", "accept-encoding", "connection", "cookie", "proxy-authorization", "user-agent"}

# Seconds between two checks for a reason to end, while waiting for the network.
TICK = 0.05

# Seconds, three years: the system takes no timeout that is much longer, and none that is infinite.
LONGEST_TIMEOUT = 1e8

_T = TypeVar("_T")


def sleep_unless(seconds: float, check: Callable[[], None]) -> None:
    """Sleep for some seconds. ``check`` is called before and meanwhile; its exception ends the sleep."""
    until = time.monotonic() + seconds
    while True:
        check()
        rest = until - time.monotonic()
        if rest <= 0:
            return
        time.sleep(min(rest, TICK))


class Client(requests.Session):
    """A session of requests with clinder's User-Agent, without passwords from ~/.netrc, that another thread can end.

    The timeouts of requests do not limit name resolution, a TLS handshake, or headers that come one byte at a time.
    Therefore `interruptible` does the work in a thread, and the thread that waits can end the connections with
    `hang_up`. `stop_reading` also ends them, but the bytes that have arrived can still be read.
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
        """Remove all headers that an auth object may have added, before a redirect to another origin is followed."""
        if origin(prepared_request.url or "") != origin(response.url):
            for name in [name for name in prepared_request.headers if name.lower() not in _PLAIN_HEADERS]:
                del prepared_request.headers[name]

    def resolve_redirects(self, *answer: Any, yield_requests: bool = False, **options: Any) -> Iterator[Any]:
        """Follow the redirects of an answer, if the request allows that.

        Otherwise requests would only read where the redirect leads to, and raise ValueError for a malformed address.
        """
        return iter(()) if yield_requests else super().resolve_redirects(*answer, **options)

    def interruptible(self, work: Callable[[], _T], check: Callable[[], None]) -> _T:
        """Do ``work`` in a thread; return its result. ``check`` is called meanwhile; its exception ends the work."""
        check()
        # Not a SimpleQueue: its get() may wait for ever if a signal comes near the timeout (CPython before 3.13).
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
        """Stop receiving on every connection. What has arrived can still be read. Any thread may call this."""
        self._shut_down(socket.SHUT_RD)

    def hang_up(self) -> None:
        """End every connection, also those that are opened later. Any thread may call this."""
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
            with suppress(OSError):  # the connection has already ended
                connection.shutdown(how)

    def _keep(self, connection: socket.socket) -> None:
        # A duplicate: the ssl module replaces the socket, and its own shutdown() is not safe from another thread.
        duplicate = connection.dup()
        self._sockets.append(duplicate)
        if self._hung_up:
            self._shut_down(socket.SHUT_RDWR)
            duplicate.close()


class _Adapter(HTTPAdapter):
    """The adapter of requests, with a ``keep`` function that gets each new connection."""

    def __init__(self, keep: Callable[[socket.socket], None]) -> None:
        self._keep = keep
        super().__init__()

    def cert_verify(self, conn: Any, url: str, verify: bool | str, cert: Any) -> None:
        """Check the file of certificates that the environment names, and go on. Raises `UsageError`."""
        if isinstance(verify, str) and url.startswith("https:"):
            _check_certificates(verify)
        super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]

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


@lru_cache
def _check_certificates(path: str) -> None:
    """Raise `UsageError` if a file of certificates can't be read. Otherwise this looks like a fault of the network."""
    if os.path.isdir(path):  # noqa: PTH112  (Path.is_dir() may raise)
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as error:
        why = "no certificate is in it" if isinstance(error, ssl.SSLError) else error.strerror
        name = next((name for name in _CERTIFICATES if os.environ.get(name) == path), "requests")
        raise UsageError(
            f"The certificates of {name} can't be read: {why}.",
            "Expected the path of a PEM file. In the Action, the path begins in the workspace.",
        ) from None


_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def _without_body(response: requests.Response, **_: object) -> None:
    """Close a redirect's answer, because requests would read its whole body, without a limit."""
    if response.is_redirect:
        response.raw.close()


def proxies(url: str) -> dict[str, str]:
    """Return the ``proxies`` argument for a request to a URL: no proxy for this machine, else the environment's."""
    return {"no_proxy": urlsplit(url).hostname or ""} if is_loopback(url) else {}


def proxy_of(url: str) -> str:
    """Return the proxy for requests to a URL and the variable that names it, in words; empty if there is no proxy."""
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
    """Tell whether a URL is on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and the errors in it, outermost first. requests wraps urllib3's, which wraps the system's."""
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
    """Return the first exception of this kind among an error and the errors in it; None if there is none."""
    return next((cause for cause in _causes(error) if isinstance(cause, kind)), None)


def describe(error: BaseException) -> str:
    """Return a short description of a network error, in the words of the operating system if it has some."""
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
