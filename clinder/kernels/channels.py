"""The session's side of a kernel: one websocket to Jupyter Server, from its opening to its end.

The library websockets limits the size of a message and of unread data, and finds out by pings if the server is gone. A
redirect is not followed, because it could send the token to another origin.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

from certifi import where
from requests.utils import get_environ_proxies, select_proxy
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from clinder._http import USER_AGENT, Client, describe, is_loopback
from clinder.kernels.wire import V1, Message, pack, unpack
from clinder.session import Session

MAX_MESSAGE = 1 << 28  # bytes
_PING_EVERY = 20.0  # seconds
_PING_TIMEOUT = 40.0  # seconds; a server that is busy with a large output answers late
_TOO_BIG = 1009  # RFC 6455, 7.4.1

# The debug messages of websockets contain the headers, and so the token.
_SILENT = logging.Logger("clinder.kernels", logging.CRITICAL + 1)
_SILENT.addHandler(logging.NullHandler())


class Broken(Exception):
    """The connection could not be opened, or has ended. ``is_final``: the next one would end in the same way."""

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Channels:
    """An open websocket of a kernel."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._socket = connection.transport.get_extra_info("socket")

    @classmethod
    async def open(cls, session: Session, kernel: str, key: str, timeout: float) -> "Channels":
        """Connect to a kernel. Raises `Broken`.

        Between two connections with the same ``key``, the server keeps the messages of the kernel.
        """
        address = f"{session.url}api/kernels/{kernel}/channels?session_id={key}"
        try:
            connection = await _Connect(
                address.replace("http", "ws", 1),
                subprotocols=[Subprotocol(V1)],
                additional_headers={"Authorization": f"token {session.token}"},
                user_agent_header=USER_AGENT,
                compression=None,
                max_size=MAX_MESSAGE,
                ping_interval=_PING_EVERY,
                ping_timeout=_PING_TIMEOUT,
                open_timeout=timeout,
                close_timeout=1,
                logger=_SILENT,
                **_way_to(session.url),
            )
        except InvalidStatus as error:
            raise Broken(f"HTTP {_status(error.response.status_code)}") from None
        except (asyncio.TimeoutError, TimeoutError):
            raise Broken("no answer in time") from None
        except (OSError, WebSocketException, ValueError) as error:
            raise Broken(describe(error)) from None
        return cls(connection)

    async def send(self, message: Message) -> None:
        """Send a message. Raises `Broken` if it may not have arrived."""
        try:
            await self._connection.send(pack(message, self._connection.subprotocol))
        except ConnectionClosed as error:
            raise _broken(error) from None

    async def messages(self) -> AsyncIterator[Message]:
        """Yield the messages that come. Raises `Broken` at the end of the connection, and `Malformed`."""
        try:
            while True:
                data = await self._connection.recv()
                self._acknowledge()
                yield unpack(data, self._connection.subprotocol)
        except ConnectionClosed as error:
            raise _broken(error) from None

    def _acknowledge(self) -> None:
        """Acknowledge the received data at once, if the system can (TCP_QUICKACK).

        jupyter-server does not switch off TCP's Nagle algorithm, which holds back a message until the one before is
        acknowledged. Without this, the system would acknowledge only after 40 ms.
        """
        if hasattr(socket, "TCP_QUICKACK"):
            with suppress(OSError):  # the connection has ended
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _way_to(url: str) -> dict[str, Any]:
    """Return the proxy and the certificates that requests would use for a URL."""
    proxy = None if is_loopback(url) else select_proxy(url, get_environ_proxies(url))
    if not url.startswith("https:"):
        return {"proxy": proxy}
    verify = Client().merge_environment_settings(url, {}, False, True, None)["verify"]
    bundle = Path(where() if verify is True else str(verify))
    folder, file = (bundle, None) if bundle.is_dir() else (None, bundle)
    return {"proxy": proxy, "ssl": ssl.create_default_context(cafile=file, capath=folder)}


def _status(code: int) -> str:
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)


def _broken(error: ConnectionClosed) -> Broken:
    if error.sent and error.sent.code == _TOO_BIG and not error.rcvd_then_sent:
        return Broken(f"an output is larger than {MAX_MESSAGE >> 20} MiB", is_final=True)
    if error.rcvd and error.rcvd.code == _TOO_BIG:
        return Broken("the session's server takes no message as large as this", is_final=True)
    return Broken("the connection ended")
