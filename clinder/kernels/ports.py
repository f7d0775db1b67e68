"""The tool's side of a kernel: five ZeroMQ sockets, at the addresses of a connection file.

Source: jupyter-client's documentation, "Messaging in Jupyter" and "Connection files".
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import zmq
import zmq.asyncio

from clinder.kernels.wire import Malformed, Part, Signer

_LINGER = 1000  # milliseconds in which the last messages may reach the tool
# The most messages that wait for a slow tool. Since none is dropped, the session's server waits when an output is
# large, and the memory of this process does not grow.
_MOST_WAITING = 16
_PAUSE = 0.002  # seconds
_SMALL = 1 << 16  # bytes, below which a copy by ZeroMQ is faster


class Ports:
    """The bound sockets. Raises `zmq.ZMQError` if they can't be bound, KeyError or ValueError for a bad connection."""

    def __init__(self, connection: Mapping[str, Any]) -> None:
        self._signer = Signer(connection["key"], connection.get("signature_scheme", "hmac-sha256"))
        self._context = zmq.asyncio.Context()
        self._routers = {
            name: self._bind(self._context.socket(zmq.ROUTER), connection, name)
            for name in ("shell", "control", "stdin", "hb")
        }
        publisher = self._context.socket(zmq.XPUB)
        publisher.set(zmq.XPUB_VERBOSE, 1)  # report each subscription, also to a known topic
        publisher.set(zmq.XPUB_NODROP, 1)
        publisher.set(zmq.SNDHWM, _MOST_WAITING)
        self._publisher = self._bind(publisher, connection, "iopub")

    def _bind(self, socket: Any, connection: Mapping[str, Any], name: str) -> Any:
        socket.linger = _LINGER
        if socket.socket_type == zmq.ROUTER:
            socket.router_handover = 1  # as in ipykernel: a client that reconnects keeps its identity
        transport, host, port = connection["transport"], connection["ip"], connection[f"{name}_port"]
        socket.bind(f"tcp://{host}:{port}" if transport == "tcp" else f"{transport}://{host}-{port}")
        return socket

    async def receive(self, channel: str) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """Return the next message of a channel: the identities of its client, and its parts. Skip forged messages."""
        while True:
            frames = await self._routers[channel].recv_multipart()
            try:
                return self._signer.parts(frames)
            except Malformed:
                continue

    async def reply(self, channel: str, identities: Sequence[bytes], parts: Sequence[Part]) -> None:
        """Send a message to a client."""
        await self._routers[channel].send_multipart(self._signer.frames(identities, parts), copy=_is_small(parts))

    async def subscription(self) -> bytes:
        """Return the topic of the next subscription to iopub. Clients subscribe to all messages: the topic is b""."""
        while True:
            frame: bytes = await self._publisher.recv()
            if frame[:1] == b"\x01":
                return frame[1:]

    async def publish(self, parts: Sequence[Part], topic: bytes = b"iopub") -> None:
        """Send a message to all clients on iopub, when the slowest one has room for it."""
        frames = self._signer.frames([topic], parts)
        while True:
            try:  # ZeroMQ does not signal that there is room, so a socket that waits for it would use all CPU time
                await self._publisher.send_multipart(frames, zmq.NOBLOCK, copy=_is_small(parts))
            except zmq.Again:
                await asyncio.sleep(_PAUSE)
            else:
                return

    async def beat(self) -> None:
        """Send heartbeats back, for ever."""
        heart = self._routers["hb"]
        while True:
            await heart.send_multipart(await heart.recv_multipart())

    def close(self) -> None:
        """Close the sockets. Messages that were sent have a second to leave."""
        for socket in (*self._routers.values(), self._publisher):
            socket.close()
        self._context.term()


def _is_small(parts: Sequence[Part]) -> bool:
    return sum(map(len, parts)) < _SMALL
