"""The side of a kernel that a tool sees: five ZeroMQ sockets, at the addresses of a connection file.

Source: jupyter-client's documentation, "Messaging in Jupyter" and "Connection files".
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import zmq
import zmq.asyncio

from clinder.kernels.wire import Malformed, Part, Signer

_LINGER = 1000  # milliseconds in which last words may reach the tool
# Messages that wait for a slow tool. With no more than these, and none dropped, a large output makes the session's
# server wait, and not this process grow.
_MOST_WAITING = 16
_PAUSE = 0.002  # seconds
_SMALL = 1 << 16  # bytes, below which ZeroMQ's copy is the cheaper way


class Ports:
    """The sockets, bound. Raises `zmq.ZMQError` when they can't be, KeyError and ValueError for no connection file."""

    def __init__(self, connection: Mapping[str, Any]) -> None:
        self._signer = Signer(connection["key"], connection.get("signature_scheme", "hmac-sha256"))
        self._context = zmq.asyncio.Context()
        self._routers = {
            name: self._bind(self._context.socket(zmq.ROUTER), connection, name)
            for name in ("shell", "control", "stdin", "hb")
        }
        publisher = self._context.socket(zmq.XPUB)
        publisher.set(zmq.XPUB_VERBOSE, 1)  # each client is told of
        publisher.set(zmq.XPUB_NODROP, 1)
        publisher.set(zmq.SNDHWM, _MOST_WAITING)
        self._publisher = self._bind(publisher, connection, "iopub")

    def _bind(self, socket: Any, connection: Mapping[str, Any], name: str) -> Any:
        socket.linger = _LINGER
        if socket.socket_type == zmq.ROUTER:
            socket.router_handover = 1  # as ipykernel's: a client that comes back is the same one
        transport, host, port = connection["transport"], connection["ip"], connection[f"{name}_port"]
        socket.bind(f"tcp://{host}:{port}" if transport == "tcp" else f"{transport}://{host}-{port}")
        return socket

    async def receive(self, channel: str) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """Return the next message of a channel: whom its answer is for, and its parts. Forged ones are passed over."""
        while True:
            frames = await self._routers[channel].recv_multipart()
            try:
                return self._signer.parts(frames)
            except Malformed:
                continue

    async def reply(self, channel: str, identities: Sequence[bytes], parts: Sequence[Part]) -> None:
        """Send a message to one who asked."""
        await self._routers[channel].send_multipart(self._signer.frames(identities, parts), copy=_is_small(parts))

    async def subscription(self) -> bytes:
        """Return the topic of the next subscription to iopub; clients of kernels subscribe to all, which is b""."""
        while True:
            frame: bytes = await self._publisher.recv()
            if frame[:1] == b"\x01":
                return frame[1:]

    async def publish(self, parts: Sequence[Part], topic: bytes = b"iopub") -> None:
        """Send a message to all on iopub, when the slowest has room for it."""
        frames = self._signer.frames([topic], parts)
        while True:
            try:  # ZeroMQ does not tell when there is room, so a socket that waits for it would never rest
                await self._publisher.send_multipart(frames, zmq.NOBLOCK, copy=_is_small(parts))
            except zmq.Again:
                await asyncio.sleep(_PAUSE)
            else:
                return

    async def beat(self) -> None:
        """Return heartbeats, forever."""
        heart = self._routers["hb"]
        while True:
            await heart.send_multipart(await heart.recv_multipart())

    def close(self) -> None:
        """Close the sockets, when what was sent has gone, or after a second."""
        for socket in (*self._routers.values(), self._publisher):
            socket.close()
        self._context.term()


def _is_small(parts: Sequence[Part]) -> bool:
    return sum(map(len, parts)) < _SMALL
