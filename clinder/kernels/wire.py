"""A kernel's message as bytes: in the frames of ZeroMQ, and on a Jupyter Server's websocket. Pure functions.

A message has a channel and parts: header, parent header, metadata and content, each in JSON, then any number of
buffers. The parts are forwarded unchanged.

Sources: jupyter-client's documentation, "Messaging in Jupyter" (the wire protocol); jupyter-server's, "WebSocket kernel
wire protocols", and its services/kernels/connection/base.py.
"""

import hmac
import json
import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

Part: TypeAlias = bytes | memoryview

# The websocket's newer protocol, in which a message is binary. A server that does not know it uses the older protocol:
# JSON, or binary if there are buffers.
V1 = "v1.kernel.websocket.jupyter.org"

CHANNELS = ("shell", "control", "stdin", "iopub")

_DELIMITER = b"<IDS|MSG>"
_FIELDS = ("header", "parent_header", "metadata", "content")
_MAX_PARTS = 10_000
_MAX_SMALL = 1 << 16  # bytes of a header, or of the content of a status; a header has about 200


class Malformed(ValueError):
    """Bytes that are no message."""


class Message(NamedTuple):
    """A message and its channel."""

    channel: str
    parts: Sequence[Part]

    @property
    def header(self) -> dict[str, Any]:
        """The header, as a new dictionary. Raises `Malformed`."""
        return _read_header(self.parts[0])

    @property
    def parent(self) -> dict[str, Any]:
        """The header of the message that this one answers; empty if it answers none. Raises `Malformed`."""
        return _read_header(self.parts[1])

    @property
    def notice(self) -> dict[str, Any]:
        """The content, if it is small, for example that of a status. Raises `Malformed`, also for a large content."""
        return _load_small(self.parts[3], "a notice")


def _read_header(part: Part) -> dict[str, Any]:
    content = _load_small(part, "a header")
    if not all(isinstance(content.get(name, ""), str) for name in ("msg_id", "msg_type", "session")):
        raise Malformed("a header without names")
    return content


def _load_small(part: Part, name: str) -> dict[str, Any]:
    """Return the JSON object of a small part. Raises `Malformed`.

    A large part is not parsed, because its objects could take thirty times its size.
    """
    if len(part) > _MAX_SMALL:
        raise Malformed(f"{name} without end")
    return load_object(part)


def load_object(part: Part) -> dict[str, Any]:
    """Return the JSON object of a part. Raises `Malformed`."""
    try:
        content = json.loads(bytes(part))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise Malformed("no JSON object")
    return content


# On ZeroMQ


class Signer:
    """Signs messages with the key of a connection file (``key``, ``signature_scheme``), and checks signatures.

    Raises ValueError for a scheme that Python does not know.
    """

    def __init__(self, key: str, scheme: str) -> None:
        self._hmac = hmac.new(key.encode(), digestmod=scheme.removeprefix("hmac-")) if key else None

    def frames(self, identities: Sequence[bytes], parts: Sequence[Part]) -> list[Part]:
        """Return the frames of a message to a client with these identities."""
        return [*identities, _DELIMITER, self._sign(parts), *parts]

    def parts(self, frames: Sequence[bytes]) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """Return the identities and the parts in received frames. Raises `Malformed`, also for a wrong signature."""
        try:
            split = frames.index(_DELIMITER)
        except ValueError:
            raise Malformed("no delimiter") from None
        parts = frames[split + 2 :]
        if len(parts) < len(_FIELDS) or not hmac.compare_digest(frames[split + 1], self._sign(parts)):
            raise Malformed("a wrong signature")
        return frames[:split], parts

    def _sign(self, parts: Sequence[Part]) -> bytes:
        if self._hmac is None:
            return b""
        signature = self._hmac.copy()
        for part in parts[: len(_FIELDS)]:
            signature.update(part)
        return signature.hexdigest().encode()


# On the websocket


def pack(message: Message, protocol: str | None) -> bytes | str:
    """Return the data of a message for the websocket. Raises `Malformed`."""
    if protocol == V1:
        return _join([message.channel.encode(), *message.parts], "<Q", count_end=True)
    head = {name: load_object(part) for name, part in zip(_FIELDS, message.parts, strict=False)}
    text = json.dumps({"channel": message.channel, "buffers": [], **head})
    buffers = message.parts[len(_FIELDS) :]
    return _join([text.encode(), *buffers], ">I", count_end=False) if buffers else text


def unpack(data: bytes | str, protocol: str | None) -> Message:
    """Return the message in data from the websocket. Raises `Malformed`."""
    if protocol == V1:
        if isinstance(data, str):
            raise Malformed("text")
        channel, *parts = _split(data, "<Q", count_end=True)
        message = Message(bytes(channel).decode("ascii", "replace"), parts)
    else:
        text, *buffers = [data.encode()] if isinstance(data, str) else _split(data, ">I", count_end=False)
        content = load_object(text)
        fields = [json.dumps(content.get(name, {})).encode() for name in _FIELDS]
        message = Message(str(content.get("channel")), [*fields, *buffers])
    if message.channel not in CHANNELS or len(message.parts) < len(_FIELDS):
        raise Malformed("no kernel's message")
    return message


# Both binary forms have a number n, then n offsets, then the parts. In the newer form, the last offset is the end of
# the last part. In the older form, it is the beginning of the last part.


def _join(parts: Sequence[Part], number: str, *, count_end: bool) -> bytes:
    size = struct.calcsize(number)
    offsets = [size * (1 + len(parts) + count_end)]
    for part in parts:
        offsets.append(offsets[-1] + len(part))
    if not count_end:
        offsets.pop()
    return b"".join([struct.pack(f"{number[0]}{1 + len(offsets)}{number[1]}", len(offsets), *offsets), *parts])


def _split(data: bytes, number: str, *, count_end: bool) -> list[Part]:
    size = struct.calcsize(number)
    count = struct.unpack_from(number, data)[0] if len(data) >= size else 0
    if not 0 < count <= _MAX_PARTS or (1 + count) * size > len(data):
        raise Malformed("a wrong number of parts")
    offsets = list(struct.unpack_from(f"{number[0]}{count}{number[1]}", data, size))
    if not count_end:
        offsets.append(len(data))
    if offsets[0] < (1 + count) * size or offsets[-1] != len(data) or any(a > b for a, b in pairwise(offsets)):
        raise Malformed("wrong offsets")
    whole = memoryview(data)
    return [whole[begin:end] for begin, end in pairwise(offsets)]
