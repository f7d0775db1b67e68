"""JupyterHub's REST API for a user's own servers: list them, and remove one.

Source: https://jupyterhub.readthedocs.io/en/stable/reference/rest-api.html. A redirect is never followed.
"""

import json
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import unquote, urljoin

from requests.auth import AuthBase
from requests.models import PreparedRequest

from clinder._http import NETWORK_ERRORS, Client, proxies
from clinder.errors import UsageError
from clinder.spec import check_url

_TIMEOUT = 5.0  # seconds
_MAX_ANSWER = 1 << 18  # bytes
_MAX_LOCATION = 4000  # characters
_MAX_TOKEN = 4096  # characters; a token of JupyterHub has 32, a JWT some hundred
_MOST_SERVERS = 5  # the most servers that are returned

Check = Callable[[], None]


class TokenAuth(AuthBase):
    """An auth object of requests that sends the header ``Authorization: token ...``.

    The token is that of a Jupyter Server, or an API token of a JupyterHub. Raises `UsageError` for a token that has
    other characters than visible ASCII characters; the message does not repeat the token.
    """

    def __init__(self, token: str) -> None:
        check_token(token, "The token")
        self._token = token

    def __repr__(self) -> str:  # without the token
        return "TokenAuth(...)"

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"token {self._token}"
        return request


def check_token(token: str, name: str) -> str:
    """Return the token. Raises `UsageError` for a text that can't be a token; the message does not repeat it."""
    if not re.fullmatch(r"[!-~]+", token[: _MAX_TOKEN + 1]) or len(token) > _MAX_TOKEN:
        raise UsageError(
            f"{name} is empty or too long, or has blanks or control characters in it.",
            "Expected visible ASCII characters.",
        )
    return token


def token_of(auth: Callable[[PreparedRequest], PreparedRequest], url: str) -> str | None:
    """Return the token that an auth object of requests sends to a URL; None if it sends none."""
    request = PreparedRequest()
    request.prepare(method="GET", url=url)
    scheme, _, token = str(auth(request).headers.get("Authorization", "")).partition(" ")
    with suppress(UsageError):
        return check_token(token, "") if scheme.lower() in ("token", "bearer") else None
    return None


class _Answer(NamedTuple):
    status: int
    location: str = ""
    content: Any = None


class _TooLate(Exception):
    """The server did not answer in time."""


def _ask(method: str, url: str, token: str | None, check: Check, **content: Any) -> _Answer:
    """Return the answer; its status is 0 if there is none in time. ``check`` is called meanwhile, and may raise."""
    until = time.monotonic() + _TIMEOUT

    def check_both() -> None:
        check()
        if time.monotonic() >= until:
            raise _TooLate

    def ask(http: Client) -> _Answer:
        with http.request(
            method,
            url,
            auth=TokenAuth(token) if token else None,
            headers={"Accept": "application/json"},
            json=content or None,
            timeout=_TIMEOUT + 1,  # the deadline comes first
            proxies=proxies(url),
            allow_redirects=False,
            stream=True,
        ) as response:
            answer = _Answer(response.status_code, response.headers.get("Location", "")[:_MAX_LOCATION])
            if response.is_redirect:  # the body is not needed
                return answer
            with suppress(ValueError, RecursionError):
                return answer._replace(content=json.loads(response.raw.read(_MAX_ANSWER, decode_content=True)))
            return answer

    try:
        with Client() as http:
            return http.interruptible(lambda: ask(http), check_both)
    except (*NETWORK_ERRORS, ValueError, _TooLate):
        return _Answer(0)


def find_jupyterhub(hub: str, check: Check) -> str | None:
    """Return the URL of the JupyterHub whose login a BinderHub's front page redirects to; None if there is none.

    HubOAuth redirects to ``<JupyterHub>/hub/api/oauth2/authorize`` (jupyterhub/services/auth.py).
    """
    answer = _ask("GET", hub, None, check)
    with suppress(ValueError):  # a malformed location; and `UsageError`
        location = urljoin(hub, answer.location).partition("?")[0]
        found = re.fullmatch(r"(https?://[^?#]*?/)hub/(?:api/oauth2/authorize|login)", location)
        return check_url(found[1], "a JupyterHub's URL") if found else None
    return None


def servers_of(jupyterhub: str, token: str, check: Check) -> list[str]:
    """Return the URLs of the servers that the token's user has, five at most; empty if the token may not list them."""
    user = _ask("GET", f"{jupyterhub}hub/api/user", token, check).content
    servers = user.get("servers") if isinstance(user, dict) else None
    found = []
    for server in (servers if isinstance(servers, dict) else {}).values():
        path = server.get("url") if isinstance(server, dict) else None
        # People copy the URL into a shell. So it must be on this JupyterHub, and must not mean anything to a shell.
        if isinstance(path, str) and re.fullmatch(r"/[\w.~%@/-]{1,1000}", path, re.ASCII):
            found.append(urljoin(jupyterhub, f"/{path.strip('/')}/"))
    return found[:_MOST_SERVERS]


def remove_server(url: str, token: str, check: Check) -> bool:
    """Let JupyterHub stop and remove the server at a URL; return whether it accepts that. Takes five seconds at most.

    JupyterHub notices only after up to half a minute that a server has ended by itself, and until then its user can
    start no other server. A named server counts until it is removed. The token needs the scope ``servers!user``. This
    does not work on a JupyterHub that has a subdomain for each user.
    """
    found = re.fullmatch(r"(https?://[^?#]*?/)user/([^/]+)/(?:([^/]+)/)?", url)
    if not found:
        return False
    jupyterhub, user, name = found.groups()
    if {".", ".."} & {unquote(user), unquote(name or "")}:
        return False
    if name is None:
        answer = _ask("DELETE", f"{jupyterhub}hub/api/users/{user}/server", token, check)
    else:
        answer = _ask("DELETE", f"{jupyterhub}hub/api/users/{user}/servers/{name}", token, check, remove=True)
    return answer.status in (202, 204)
