"""The build stream is read the same however it is cut, and nothing hostile or too long comes out of it."""

import json
import re
import sys
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinder import Event
from clinder.launch.events import MAX_EVENT_BYTES, iter_events, parse_event

COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

ENDINGS = ["\n", "\r\n", "\r"]


def cut(data: bytes, places: list[int]) -> Iterator[bytes]:
    """Yield data in pieces, none of them empty."""
    borders = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return (data[begin:end] for begin, end in pairwise(borders))


CUTS = st.lists(st.integers(0, 10_000), max_size=30)
LONG = st.text("ab \u00e9\u6f22\U0001f600\t{}[]:\"'", max_size=20)
MESSAGES = st.lists(st.tuples(st.sampled_from(["building", "pushing", "launching"]), LONG), max_size=5)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Event], bytes]:
    """Return events, and a stream of them with comments, other fields and any mix of line endings."""
    events, lines = [], []
    for phase, message in draw(MESSAGES):
        data = {"phase": phase, "message": message}
        events.append(Event(phase, message, data))
        text = json.dumps(data, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
        lines += draw(st.lists(st.sampled_from([":keepalive", ": x", "id: 1", "retry: 9", "event: message", "odd"])))
        lines += [draw(st.sampled_from(["data: ", "data:"])) + line for line in text.split("\n")]
        lines += [""] * draw(st.integers(1, 3))
    text = ""
    for line in lines:
        ending = draw(st.sampled_from(ENDINGS))
        if text.endswith("\r") and not line and ending == "\n":
            ending = "\r\n"  # or the two would be one line ending
        text += line + ending
    return events, text.encode()


@given(streams(), CUTS)
def test_a_stream_is_read_the_same_however_it_is_cut_and_its_lines_end(
    stream: tuple[list[Event], bytes], places: list[int]
) -> None:
    events, data = stream
    assert list(iter_events(cut(data, places))) == events


def test_an_event_is_there_with_its_last_byte() -> None:
    given_out = []

    def chunks() -> Iterator[bytes]:
        for byte in b'data: {"phase": "building"}\n\ndata: {"phase": "ready"}\n\n':
            given_out.append(byte)
            yield bytes([byte])

    events = iter_events(chunks())
    assert next(events).phase == "building"
    assert len(given_out) == len(b'data: {"phase": "building"}\n\n')
    assert next(events).phase == "ready"


@pytest.mark.parametrize("place", range(1, 4))
def test_a_byte_order_mark_is_none_of_the_first_event_even_cut_in_two(place: int) -> None:
    data = b'\xef\xbb\xbfdata: {"phase": "building"}\n\n'
    assert [event.phase for event in iter_events([data[:place], data[place:]])] == ["building"]


WORDS = (
    rb"""data:|data: {"phase": "|data: {"phase":"building","message":"|"}||:|::error::x|null|[[[[|1e999|NaN|\u001b[2J"""
)
WORDS += rb"""|\u009b|\ud800|\r|\n"""
BYTES = b"\n\n|\n|\r|\r\n|\xef\xbb\xbf|\xff|\xc3|\xed\xa0\x80|\x1b]0;x\x07|\x1b[2J|\x1b[31m|\xc2\x9b2J|\x00"
FRAGMENTS = st.sampled_from([*WORDS.split(b"|"), *BYTES.split(b"|")])
GARBAGE = st.lists(st.one_of(st.binary(max_size=20), FRAGMENTS), max_size=20).map(b"".join)


@given(GARBAGE, CUTS)
def test_whatever_the_bytes_nothing_is_raised_and_no_control_character_comes_out(
    data: bytes, places: list[int]
) -> None:
    events = list(iter_events(cut(data, places)))
    assert events == list(iter_events([data] if data else []))
    for event in events:
        assert not CONTROL.search(event.phase)
        assert "\n" not in event.phase
        assert not CONTROL.search(COLOUR.sub("", event.message))


@given(st.text(st.characters()), st.text(st.characters()))
def test_whatever_json_says_no_control_character_comes_out(phase: str, message: str) -> None:
    event = parse_event(json.dumps({"phase": phase, "message": message}))
    assert not CONTROL.search(event.phase)
    assert "\n" not in event.phase
    assert not CONTROL.search(COLOUR.sub("", event.message))


def test_a_message_that_is_nested_to_any_depth_is_tolerated() -> None:
    limit = sys.getrecursionlimit()  # a value that can just be read may be too deep to be written again
    for depth in [*range(limit - 150, limit + 10), 100_000]:
        assert parse_event('{"message": ' + "[" * depth + "]" * depth + "}").message[:3] in ("[[[", "")


# What is too long

PIECE = 1 << 16  # as much as is read at once


@pytest.mark.parametrize("piece", [1000, PIECE - 1, PIECE])
@pytest.mark.parametrize("ending", ENDINGS, ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("lines", [False, True], ids=["one line", "many lines"])
def test_an_oversize_event_is_cut_and_what_is_around_it_survives(piece: int, ending: str, lines: bool) -> None:
    size = 4 * MAX_EVENT_BYTES
    oversize = f"data: {'x' * 100}{ending}" * (size // 100) if lines else f"data: {'x' * size}{ending}"
    data = ending.join(['data: {"phase": "building"}', "", oversize, 'data: {"phase": "ready"}', "", ""]).encode()
    before, *cut_off, after = iter_events(data[place : place + piece] for place in range(0, len(data), piece))
    assert (before.phase, after.phase) == ("building", "ready")
    assert sum(len(event.message) for event in cut_off) <= MAX_EVENT_BYTES + PIECE


def test_a_long_line_is_whole() -> None:
    line = "x" * 200_000
    data = f'data: {{"phase": "building", "message": "{line}"}}\n\n'.encode()
    chunks = [data[place : place + 1000] for place in range(0, len(data), 1000)]
    assert [event.message for event in iter_events(chunks)] == [line]


def test_an_event_that_can_not_be_read_shows_nothing_that_may_be_a_token() -> None:
    deep = '{"token": "secret", "x": ' + "[" * 100_000
    for data in (deep, '{"token": "secret"', '["secret"]', '"secret"', "secret"):
        assert parse_event(data) == Event("unknown", "", {})


def test_a_number_of_thousands_of_digits_hides_no_session() -> None:
    event = parse_event('{"phase": "ready", "token": "secret", "n": ' + "9" * 5000 + "}")
    assert (event.phase, event.data["token"]) == ("ready", "secret")


def test_two_objects_in_one_event_are_none() -> None:
    assert parse_event('{"phase": "ready"} {"phase": "ready"}').phase == "unknown"


def test_many_events_are_no_oversize_one() -> None:
    event = b'data: {"phase": "building", "message": "' + b"x" * 1000 + b'"}\n\n'
    data = event * (2 * MAX_EVENT_BYTES // len(event))
    for piece in (999, PIECE):
        events = list(iter_events(data[place : place + piece] for place in range(0, len(data), piece)))
        assert [len(event.message) for event in events] == [1000] * (len(data) // len(event))


# Event


def test_an_event_shows_nothing_of_its_data() -> None:
    event = parse_event('{"phase": "ready", "message": "here", "url": "https://h/", "token": "secret"}')
    assert event.data["token"] == "secret"
    assert "secret" not in f"{event!r} {event} {[event]}"
    assert repr(event) == "Event(phase='ready', message='here')"
