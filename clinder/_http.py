"""What every request of clinder has in common, and what went wrong with one, in a few words."""

import http.client
import socket
import ssl
from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

import requests
import urllib3
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


class Client(requests.Session):
    """A session of requests that says who it is, and sends no password that it finds in ~/.netrc to a hub."""

    def __init__(self) -> None:
        super().__init__()
        self.headers["User-Agent"] = USER_AGENT
        self.auth = lambda request: request
        self.hooks["response"].append(_without_body)

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Send none after a redirect either."""


def _without_body(response: requests.Response, **_: object) -> None:
    """Leave a redirect's body unread, which requests would read to its end, however long that is."""
    if response.is_redirect:
        response.raw.close()


def proxies(url: str) -> dict[str, str]:
    """Return the proxies argument of a request to url: none for this machine, else what the environment says."""
    return {"no_proxy": urlsplit(url).hostname or ""} if is_loopback(url) else {}


def is_proxied(url: str) -> bool:
    """Tell whether a request to url goes to a proxy that the environment names."""
    return not is_loopback(url) and select_proxy(url, get_environ_proxies(url)) is not None


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
