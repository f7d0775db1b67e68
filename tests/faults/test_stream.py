"""Whatever is unknown, broken or oddly framed in the stream is tolerated, and nothing hostile gets through."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.conftest import Clinder
from tests.support.hub import TOKEN, Answer, Exchange, FaultyHub


def log(exchange: Exchange, ending: str = "\n") -> bytes:
    """Return a whole stream: a comment, some fields, three lines of a log, and ready."""
    lines = [
        ": a comment",
        "retry: 10",
        "",
        "id: 1",
        "event: message",
        'data: {"phase": "building",',
        'data:  "message": "first line\\n"}',
        "",
        'data:{"phase":"building","message":"second: l\u00efne\\n"}',
        "unknown: field",
        "",
        'data: {"phase": "building", "message": "third line\\n"}',
        "",
        "data: " + json.dumps({"phase": "ready", "url": exchange.hub.launch().url, "token": TOKEN}),
        "",
        "",
    ]
    return ending.join(lines).encode()


def whole(exchange: Exchange, data: bytes) -> None:
    exchange.chunk(data)


def bytewise(exchange: Exchange, data: bytes) -> None:
    for position in range(len(data)):
        exchange.chunk(data[position : position + 1])


def in_sevens(exchange: Exchange, data: bytes) -> None:
    for position in range(0, len(data), 7):
        exchange.chunk(data[position : position + 7])
        time.sleep(0.001)


def a_chunk_in_pieces(exchange: Exchange, data: bytes) -> None:
    """Announce a chunk that never gets complete: what is there of it counts."""
    exchange.send(b"%x\r\n" % (len(data) + 1000) if exchange.chunked else b"")
    exchange.send(data)


@pytest.mark.parametrize("send", [whole, bytewise, in_sevens, a_chunk_in_pieces])
@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "unframed"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_a_stream_is_understood_however_it_is_framed(
    clinder: Clinder, send: Callable[[Exchange, bytes], None], chunked: bool, ending: str
) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream(chunked=chunked)
        send(exchange, log(exchange, ending))
        exchange.wait_for_close()

    with FaultyHub(answer) as hub:
        done = clinder("start", hub.url, "--repo", "org/repo")
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{hub.session_url}?token={TOKEN}\n"
        assert "first line\nsecond: l\u00efne\nthird line\n" in done.stderr
        assert len(hub.builds) == 1


def test_an_unframed_stream_of_http_1_0_arrives_as_it_comes(clinder: Clinder) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.chunked = False
        exchange.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n")
        exchange.ready()
        assert exchange.wait_for_close(10), "the client waited for more than there was"

    with FaultyHub(answer) as hub:
        assert clinder("start", hub.url, "--repo", "org/repo").returncode == 0


ODD: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"data: hello there\n\n", ""),
    "a list": (b"data: [1, 2]\n\n", ""),
    "a number": (b"data: 42\n\n", ""),
    "null": (b"data: null\n\n", ""),
    "no phase": (b'data: {"message": "no phase"}\n\n', "no phase"),
    "a null phase": (b'data: {"phase": null, "message": "null phase"}\n\n', "null phase"),
    "a phase that is a list": (b'data: {"phase": ["building"], "message": "odd phase"}\n\n', "odd phase"),
    "an unknown phase": (b'data: {"phase": "dreaming", "message": "of sheep"}\n\n', "==> dreaming"),
    "a phase with a newline": (b'data: {"phase": "a\\n::error::b", "message": "x"}\n\n', "==> aerrorb"),
    "a message that is a number": (b'data: {"phase": "building", "message": 17}\n\n', "17"),
    "a message that is an object": (b'data: {"phase": "building", "message": {"a": 1}}\n\n', '{"a": 1}'),
    "a null message": (b'data: {"phase": "building", "message": null}\n\n', "==> building"),
    "no message": (b'data: {"phase": "building"}\n\n', "==> building"),
    "broken UTF-8": (b'data: {"phase": "building", "message": "a\xff\xfeb \xc3"}\n\n', "a\ufffd\ufffdb \ufffd"),
    "a lone surrogate": (b'data: {"phase": "building", "message": "a\\ud800b"}\n\n', "ab"),
    "a NUL": (b'data: {"phase": "building", "message": "a\\u0000b"}\n\n', "ab"),
    "deep nesting": (b"data: " + b"[" * 100_000 + b"\n\n", ""),
    "a huge number": (b'data: {"phase": "building", "n": ' + b"9" * 5000 + b', "message": "huge"}\n\n', "huge"),
    "progress that is none": (b'data: {"phase": "pushing", "message": "to there", "progress": "50%"}\n\n', "to there"),
    "progress that is negative": (
        b'data: {"phase": "pushing", "message": "on", "progress": {"a": {"current": -1, "total": 0}, "b": 3}}\n\n',
        "on",
    ),
    "a byte order mark": (b'\xef\xbb\xbfdata: {"phase": "building", "message": "first"}\n\n', "first"),
    "mixed line endings": (b'data: {"phase": "building", "message": "one"}\n\rdata: {"message": "two"}\r\n\n', "two"),
}


@pytest.mark.parametrize("case", ODD)
def test_an_odd_event_is_tolerated(clinder: Clinder, case: str) -> None:
    odd, shown = ODD[case]

    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.chunk(odd)
        exchange.ready()
        exchange.wait_for_close()

    with FaultyHub(answer) as hub:
        done = clinder("start", hub.url, "--repo", "org/repo")
        assert done.returncode == 0, done.stderr
        assert shown in done.stderr
        assert len(hub.builds) == 1


@pytest.mark.parametrize("code", ["429", None, True, 12.5, [403]])
def test_a_status_code_that_is_no_number_is_tolerated(clinder: Clinder, code: object) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("failed", "Could not resolve ref for it", status_code=code)

    with FaultyHub(answer) as hub:
        done = clinder("start", hub.url, "--repo", "org/repo", "--timeout", "2")
        assert done.returncode == 1
        assert "Could not resolve ref for it" in done.stderr


def test_an_event_without_end_does_not_fill_the_memory_and_what_follows_counts(clinder: Clinder) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.chunk(b'data: {"phase": "building", "message": "')
        for _ in range(800):
            exchange.chunk(b"x" * 65536)
        exchange.chunk(b'"}\n\n')
        exchange.ready()
        exchange.wait_for_close()

    assert peak_memory(clinder, answer) < 45  # the event alone has 50 MiB


def test_memory_does_not_grow_with_the_log(clinder: Clinder) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        for number in range(300):
            exchange.chunk(
                b"".join(
                    b"data: "
                    + json.dumps({"phase": "building", "message": f"{number} {line} {'x' * 80}\n"}).encode()
                    + b"\n\n"
                    for line in range(1000)
                )
            )
        exchange.ready()
        exchange.wait_for_close()

    assert peak_memory(clinder, answer) < 45  # the log has 40 MiB, and clinder without one 30


MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def peak_memory(clinder: Clinder, answer: Answer) -> float:
    """Return the peak of a start's memory in MiB; begun by a small process, for the fork counts as well."""
    with FaultyHub(answer) as hub:
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, sys.executable, "-m", "clinder", "start", hub.url, "--repo", "org/repo"],
            env=clinder.env,
            cwd=clinder.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        )
        return int(done.stdout.splitlines()[-1]) / 1024


HOSTILE = [
    "\x1b[2Jclear",
    "\x1b]0;title\x07",
    "\x1b]52;c;Y2F0\x1b\\",
    "\x1b]8;;http://evil/\x1b\\link\x1b]8;;\x1b\\",
    "\x1bP1$r\x1b\\",
    "\x1b[6n",
    "\x1b[?1049h",
    "\x1bc",
    "\x9b2J",
    "\x9d0;title\x9c",
    "back\b\b\b\b",
    "\x1b[1A\x1b[2K",
    "\x07\x0e\x7f",
    "over\rwritten",
]


@pytest.mark.parametrize("where", ["log", "failure", "phase", "page"])
def test_no_control_sequence_reaches_the_terminal(clinder: Clinder, where: str) -> None:
    def answer(exchange: Exchange) -> None:
        if where == "page":
            exchange.page("403 Forbidden", json.dumps({"message": "".join(HOSTILE)}), "application/json")
            return
        exchange.stream()
        for text in HOSTILE:
            exchange.event(text if where == "phase" else "building", text)
        exchange.event("failed", "".join(HOSTILE))

    with FaultyHub(answer) as hub:
        done = clinder("start", hub.url, "--repo", "org/repo", errors="strict")
        assert done.returncode == 1
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", done.stdout + done.stderr)
        if where == "log":
            assert "clear\n" in done.stderr
            assert "over\nwritten\n" in done.stderr


def test_colours_are_left_out_where_there_is_no_terminal(clinder: Clinder) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("building", "\x1b[31mred\x1b[0m\n")
        exchange.ready()
        exchange.wait_for_close()

    with FaultyHub(answer) as hub:
        assert "\nred\n" in clinder("start", hub.url, "--repo", "org/repo").stderr
