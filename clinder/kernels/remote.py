"""The kernels of a session, over Jupyter Server's REST API: list them, and start, interrupt and end one.

This module knows no messages. Each call has a deadline that no server can exceed. `status_of` tells whether a session
is gone or refuses its token.
"""

import json
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote

import requests

from clinder._http import NETWORK_ERRORS, Client, describe, proxies
from clinder.errors import SessionError, SessionUnreachable
from clinder.session import Session, status_of
from clinder.text import one_line

START_TIMEOUT = 120.0  # seconds; jupyter-server itself waits sixty seconds for a kernel
_TIMEOUT = 10.0  # seconds
_MAX_ANSWER = 1 << 22  # bytes
_MAX_SPECS = 200

# The rule of jupyter_client (kernelspec.py, _is_valid_kernel_name). It is the name of a directory: no "." and no "..".
_NAME = re.compile(r"(?=.{1,100}$)\.*[A-Za-z0-9_\-][A-Za-z0-9._\-]*", re.ASCII)


class KernelSpec(NamedTuple):
    """A kernel that the session has: its language, and its name for people."""

    language: str
    display_name: str


class RunningKernel(NamedTuple):
    """A running kernel, and the session of Jupyter Server (a file and its kernel) that it belongs to."""

    id: str
    session_id: str


def is_kernel_name(name: object) -> bool:
    """Tell whether a value can be the name of a kernelspec."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


class Remote:
    """The kernels of one session. Each method raises `SessionError` if the session does not do what it is asked.

    ``check`` is called while a method waits for an answer; its exception ends the call.
    """

    def __init__(self, session: Session, check: Callable[[], None] = lambda: None) -> None:
        self.session = session
        self._also_check = check

    def specs(self) -> dict[str, KernelSpec]:
        """Return the kernels that the session has, by name. Of names that differ only in case, one is returned."""
        found = self._ask("GET", "api/kernelspecs", 200).content.get("kernelspecs")
        if not isinstance(found, dict):
            raise SessionError(f"The session does not say which kernels it has: {self.session.url}")
        specs: dict[str, KernelSpec] = {}
        seen = set()
        for name, entry in list(found.items())[:_MAX_SPECS]:
            spec = entry.get("spec") if isinstance(entry, dict) else None
            if is_kernel_name(name) and isinstance(spec, dict) and name.lower() not in seen:
                seen.add(name.lower())
                language, shown = (one_line(str(spec.get(key) or ""), 100) for key in ("language", "display_name"))
                specs[name] = KernelSpec(language, shown or name)
        return specs

    def start(self, name: str, path: str, timeout: float = START_TIMEOUT) -> RunningKernel:
        """Start a kernel for a file at ``path``, relative to the session's root. The file need not exist.

        Jupyter Server starts the kernel in the deepest directory of ``path`` that exists. If a kernel for that path
        runs already, it starts no other (services/sessions/handlers.py), so this can be repeated.
        """
        file = path.rpartition("/")[2]
        wanted = {"path": path, "name": file, "type": "notebook", "kernel": {"name": name}}
        content = self._ask("POST", "api/sessions", 200, 201, content=wanted, timeout=timeout).content
        kernel = content.get("kernel")
        kernel_id = _identifier(kernel.get("id")) if isinstance(kernel, dict) else ""
        session_id = _identifier(content.get("id"))
        if not (kernel_id and session_id):
            raise SessionError(f"The session does not say which kernel it has started: {self.session.url}")
        return RunningKernel(kernel_id, session_id)

    def interrupt(self, kernel: str) -> None:
        """Interrupt a kernel."""
        self._ask("POST", f"api/kernels/{kernel}/interrupt", 200, 204)

    def has(self, kernel: str) -> bool:
        """Tell whether a kernel still runs."""
        if self._ask("GET", f"api/kernels/{kernel}", 200, 404).status == 200:
            return True
        self._check_session(_TIMEOUT)  # the 404 may have come from a proxy in the session's place
        return False

    def end(self, session_id: str) -> None:
        """End the kernel of a session of Jupyter Server. It is no error if it has already ended."""
        self._ask("DELETE", f"api/sessions/{session_id}", 204, 404)

    def end_at(self, path: str) -> bool:
        """End the kernel that was started for a path; return whether there was one."""
        found = self._ask("GET", "api/sessions", 200).items
        ids = [_identifier(each.get("id")) for each in found if isinstance(each, dict) and each.get("path") == path]
        for each in filter(None, ids):
            self.end(each)
        return bool(ids)

    def _ask(
        self, method: str, path: str, *expected: int, content: object = None, timeout: float = _TIMEOUT
    ) -> "_Answer":
        """Return an answer with one of the expected statuses; raise `SessionError` for any other answer."""
        answer = self._ask_twice(method, path, content, timeout)
        if answer.status in expected:
            return answer
        self._check_session(_TIMEOUT)
        said = answer.content.get("message")
        words = f": {one_line(said, 300)}" if isinstance(said, str) else ""
        raise SessionError(f"The session answered with HTTP {answer.status}{words}")

    def _check_session(self, timeout: float) -> None:
        """Raise `SessionError` if the session is gone or refuses its token. Waits while a proxy fails for a moment."""
        status_of(self.session, timeout, self._also_check)

    def _ask_twice(self, method: str, path: str, content: object, timeout: float) -> "_Answer":
        """Return the answer. If the first attempt fails, ask once more: all requests here can be repeated."""
        deadline = time.monotonic() + timeout
        try:
            answer = self._ask_once(method, path, content, deadline)
            if answer.status < 500:
                return answer
            trouble = f"HTTP {answer.status}"
        except NETWORK_ERRORS as error:
            trouble = describe(error)
        rest = min(timeout, _TIMEOUT)
        self._check_session(rest)
        try:
            return self._ask_once(method, path, content, max(deadline, time.monotonic() + rest))
        except NETWORK_ERRORS as error:
            raise SessionUnreachable(
                f"The session could not be reached: {self.session.url}: {describe(error)} (before that: {trouble})."
            ) from None

    def _ask_once(self, method: str, path: str, content: object, deadline: float) -> "_Answer":
        def check() -> None:
            self._also_check()
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
            return _read(response.status_code, body)


class _Answer(NamedTuple):
    """An answer of the session: the HTTP status, and its JSON, an object (``content``) or a list (``items``)."""

    status: int
    content: dict[str, Any]
    items: list[Any]


def _read(status: int, body: bytes) -> _Answer:
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    return _Answer(status, found if isinstance(found, dict) else {}, found if isinstance(found, list) else [])


def _identifier(value: object) -> str:
    """Return an id from a server if it is safe in a URL; else an empty text."""
    return value if isinstance(value, str) and re.fullmatch(r"[\w\-]{1,100}", value, re.ASCII) else ""
