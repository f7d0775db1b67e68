"""Fetch a file that a project's myst.yml extends from the web, within bounds.

This module fetches a small file over https, and does not know its content. The URL comes from the project, so it can't
be trusted: no cookie, no token and no password from ~/.netrc is sent, and only https is used.
"""

from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from clinder.errors import UsageError
from clinder.spec import check_url

if TYPE_CHECKING:
    from clinder._http import Client

SECONDS = 10.0  # for the whole file
_MAX_REDIRECTS = 3


def read_remote(url: str, limit: int, seconds: float = SECONDS) -> bytes:
    """Return the content at a URL, at most ``limit`` bytes. Raises OSError; its text says why it could not be read."""
    from clinder._http import NETWORK_ERRORS, Client, describe

    deadline = monotonic() + seconds

    def check() -> None:
        if monotonic() > deadline:
            raise TimeoutError

    try:
        with Client() as client:
            return client.interruptible(lambda: _read(client, url, limit, seconds), check)
    except _Unread:
        raise
    except (*NETWORK_ERRORS, ValueError) as error:  # ValueError: the address of a redirect is malformed
        raise OSError(describe(error)) from None


class _Unread(OSError):
    """The reason to reject an answer."""


def _read(client: "Client", url: str, limit: int, seconds: float) -> bytes:
    from clinder._http import proxies

    for _ in range(_MAX_REDIRECTS + 1):
        _check_https(url)
        headers = {"Accept-Encoding": "identity"}
        with client.get(
            url, stream=True, allow_redirects=False, timeout=seconds, proxies=proxies(url), headers=headers
        ) as response:
            client.cookies.clear()
            if response.is_redirect:
                url = urljoin(url, response.headers["Location"])
                continue
            if response.status_code != 200:
                raise _Unread(f"HTTP {response.status_code}")
            content = bytes(response.raw.read(limit + 1, decode_content=False))
            if len(content) > limit:
                raise _Unread(f"larger than {limit:,} bytes")
            return content
    raise _Unread("redirected in circles")


def _check_https(url: str) -> None:
    try:
        if not check_url(url.partition("?")[0].partition("#")[0], "a URL").startswith("https://"):
            raise _Unread("not over https")
    except UsageError as error:
        raise _Unread(error.message) from None
