"""The kernels of a session, over Jupyter Server's REST API: which there are; the start, interrupt and end of one.

It knows nothing of messages. Each call has a deadline that holds whatever the server does. A session that is gone, or
that refuses its token, is told by `Session.status`.
"""

import json
import re
import time
from typing import Any, NamedTuple
from urllib.parse import quote

import requests

from clinder._http import NETWORK_ERRORS, Client, describe, proxies
from clinder.errors import SessionError, SessionUnreachable
from clinder.session import Session
from clinder.text import one_line

START_TIMEOUT = 120.0  # seconds; jupyter-server itself gives a kernel sixty to say that it runs
_TIMEOUT = 10.0
_MAX_ANSWER = 1 << 22  # bytes
_MAX_SPECS = 200

# As jupyter_client has it (kernelspec.py, _is_valid_kernel_name). It is a directory's name: no "." and no "..".
_NAME = re.compile(r"(?=.{1,100}$)\.*[A-Za-z0-9_\-][A-Za-z0-9._\-]*", re.ASCII)


class KernelSpec(NamedTuple):
    """What the session says of a kernel: the language and the name that is shown."""

    language: str
    display_name: str


class RunningKernel(NamedTuple):
    """A kernel that runs, and Jupyter Server's session (a file and its kernel) that it belongs to."""

    id: str
    session_id: str


def is_kernel_name(name: object) -> bool:
    """Tell whether a name can be that of a kernelspec."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


class Remote:
    """The kernels of one session. Every method raises `SessionError` when the session does not do as asked."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def specs(self) -> dict[str, KernelSpec]:
        """Return the kernels that the session has, by their names."""
        found = self._ask("GET", "api/kernelspecs").expect(200).content.get("kernelspecs")
        if not isinstance(found, dict):
            raise SessionError(f"The session does not say which kernels it has: {self.session.url}")
        specs = {}
        for name, entry in list(found.items())[:_MAX_SPECS]:
            spec = entry.get("spec") if isinstance(entry, dict) else None
            if is_kernel_name(name) and isinstance(spec, dict):
                language, shown = (one_line(str(spec.get(key) or ""), 100) for key in ("language", "display_name"))
                specs[name] = KernelSpec(language, shown or name)
        return specs

    def start(self, name: str, path: str, timeout: float = START_TIMEOUT) -> RunningKernel:
        """Start a kernel for a file at ``path``, relative to the session's root, that need not exist.

        Jupyter Server starts the kernel in the deepest directory of ``path`` that it has; and none when there is one
        for that path already (services/sessions/handlers.py), so that this can be repeated.
        """
        file = path.rpartition("/")[2]
        wanted = {"path": path, "name": file, "type": "notebook", "kernel": {"name": name}}
        content = self._ask("POST", "api/sessions", wanted, timeout).expect(200, 201).content
        kernel = content.get("kernel")
        kernel_id = _identifier(kernel.get("id")) if isinstance(kernel, dict) else ""
        session_id = _identifier(content.get("id"))
        if not (kernel_id and session_id):
            raise SessionError(f"The session does not say which kernel it has started: {self.session.url}")
        return RunningKernel(kernel_id, session_id)

    def interrupt(self, kernel: str) -> None:
        """Interrupt a kernel."""
        self._ask("POST", f"api/kernels/{kernel}/interrupt").expect(200, 204)

    def has(self, kernel: str) -> bool:
        """Tell whether a kernel is still there."""
        answer = self._ask("GET", f"api/kernels/{kernel}").expect(200, 404)
        if answer.status == 200:
            return True
        self.session.status(_TIMEOUT)  # or it was somebody else's 404
        return False

    def end(self, session_id: str) -> None:
        """End the kernel of one of Jupyter Server's sessions. One that is gone already is no error."""
        self._ask("DELETE", f"api/sessions/{session_id}").expect(204, 404)

    def end_at(self, path: str) -> bool:
        """End the kernel that was started for this path; return whether there was one."""
        found = self._ask("GET", "api/sessions").expect(200).items
        ids = [_identifier(each.get("id")) for each in found if isinstance(each, dict) and each.get("path") == path]
        for each in filter(None, ids):
            self.end(each)
        return bool(ids)

    def _ask(self, method: str, path: str, content: object = None, timeout: float = _TIMEOUT) -> "_Answer":
        """Return the answer. All that is asked here can be asked twice, so passing trouble is waited for once."""
        deadline = time.monotonic() + timeout
        try:
            answer = self._ask_once(method, path, content, deadline)
            if answer.status < 500:
                return answer
            trouble = f"HTTP {answer.status}"
        except NETWORK_ERRORS as error:
            trouble = describe(error)
        rest = min(timeout, _TIMEOUT)
        self.session.status(rest)  # which waits for a while, and tells a session that is gone
        try:
            return self._ask_once(method, path, content, max(deadline, time.monotonic() + rest))
        except NETWORK_ERRORS as error:
            raise SessionUnreachable(
                f"The session could not be reached: {self.session.url}: {describe(error)} (before that: {trouble})."
            ) from None

    def _ask_once(self, method: str, path: str, content: object, deadline: float) -> "_Answer":
        def check() -> None:
            if time.monotonic() >= deadline:
                raise requests.exceptions.ReadTimeout("no answer in time")

        with Client() as http:
            return http.interruptible(lambda: self._request(http, method, path, content, deadline), check)

    def _request(self, http: Client, method: str, path: str, content: object, deadline: float) -> "_Answer":
        with http.request(
            method,
            self.session.url + quote(path),
            json=content,
            headers={"Accept": "application/json", "Authorization": f"token {self.session.token}"},
            timeout=(5, max(1.0, deadline - time.monotonic() + 1)),  # the deadline comes first
            proxies=proxies(self.session.url),
            allow_redirects=False,
            stream=True,
        ) as response:
            body = response.raw.read(_MAX_ANSWER, decode_content=True) or b""
            return _Answer(self.session, response.status_code, body)


class _Answer:
    """What the session answered: the HTTP status, and its JSON, an object (``content``) or a list (``items``)."""

    def __init__(self, session: Session, status: int, body: bytes) -> None:
        self._session = session
        self.status = status
        try:
            found: Any = json.loads(body)
        except (ValueError, RecursionError):
            found = None
        self.content: dict[str, Any] = found if isinstance(found, dict) else {}
        self.items: list[Any] = found if isinstance(found, list) else []

    def expect(self, *statuses: int) -> "_Answer":
        """Return this answer if it has one of these statuses. Raises `SessionError` otherwise."""
        if self.status in statuses:
            return self
        self._session.status(_TIMEOUT)  # it is gone, or refuses the token
        said = self.content.get("message")
        words = f": {one_line(said, 300)}" if isinstance(said, str) else ""
        raise SessionError(f"The session answered with HTTP {self.status}{words}")


def _identifier(value: object) -> str:
    """Return a server's id if it can be part of an address; nothing otherwise."""
    return value if isinstance(value, str) and re.fullmatch(r"[\w\-]{1,100}", value, re.ASCII) else ""
