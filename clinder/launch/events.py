"""A hub's build stream: bytes -> server-sent events -> `Event`. No network, no output.

What comes in was written by strangers (a build log is whatever a repository's build prints), so this is the one
place where text from a hub is cleaned. Everything unknown is tolerated: phases, fields, comments, events that
are no JSON object, messages that are no string, broken UTF-8, any line ending, any chunking.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

from sseclient import SSEClient

from clinder.text import strip_ansi, strip_controls

# A line of a log is a few kilobytes. What is longer than this is cut, so that nothing a hub sends fills the memory.
MAX_EVENT_BYTES = 1 << 18

# The words of BinderHub (binderhub/builder.py, build.py) and repo2docker; "failure" is the older name of "failed".
KNOWN_PHASES = ("waiting", "fetching", "building", "pushing", "built", "launching", "ready", "failed", "failure")
LAUNCH_PHASES = frozenset({"built", "launching"})
FAILED_PHASES = frozenset({"failed", "failure"})
# No hub's: clinder says in them what it does about the hub.
OWN_PHASES = frozenset({"retrying", "stopping"})


class Event(NamedTuple):
    """One event of the build stream.

    ``phase`` is the hub's word ("waiting", "building", "ready", ...; "unknown" when there is none), ``message`` its
    text, free of control characters but newline, tab and colours, and ``data`` the whole object as it came, which
    in the phase "ready" includes the token.
    """

    phase: str
    message: str
    data: Mapping[str, Any]

    def __repr__(self) -> str:  # without data: a token must not reach a log by way of a print()
        return f"Event(phase={self.phase!r}, message={self.message!r})"


def iter_events(chunks: Iterable[bytes]) -> Iterator[Event]:
    """Yield the events in a stream of bytes, each as soon as its last byte is there, in constant memory."""
    # Latin-1 maps every byte to one character and back, so the strict decoder of sseclient never meets a byte that it
    # can't decode; the real decoding happens here, an event at a time, where no character is cut in two.
    for event in SSEClient(_lines(chunks), char_enc="latin-1").events():
        data = event.data
        yield parse_event(data if data.isascii() else data.encode("latin-1").decode("utf-8", "replace"))


def _bounded_int(digits: str) -> int:
    """Return a number of JSON; Python refuses to read one of thousands of digits, which must not hide its event."""
    return int(digits[:400])


# Its raw_decode() takes half the time of json.loads(), for each line of a log.
_DECODER = json.JSONDecoder(parse_int=_bounded_int)

_UNREADABLE = Event("unknown", "", {})


def parse_event(data: str) -> Event:
    """Return the event in the data field of one server-sent event.

    What is no JSON object gives an event without a message: it may hold a token, so nothing of it is shown.
    """
    try:
        content, end = _DECODER.raw_decode(data := data.strip())
        if end < len(data):
            return _UNREADABLE
        phase, message = content.get("phase"), content.get("message")
        if not isinstance(message, str):
            message = "" if message is None else json.dumps(message)
    except (ValueError, RecursionError, AttributeError):
        return _UNREADABLE
    if phase not in KNOWN_PHASES:
        phase = re.sub(r"[^\w .-]", "", phase[:200])[:40] if isinstance(phase, str) else ""
        phase = "" if phase in OWN_PHASES else strip_ansi(phase)
    return Event(phase or "unknown", strip_controls(message), content)


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks with every line ending as a newline, and without what an event has beyond `MAX_EVENT_BYTES`.

    sseclient knows all line endings but not their mixtures, and it keeps a whole event in memory.
    """
    last = b"\n"  # the byte before this chunk
    size = 0  # bytes since the last blank line
    cr = False  # the last chunk ended in a carriage return, which was passed on as a newline
    for chunk in _after_mark(chunks):
        if cr:
            chunk = chunk.removeprefix(b"\n")
            cr = False
        if b"\r" in chunk:
            cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if size <= MAX_EVENT_BYTES:
            yield chunk
        elif (begin := (last + chunk).find(b"\n\n")) >= 0:
            yield b"\n\n" + (last + chunk)[begin + 2 :]
        if chunk.endswith(b"\n\n"):
            size = 0
            last = b"\n"
        elif (end := (last + chunk).rfind(b"\n\n")) >= 0:
            size = len(chunk) - end - 1
            last = chunk[-1:]
        else:
            size += len(chunk)
            last = chunk[-1:] or last


def _after_mark(chunks: Iterable[bytes]) -> Iterable[bytes]:
    """Return the chunks without a byte order mark at the beginning, which the standard allows."""
    mark, beginning = b"\xef\xbb\xbf", b""
    rest = iter(chunks)
    for chunk in rest:
        beginning += chunk
        if not mark.startswith(beginning):
            break
    return chain((beginning.removeprefix(mark),), rest)
