"""Read a hub's build stream: bytes -> server-sent events -> `Event`. This module does no I/O.

The text in a stream can't be trusted: a build log contains what a repository's build prints. This is the one place
where text from a hub is cleaned. Everything unknown is tolerated: phases, fields, comments, events that are no JSON
object, messages that are no string, broken UTF-8, any line ending, any chunking.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

from sseclient import SSEClient

from clinder.text import strip_ansi, strip_controls

# A longer event is cut, so that a hub can't fill the memory. A line of a log has a few kilobytes.
MAX_EVENT_BYTES = 1 << 18

# The phases of BinderHub (binderhub/builder.py, build.py) and repo2docker; "failure" is the older name of "failed".
KNOWN_PHASES = ("waiting", "fetching", "building", "pushing", "built", "launching", "ready", "failed", "failure")
LAUNCH_PHASES = frozenset({"built", "launching"})
FAILED_PHASES = frozenset({"failed", "failure"})
# clinder's own phases: their events say what clinder does. No hub has these phases.
OWN_PHASES = frozenset({"retrying", "stopping"})


class Event(NamedTuple):
    """One event of the build stream.

    ``phase`` is the hub's word for what it does: "waiting", "building", "ready" and so on, or "unknown" if the event
    has none. ``message`` is the hub's text, without control characters except newline, tab and colours. ``data`` is the
    whole JSON object, unchanged; in the phase "ready" it includes the token.
    """

    phase: str
    message: str
    data: Mapping[str, Any]

    def __repr__(self) -> str:  # without data: print(event) must not write a token to a log
        return f"Event(phase={self.phase!r}, message={self.message!r})"


def iter_events(chunks: Iterable[bytes]) -> Iterator[Event]:
    """Yield the events in a stream of bytes, each as soon as its last byte has arrived, in constant memory."""
    # sseclient fails at a byte that it can't decode. Latin-1 maps each byte to one character, so it can decode all of
    # them. The real decoding follows here, for one event at a time, so that no character is cut in two.
    for event in SSEClient(_lines(chunks), char_enc="latin-1").events():
        data = event.data
        yield parse_event(data if data.isascii() else data.encode("latin-1").decode("utf-8", "replace"))


def _bounded_int(digits: str) -> int:
    """Return a JSON integer, cut to 400 digits: Python refuses to read thousands of them, and would lose the event."""
    return int(digits[:400])


# raw_decode() takes half the time of json.loads(), for each line of a log.
_DECODER = json.JSONDecoder(parse_int=_bounded_int)

_UNREADABLE = Event("unknown", "", {})


def parse_event(data: str) -> Event:
    """Return the event in the data field of one server-sent event.

    For data that is no JSON object, return an event without a message. Such data is never shown, because it may contain
    a token.
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
    """Yield the chunks with all line endings as newlines, and with each event cut at `MAX_EVENT_BYTES`.

    sseclient knows each line ending, but no mixture of them, and it keeps a whole event in memory.
    """
    last = b"\n"  # the byte before this chunk
    size = 0  # bytes since the last blank line
    cr = False  # whether the last chunk ended in a carriage return, which was passed on as a newline
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
        elif (end := (last + chunk).rfind(b"\n\n")) >= 0:
            size = len(chunk) - end - 1
        else:
            size += len(chunk)
        last = chunk[-1:] or last


def _after_mark(chunks: Iterable[bytes]) -> Iterable[bytes]:
    """Return the chunks without the byte order mark that a stream may begin with (HTML standard, event streams)."""
    mark, beginning = b"\xef\xbb\xbf", b""
    rest = iter(chunks)
    for chunk in rest:
        beginning += chunk
        if not mark.startswith(beginning):
            break
    return chain((beginning.removeprefix(mark),), rest)
