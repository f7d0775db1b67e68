"""One running Jupyter Server: where it is, whether it is alive, and its end. Knows nothing of how it was started.

The protocol is Jupyter Server's REST API: ``GET api/status`` and ``POST api/shutdown``, with the header
``Authorization: token <token>``. A redirect is never followed: it would turn the POST into the GET of a login page and
could carry the token to another origin.

No look at a session keeps it alive when it is idle. Jupyter Server counts no request to ``api/status``, and none with
the argument ``no_track_activity`` (jupyter_server/base/handlers.py, update_api_activity). JupyterHub's proxy counts
each answer with a status below 300 (configurable-http-proxy, lib/configproxy.js, handleProxy). So who looks again and
again says by ``If-None-Match`` what it knows, and gets 304 as long as nothing has happened.
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

from clinder._http import NETWORK_ERRORS, Client, caused_by, describe, is_loopback, proxies, sleep_unless
from clinder.errors import SessionError, SessionGone, SessionUnreachable, UsageError, WrongToken
from clinder.jupyterhub import TokenAuth, check_token, remove_server
from clinder.spec import RepoSpec, check_url
from clinder.text import one_line

# A proxy that can't reach the server right now answers 5xx; so long is it asked again before clinder gives up.
_PATIENCE = 5.0

_MAX_ANSWER = 1 << 16
_MAX_LOCATION = 4000
_MAX_ETAG = 200
_MOST_COUNTED = 1 << 60  # an exabyte
_MOST_KERNELS = 100  # that are read of a list


class KernelStatus(NamedTuple):
    """A kernel, as ``GET api/kernels`` says: what it is called, whether it is ``busy`` or ``idle``, and since when."""

    name: str
    state: str
    last_activity: str
    connections: int


class MemoryStatus(NamedTuple):
    """Bytes that a session's processes take, and its limit, None if it has none that is known.

    Only a server with jupyter-resource-usage tells them (``GET api/metrics/v1``), as those of mybinder.org do.
    """

    used: int
    limit: int | None


class SessionStatus(NamedTuple):
    """What a server says of itself: two times as it writes them (ISO 8601), two counts, its kernels, its memory.

    ``running`` has at most a hundred kernels. ``memory`` is None where the server does not tell it.
    """

    started: str
    last_activity: str
    kernels: int
    connections: int
    running: tuple[KernelStatus, ...] = ()
    memory: MemoryStatus | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as dictionaries and lists, as the JSON output has it."""
        running = [kernel._asdict() for kernel in self.running]
        return {**self._asdict(), "running": running, "memory": self.memory._asdict() if self.memory else None}


class Session:
    """A Jupyter Server: its ``url`` (ends in a slash) and ``token``, and for a launched one where it came from.

    That is the ``hub``'s URL, the ``spec`` that was asked for, the ``image``, the commit the ref stood for
    (``resolved_ref``) and the link that launches the very same in a browser (``launch_url``), each None if not known;
    and what would have been launched if no image had been reused (``instead_of``), None if nothing else. ``hub_token``
    is the API token of the JupyterHub that a hub with a login was given: the same as ``token`` where that alone opens
    the server.

    As a context manager it stops the server when the block is left, whether by an exception or not; what stop() raises
    comes out of a block without an exception, and is a warning after one. A ``url`` that is not http(s) or a ``token``
    with anything but visible ASCII characters is a `UsageError`.
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
        """Return the session of a URI with its token (``https://hub/user/x/?token=...``), or of a URL and a token.

        The address of its JupyterLab (``.../user/x/lab?token=...``) will do. Raises `UsageError`, whose message repeats
        neither.
        """
        hint = "Expected a URI with its token (https://hub/user/x/?token=...), or a URL followed by the token."
        uri = uri.strip()
        try:
            parts = urlsplit(uri)
        except ValueError:
            raise UsageError("The session's URL can't be understood.", hint) from None
        if not re.fullmatch(r"[!-~]*", uri):  # which urlsplit() would leave out
            raise UsageError("The session's URL has blanks, control or non-ASCII characters in it.", hint)
        # What a browser's address line has behind the session's own path (JupyterHub's, the name may be anybody's).
        path = re.sub(r"(/user/[^/]+/)(lab|tree|notebooks|edit|doc|nbclassic|retro)(/.*)?$", r"\1", parts.path)
        found = parse_qs(parts.query).get("token")
        if token is None and not found:
            raise UsageError("The session has no token.", hint)
        return cls(urlunsplit((parts.scheme, parts.netloc, path, "", "")), token or (found or [""])[0])

    @property
    def uri(self) -> str:
        """URL and token in one, as Jupyter clients take it."""
        return f"{self.url}?token={quote(self.token, safe='')}"

    @property
    def env(self) -> dict[str, str]:
        """The two variables that MyST and Jupyter Book read."""
        return {"JUPYTER_BASE_URL": self.url, "JUPYTER_TOKEN": self.token}

    def as_dict(self) -> dict[str, Any]:
        """Return everything about the session, the token included, as the JSON output has it."""
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
        """Return what the server says of itself. For the server that is no activity, which would keep it alive.

        ``timeout`` is one deadline in seconds for everything; a server that is in trouble is asked again for five of
        them. Raises `SessionGone`, `WrongToken` or `SessionUnreachable`.
        """
        until = time.monotonic() + timeout
        status = status_of(self, timeout)
        return with_details(status, self, max(1.0, until - time.monotonic()))

    def stop(self, timeout: float = 10) -> bool:
        """Shut the server down; return whether it was there. A session that is gone already is no error.

        ``timeout`` is as for status(). Raises `WrongToken`, or `SessionUnreachable` when nobody can say whether the
        server still runs.
        """
        return stop_server(self, timeout)


def status_of(session: Session, timeout: float, check: Callable[[], None] | None = None) -> SessionStatus:
    """Return what ``GET api/status`` says, without details. ``check`` is called meanwhile; it may end the call.

    Raises what `Session.status` raises, and what ``check`` raises.
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
    """Return a status with the kernels and the memory of the session, as far as the server tells them in time.

    What it does not tell stays as it was. ``check`` is called meanwhile; a `SessionError` that it raises ends the call.
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
    """Return what jupyter-resource-usage says (its api.py): ``{"rss": n, "limits": {"memory": {"rss": n}}}``."""
    used = _as_count(_at(content, "rss"))
    limit = _as_count(_at(content, "limits", "memory", "rss"))
    return MemoryStatus(used, limit if limit > 0 else None) if used > 0 else None


def _at(content: Any, *keys: str) -> Any:
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content


def kernel_names_of(session: Session, timeout: float) -> list[str]:
    """Return the names of the kernels that the session can start (``GET api/kernelspecs``); none if it does not say."""
    specs = _at(_Asker(session, timeout).ask_for_json("api/kernelspecs"), "kernelspecs")
    return sorted(map(_as_text, specs))[:_MOST_KERNELS] if isinstance(specs, dict) else []


class Finding(Enum):
    """What one look at a session found."""

    ALIVE = "its server"
    ENDED = "a closed port of this very machine"
    REPLACED = "another answer in its place, as JupyterHub or its proxy gives for one that has ended, or in trouble"
    NOTHING = "no answer of its server, for whatever reason"


class Look(NamedTuple):
    """One look at a session. ``status`` is None when nothing has changed since the look of that ``etag``."""

    finding: Finding
    status: SessionStatus | None = None
    etag: str = ""


def look_at(session: Session, timeout: float, etag: str = "", check: Callable[[], None] | None = None) -> Look:
    """Look at a session once. Raises nothing: a session that does not answer within ``timeout`` is a finding.

    ``etag`` is that of the last look. ``check`` is called meanwhile; a `SessionError` that it raises ends the call.
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
    """Do what `Session.stop` does. ``check`` is called meanwhile; what it raises ends the call."""
    asker = _Asker(session, timeout, check)
    answer = asker.ask("POST", "api/shutdown")
    if answer.status in (401, 403) and session.hub_token not in (None, session.token):
        session.token = session.hub_token  # nobody has looked yet which of the two opens it
        answer = asker.ask("POST", "api/shutdown")
    # Both a live server, to a wrong token, and JupyterHub, in place of one that is gone, answer a POST with 403 and a
    # page. A GET tells them apart, and api needs no token.
    if answer.is_gone or (answer.status == 403 and asker.ask("GET", "api").is_gone):
        return False
    # A page with status 200 is somebody's login or error page; jupyter-server's own answer is empty.
    has_ended = answer.status in (200, 204) and not answer.is_page
    if answer.is_jupyterhubs or session.hub_token:
        with suppress(SessionError):  # it is too late for that
            has_ended |= remove_server(session.url, session.hub_token or session.token, asker.check)
    if has_ended:
        return True
    raise _refusal(session, answer)


def _refusal(session: Session, answer: "_Answer") -> SessionError:
    """Return the error that says that an answer is not what was asked for."""
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
    """The requests of one call, under one deadline that holds whatever the server does."""

    def __init__(self, session: Session, timeout: float, check: Callable[[], None] | None = None) -> None:
        if not timeout > 0:
            raise UsageError(f"The timeout must be more than 0 seconds, not {timeout:g}.")
        self._session = session
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._also_check = check

    def ask(self, method: str, path: str) -> "_Answer":
        """Return the first answer that says something; ask again while the network or a proxy is in trouble.

        One 503 with JupyterHub's page may be passing trouble of its proxy. When it stays, the server has ended.
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
        """Return what the server says there, None if it does not say that now. It is asked once."""
        try:
            answer = self.ask_once("GET", f"{path}?no_track_activity=1")
        except SessionError:
            return None
        return answer.json if answer.status == 200 else None

    def check(self) -> None:
        """Raise what ends the call, if something does."""
        if self._also_check is not None:
            self._also_check()
        if time.monotonic() >= self._deadline:
            raise SessionUnreachable(
                f"The server did not answer within {self._timeout:g} seconds: {self._session.url}",
                "It may still be running: try again.",
            )

    def ask_once(self, method: str, path: str, etag: str = "") -> "_Answer":
        """Return the first answer. ``etag`` is of one that is known: then 304 means that it has not changed."""
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
            timeout=(min(self._timeout, 5), self._timeout + 1),  # the deadline comes first
            proxies=proxies(url),
            allow_redirects=False,
            stream=True,
        ) as response:
            return _Answer(response.status_code, response.headers, _body(response))


def _body(response: requests.Response) -> bytes:
    """Return the beginning of the body. A server that shuts down may cut it short; its status has said all by then."""
    try:
        return response.raw.read(_MAX_ANSWER, decode_content=True) or b""
    except NETWORK_ERRORS:
        return b""


class _Answer:
    """What an HTTP answer says about a session.

    A session that has ended has others answer in its place (measured, JupyterHub 6.1). First the proxy says 503, with
    JupyterHub's page; so it does in passing trouble. When JupyterHub has removed the route, it redirects a GET to
    ``/hub/user/...`` (and one of a person who has no login to ``/hub/login``, which is no proof). Elsewhere 404, 410 or
    424.
    """

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        etag = headers.get("ETag", "")[: _MAX_ETAG + 1]
        self.etag = etag if re.fullmatch(r'(W/)?"[!#-~]*"', etag) else ""  # as RFC 9110 has it: it will be sent back
        # jupyter-server's empty answers are called HTML as well.
        self.is_page = headers.get("Content-Type", "").lower().startswith("text/html") and bool(body.strip())
        # A server of JupyterHub's own kind (jupyterhub-singleuser), which JupyterHub's API tokens open.
        self.is_jupyterhubs = "X-JupyterHub-Version" in headers
        self.may_be_gone = status == 503 and (b"JupyterHub" in body or b"/hub/" in body)
        location = headers.get("Location", "")[:_MAX_LOCATION].partition("?")[0]
        # A server that runs says 404 as well, with a page of its own, to an address that is not quite its own.
        self.is_gone = (status in (302, 307) and "/hub/user/" in location) or (
            status in (404, 410, 424) and b"<title>Jupyter Server" not in body
        )
        try:
            self.json: Any = json.loads(body)
        except (ValueError, RecursionError):
            self.json = None


_CLOSED_PORT = _Answer(410, {}, b"")  # on this very machine that is a server that has ended


def _as_text(value: Any) -> str:
    return one_line(value, 100) if isinstance(value, str) else ""


def _as_count(value: Any) -> int:
    return int(value) if isinstance(value, int) and abs(value) <= _MOST_COUNTED else 0
