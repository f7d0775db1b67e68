"""One running Jupyter Server: its address, its status, and its shutdown. This module knows no launch.

The protocol is Jupyter Server's REST API: ``GET api/status`` and ``POST api/shutdown``, with the header
``Authorization: token <token>``. A redirect is never followed: it would turn the POST into the GET of a login page, and
it could send the token to another origin.

A request for the status must not count as activity, or an idle session would never be culled. Jupyter Server does not
count requests to ``api/status`` and requests with the argument ``no_track_activity`` (jupyter_server/base/handlers.py,
update_api_activity). JupyterHub's proxy counts each answer with a status below 300 (configurable-http-proxy,
lib/configproxy.js, handleProxy). Therefore repeated requests have the header ``If-None-Match``, and the answer is 304
as long as nothing has changed.
"""

import json
import re
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

import requests

from clinder._http import (
    LONGEST_TIMEOUT,
    NETWORK_ERRORS,
    Client,
    caused_by,
    describe,
    is_loopback,
    proxies,
    sleep_unless,
)
from clinder.errors import SessionError, SessionGone, SessionUnreachable, UsageError, WrongToken
from clinder.giturl import pasted
from clinder.jupyterhub import TokenAuth, check_token, remove_server
from clinder.spec import RepoSpec, check_url
from clinder.text import one_line

# For how many seconds to ask again while a proxy answers 5xx, because it can't reach the server at the moment.
_PATIENCE = 5.0

_MAX_ANSWER = 1 << 16  # bytes
_MAX_LOCATION = 4000  # characters
_MAX_ETAG = 200  # characters
_MOST_COUNTED = 1 << 60  # the largest number that is believed: an exabyte
_MOST_KERNELS = 100  # the most kernels that are read from a list


class KernelStatus(NamedTuple):
    """A kernel of ``GET api/kernels``: its name, its state (``busy``, ``idle``), its last activity, its clients."""

    name: str
    state: str
    last_activity: str
    connections: int


class MemoryStatus(NamedTuple):
    """The memory that a session's processes use, and the session's limit (None if not known), in bytes.

    Only a server with jupyter-resource-usage reports them (``GET api/metrics/v1``), for example on mybinder.org.
    """

    used: int
    limit: int | None


class SessionStatus(NamedTuple):
    """The status of a server: when it started and was last active, and its kernels, connections and memory.

    The two times are in ISO 8601, as the server writes them. ``kernels`` and ``connections`` are numbers. ``running``
    lists the kernels, at most a hundred. ``memory`` is None if the server does not report it.
    """

    started: str
    last_activity: str
    kernels: int
    connections: int
    running: tuple[KernelStatus, ...] = ()
    memory: MemoryStatus | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the status as dictionaries and lists: the JSON output of ``clinder status``."""
        running = [kernel._asdict() for kernel in self.running]
        return {**self._asdict(), "running": running, "memory": self.memory._asdict() if self.memory else None}


class Session:
    """A Jupyter Server: its ``url``, which ends in a slash, its ``token``, and for a launched server its origin.

    The attributes of a launched session, each None if not known:

    - ``hub``: the URL of the hub that launched it
    - ``spec``: the repository and ref that were asked for
    - ``resolved_ref``: the commit that the ref stood for
    - ``image``: the name of the image
    - ``launch_url``: the link that launches the same commit in a browser
    - ``instead_of``: what would have been launched if no image had been reused; None if no image was reused
    - ``hub_token``: the API token for a hub with a login; the same as ``token`` if only it opens the server

    A session is a context manager: it stops the server when the block ends, also after an exception. If stop() fails,
    its error is raised after a block without an exception; after an exception it is a warning.

    Raises `UsageError` for a ``url`` that is not http(s), and for a ``token`` that has other characters than visible
    ASCII characters.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        hub: str | None = None,
        spec: RepoSpec | None = None,
        image: str | None = None,
        resolved_ref: str | None = None,
        launch_url: str | None = None,
    ) -> None:
        self.url = check_url(url, "a session's URL", secret=True)
        self.token = check_token(token, "The token")
        self.hub = hub
        self.spec = spec
        self.image = image
        self.resolved_ref = resolved_ref
        self.launch_url = launch_url
        self.instead_of: RepoSpec | None = None
        self.hub_token: str | None = None

    def __repr__(self) -> str:  # without the token
        return f"Session({self.url!r}, hub={self.hub!r}, spec={self.spec!r})"

    @classmethod
    def parse(cls, uri: str, token: str | None = None) -> "Session":
        """Return the session at a URI with its token (``https://hub/user/x/?token=...``), or at a URL with a token.

        The URI may also be the address of its JupyterLab (``.../user/x/lab?token=...``). Raises `UsageError`; the
        message repeats neither the URI nor the token.
        """
        hint = "Expected a URI with its token (https://hub/user/x/?token=...), or a URL followed by the token."
        uri = pasted(uri)
        if token:  # people also copy ?token= from an address
            token = pasted(token).removeprefix("?").removeprefix("token=")
        try:
            parts = urlsplit(uri)
        except ValueError:
            raise UsageError("The session's URL can't be understood.", hint) from None
        if not re.fullmatch(r"[!-~]*", uri):  # urlsplit() removes some control characters
            raise UsageError("The session's URL has blanks, control or non-ASCII characters in it.", hint)
        # A browser's address line has the page of JupyterLab or another interface behind the session's own path.
        path = re.sub(r"(/user/[^/]+/)(lab|tree|notebooks|edit|doc|nbclassic|retro)(/.*)?$", r"\1", parts.path)
        found = parse_qs(parts.query).get("token")
        if token is None and not found:
            raise UsageError("The session has no token.", hint)
        return cls(urlunsplit((parts.scheme, parts.netloc, path, "", "")), token or (found or [""])[0])

    @property
    def uri(self) -> str:
        """The URL with the token in it, for Jupyter clients."""
        return f"{self.url}?token={quote(self.token, safe='')}"

    @property
    def env(self) -> dict[str, str]:
        """The two environment variables that MyST and Jupyter Book read, and their values."""
        return {"JUPYTER_BASE_URL": self.url, "JUPYTER_TOKEN": self.token}

    def as_dict(self) -> dict[str, Any]:
        """Return everything about the session, the token included: the JSON output of ``clinder start``."""
        spec = self.spec
        return {
            "url": self.url,
            "token": self.token,
            "uri": self.uri,
            "hub": self.hub,
            "provider": spec.provider if spec else None,
            "repo": spec.repo if spec else None,
            "ref": spec.ref if spec else None,
            "resolved_ref": self.resolved_ref,
            "image": self.image,
            "launch_url": self.launch_url,
            "instead_of": self.instead_of._asdict() if self.instead_of else None,
        }

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        except SessionError as failure:
            if error is None:
                raise
            warnings.warn(str(failure), RuntimeWarning, stacklevel=2)  # the block's own exception matters more

    def status(self, timeout: float = 10) -> SessionStatus:
        """Return the status of the server. The request is no activity, so it does not keep an idle server alive.

        ``timeout`` is the deadline of the whole call in seconds. While a proxy or the network fails, the server is
        asked again for up to five seconds. Raises `SessionGone`, `WrongToken` or `SessionUnreachable`.
        """
        until = time.monotonic() + timeout
        status = status_of(self, timeout)
        return with_details(status, self, max(1.0, until - time.monotonic()))

    def stop(self, timeout: float = 10) -> bool:
        """Shut the server down; return whether it was still running. A session that has already ended is no error.

        ``timeout`` is as for status(). Raises `WrongToken`, or `SessionUnreachable` when it is not known whether the
        server still runs.
        """
        return stop_server(self, timeout)


def status_of(session: Session, timeout: float, check: Callable[[], None] | None = None) -> SessionStatus:
    """Return the status of ``GET api/status``, without details.

    ``check`` is called while it waits. Raises the errors of `Session.status`, and any exception of ``check``.
    """
    answer = _Asker(session, timeout, check).ask("GET", "api/status")
    if answer.is_gone:
        raise SessionGone("The session is gone: its server has ended.", "Start a new one: clinder start")
    if (status := _status(answer)) is None:
        raise _refusal(session, answer)
    return status


def _status(answer: "_Answer") -> SessionStatus | None:
    content = answer.json
    if answer.status != 200 or not isinstance(content, dict) or "kernels" not in content:
        return None
    return SessionStatus(
        started=_as_text(content.get("started")),
        last_activity=_as_text(content.get("last_activity")),
        kernels=_as_count(content["kernels"]),
        connections=_as_count(content.get("connections")),
    )


def with_details(
    status: SessionStatus, session: Session, timeout: float, check: Callable[[], None] | None = None
) -> SessionStatus:
    """Return the status with the kernels and the memory that the server reports in time; the rest is not changed.

    ``check`` is called while it waits; a `SessionError` that it raises ends the call.
    """
    asker = _Asker(session, timeout, check)
    kernels = asker.ask_for_json("api/kernels")
    if not isinstance(kernels, list):
        return status
    running = tuple(
        KernelStatus(
            name=_as_text(each.get("name")),
            state=_as_text(each.get("execution_state")),
            last_activity=_as_text(each.get("last_activity")),
            connections=_as_count(each.get("connections")),
        )
        for each in kernels[:_MOST_KERNELS]
        if isinstance(each, dict)
    )
    return status._replace(running=running, memory=_memory(asker.ask_for_json("api/metrics/v1")) or status.memory)


def _memory(content: Any) -> MemoryStatus | None:
    """Read the answer of jupyter-resource-usage (its api.py): ``{"rss": n, "limits": {"memory": {"rss": n}}}``."""
    used = _as_count(_at(content, "rss"))
    limit = _as_count(_at(content, "limits", "memory", "rss"))
    return MemoryStatus(used, limit if limit > 0 else None) if used > 0 else None


def _at(content: Any, *keys: str) -> Any:
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content


def kernel_names_of(session: Session, timeout: float) -> list[str]:
    """Return the names of the kernels that the session can start (``GET api/kernelspecs``); empty if not known."""
    specs = _at(_Asker(session, timeout).ask_for_json("api/kernelspecs"), "kernelspecs")
    return sorted(map(_as_text, specs))[:_MOST_KERNELS] if isinstance(specs, dict) else []


class Finding(Enum):
    """The finding of one look at a session."""

    ALIVE = "its server answers"
    ENDED = "its port is closed, and it is on this machine"
    REPLACED = "JupyterHub or its proxy answers in its place: it has ended, or the proxy can't reach it at the moment"
    NOTHING = "its server does not answer, for any reason"


class Look(NamedTuple):
    """One look at a session. ``status`` is None if nothing has changed since the look that had the same ``etag``."""

    finding: Finding
    status: SessionStatus | None = None
    etag: str = ""


def look_at(session: Session, timeout: float, etag: str = "", check: Callable[[], None] | None = None) -> Look:
    """Look at a session once, and return the finding. No answer within ``timeout`` seconds is a finding, not an error.

    ``etag`` is that of the last look. ``check`` is called while it waits; a `SessionError` that it raises ends the
    call.
    """
    try:
        answer = _Asker(session, timeout, check).ask_once("GET", "api/status", etag)
    except SessionError:
        return Look(Finding.NOTHING)
    if answer.is_gone or answer.may_be_gone:
        return Look(Finding.ENDED if answer is _CLOSED_PORT else Finding.REPLACED)
    if etag and answer.status == 304:
        return Look(Finding.ALIVE, None, etag)
    status = _status(answer)
    return Look(Finding.ALIVE, status, answer.etag) if status else Look(Finding.NOTHING)


def stop_server(session: Session, timeout: float, check: Callable[[], None] | None = None) -> bool:
    """Stop a server, as `Session.stop` does. ``check`` is called while it waits; its exception ends the call."""
    asker = _Asker(session, timeout, check)
    answer = asker.ask("POST", "api/shutdown")
    if answer.status in (401, 403) and session.hub_token not in (None, session.token):
        session.token = session.hub_token  # it is not known yet which of the two opens the server
        answer = asker.ask("POST", "api/shutdown")
    # A POST gets 403 and a page from a live server if the token is wrong, and from JupyterHub if the server has ended.
    # A GET of api tells the two apart, and it needs no token.
    if answer.is_gone or (answer.status == 403 and asker.ask("GET", "api").is_gone):
        return False
    # A page with status 200 is a login page or an error page; jupyter-server's own answer is empty.
    has_ended = answer.status in (200, 204) and not answer.is_page
    if answer.is_jupyterhubs or session.hub_token:
        with suppress(SessionError):  # raised by asker.check when the deadline has passed
            has_ended |= remove_server(session.url, session.hub_token or session.token, asker.check)
    if has_ended:
        return True
    raise _refusal(session, answer)


def _refusal(session: Session, answer: "_Answer") -> SessionError:
    """Return the error for an answer that is not the expected one."""
    if answer.status in (401, 403):
        return WrongToken(
            f"The server does not accept this token: {session.url} (HTTP {answer.status}).",
            "Use the URL and token of one and the same session.",
        )
    kind = "a web page" if answer.is_page else "an answer that is not Jupyter Server's"
    return SessionUnreachable(
        f"HTTP {answer.status} and {kind} came from {session.url}",
        "Is that the URL of a session (https://hub/user/x/)? If it is, the server may still be running.",
    )


class _Asker:
    """The requests of one call, with one deadline that no server can exceed."""

    def __init__(self, session: Session, timeout: float, check: Callable[[], None] | None = None) -> None:
        if not timeout > 0:
            raise UsageError(f"The timeout must be more than 0 seconds, not {timeout:g}.")
        self._session = session
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._also_check = check

    def ask(self, method: str, path: str) -> "_Answer":
        """Return the first answer that is not an error of a proxy; ask again while the network or a proxy fails.

        A single 503 with JupyterHub's page may be a short failure of its proxy. If it stays, the server has ended.
        """
        began = time.monotonic()
        patience = min(_PATIENCE, self._timeout)
        while True:
            is_last = time.monotonic() - began >= patience
            try:
                answer = self.ask_once(method, path)
                if answer.may_be_gone and is_last and patience == _PATIENCE:
                    answer.is_gone = True
                if is_last or answer.is_gone or answer.status < 500:
                    return answer
            except SessionUnreachable:
                if is_last or time.monotonic() >= self._deadline:
                    raise
            sleep_unless(min(1.0, began + patience - time.monotonic()), self.check)

    def ask_for_json(self, path: str) -> Any:
        """Ask once, and return the JSON in the answer, or None if there is no such answer."""
        try:
            answer = self.ask_once("GET", f"{path}?no_track_activity=1")
        except SessionError:
            return None
        return answer.json if answer.status == 200 else None

    def check(self) -> None:
        """Raise the error that ends the call, if there is one."""
        if self._also_check is not None:
            self._also_check()
        if time.monotonic() >= self._deadline:
            raise SessionUnreachable(
                f"The server did not answer within {self._timeout:g} seconds: {self._session.url}",
                "It may still be running: try again.",
            )

    def ask_once(self, method: str, path: str, etag: str = "") -> "_Answer":
        """Ask once, and return the answer. With the ``etag`` of an earlier answer, 304 means that nothing changed."""
        url = self._session.url
        try:
            with Client() as http:
                return http.interruptible(lambda: self._request(http, method, path, etag), self.check)
        except NETWORK_ERRORS as error:
            if is_loopback(url) and caused_by(error, ConnectionRefusedError):
                return _CLOSED_PORT
            raise SessionUnreachable(
                f"The server could not be reached: {url}: {describe(error)}.",
                "It may still be running: check the network and try again.",
            ) from None

    def _request(self, http: Client, method: str, path: str, etag: str) -> "_Answer":
        url = self._session.url
        with http.request(
            method,
            url + path,
            auth=TokenAuth(self._session.token),
            headers={"Accept": "application/json", **({"If-None-Match": etag} if etag else {})},
            timeout=(min(self._timeout, 5), min(self._timeout, LONGEST_TIMEOUT) + 1),  # the deadline comes first
            proxies=proxies(url),
            allow_redirects=False,
            stream=True,
        ) as response:
            return _Answer(response.status_code, response.headers, _body(response))


def _body(response: requests.Response) -> bytes:
    """Return the beginning of the body, or nothing if the server cuts it short while it shuts down."""
    try:
        return response.raw.read(_MAX_ANSWER, decode_content=True) or b""
    except NETWORK_ERRORS:
        return b""


class _Answer:
    """The meaning of an HTTP answer for a session.

    When a session has ended, JupyterHub answers in its place (measured, JupyterHub 6.1). First its proxy says 503 with
    JupyterHub's page, which it also does for a short time when something fails. After JupyterHub has removed the route,
    it redirects a GET to ``/hub/user/...``. (It redirects a GET without a login to ``/hub/login``, which proves
    nothing.) Other systems say 404, 410 or 424.
    """

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        etag = headers.get("ETag", "")[: _MAX_ETAG + 1]
        self.etag = etag if re.fullmatch(r'(W/)?"[!#-~]*"', etag) else ""  # only valid ones (RFC 9110): it is sent back
        # jupyter-server's empty answers have the content type HTML as well.
        self.is_page = headers.get("Content-Type", "").lower().startswith("text/html") and bool(body.strip())
        # The server is a jupyterhub-singleuser, which accepts API tokens of its JupyterHub.
        self.is_jupyterhubs = "X-JupyterHub-Version" in headers
        self.may_be_gone = status == 503 and (b"JupyterHub" in body or b"/hub/" in body)
        location = headers.get("Location", "")[:_MAX_LOCATION].partition("?")[0]
        # A running server also says 404, with its own page, to an address that is almost its own.
        self.is_gone = (status in (302, 307) and "/hub/user/" in location) or (
            status in (404, 410, 424) and b"<title>Jupyter Server" not in body
        )
        try:
            self.json: Any = json.loads(body)
        except (ValueError, RecursionError):
            self.json = None


_CLOSED_PORT = _Answer(410, {}, b"")  # on this machine, a closed port means that the server has ended


def _as_text(value: Any) -> str:
    return one_line(value, 100) if isinstance(value, str) else ""


def _as_count(value: Any) -> int:
    return int(value) if isinstance(value, int) and abs(value) <= _MOST_COUNTED else 0
