"""Writing for a reader who is slow, or gone, or does not read: what arrives, and how long the writing side waits."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple, TextIO

import pytest

from clinder._signals import write_at_once
from clinder.output import _ROOM, Kept, Writer, push_share

LINE = "x" * 99 + "\n"
MORE_THAN_FITS = 20 * _ROOM // len(LINE)


class Pipe(NamedTuple):
    reader: int
    stream: TextIO

    def read(self, pause: float = 0, size: int = 1 << 16) -> bytes:
        """Read to the end, with a pause before each piece."""
        self.stream.close()
        pieces: list[bytes] = []
        while True:
            time.sleep(pause)
            if not (piece := os.read(self.reader, size)):
                return b"".join(pieces)
            pieces.append(piece)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reader, writer = os.pipe()
    stream = os.fdopen(writer, "w", encoding="utf-8")
    before = set(threading.enumerate())
    yield Pipe(reader, stream)
    os.close(reader)  # first: a writer that is stuck ends then, and does not write on into the next test's pipe
    for thread in set(threading.enumerate()) - before:
        thread.join(20)
    stream.close()


class Reading(threading.Thread):
    """Reads a pipe in a thread, a piece after each pause."""

    def __init__(self, descriptor: int, pause: float, size: int) -> None:
        super().__init__(daemon=True)
        self.descriptor, self.pause, self.size = descriptor, pause, size
        self.came = b""
        self.start()

    def run(self) -> None:
        with suppress(OSError):
            while piece := os.read(self.descriptor, self.size):
                self.came += piece
                time.sleep(self.pause)


def test_a_reader_who_is_merely_slow_gets_every_line(pipe: Pipe) -> None:
    reading = Reading(pipe.reader, 0.005, 1 << 14)
    writer = Writer(pipe.stream)
    for number in range(30_000):
        writer.write(f"{number}\n")
    assert writer.finish()
    pipe.stream.close()
    reading.join(10)
    assert reading.came.split() == [b"%d" % number for number in range(30_000)]


def test_who_writes_for_nobody_waits_until_there_is_a_hurry_and_no_longer(pipe: Pipe) -> None:
    began = time.monotonic()
    writer = Writer(pipe.stream, hurry=lambda: time.monotonic() > began + 0.5)
    for _ in range(MORE_THAN_FITS):
        writer.write(LINE)
    assert 0.5 < time.monotonic() - began < 20
    assert writer._came - writer._gone < 2 * _ROOM, "what waits for a reader is bounded"
    assert not writer.has_room()


def test_what_nobody_takes_is_given_up_after_some_patience(pipe: Pipe) -> None:
    writer = Writer(pipe.stream)
    writer.write(LINE * 1000)
    began = time.monotonic()
    assert not writer.finish(patience=0.4)
    assert 0.3 < time.monotonic() - began < 4, "usually five"


def test_patience_begins_again_with_each_piece_that_is_taken(pipe: Pipe) -> None:
    reading = Reading(pipe.reader, 0.3, 1 << 16)
    writer = Writer(pipe.stream)
    writer.write(LINE * 5000)
    assert writer.finish(patience=2)  # the reader needs more than that for all of it
    pipe.stream.close()
    reading.join(10)
    assert len(reading.came) == 5000 * len(LINE)


def test_after_a_signal_lines_of_the_log_are_left_out_and_clinders_own_words_are_not(pipe: Pipe) -> None:
    writer = Writer(pipe.stream, hurry=lambda: True)
    for _ in range(MORE_THAN_FITS):
        writer.write(LINE)
    time.sleep(0.3)  # the pipe fills up
    writer.write(Kept("clinder: the last words\n"))
    reading = Reading(pipe.reader, 0, 1 << 14)
    until = time.monotonic() + 20
    assert writer.finish(lambda: until)
    pipe.stream.close()
    reading.join(10)
    assert reading.came.endswith(b"\nclinder: the last words\n")
    assert set(reading.came.splitlines(keepends=True)[:-1]) == {LINE.encode()}, "no line is cut"
    assert len(reading.came) < _ROOM


def test_a_text_larger_than_the_pipe_arrives_whole_where_writing_may_not_block(pipe: Pipe) -> None:
    os.set_blocking(pipe.stream.fileno(), False)
    reading = Reading(pipe.reader, 0.02, 1 << 14)
    writer = Writer(pipe.stream)
    writer.write(LINE * 3000)
    assert writer.finish()
    pipe.stream.close()
    reading.join(10)
    assert reading.came == (LINE * 3000).encode()


def test_what_was_drained_has_been_taken(pipe: Pipe) -> None:
    writer = Writer(pipe.stream)
    writer.write("a line\n")
    assert writer.drain(lambda: float("inf"))
    assert os.read(pipe.reader, 100) == b"a line\n"
    writer.write(LINE * 2000)
    until = time.monotonic() + 0.3
    assert not writer.drain(lambda: until)


def test_a_writer_goes_on_after_it_was_finished(pipe: Pipe) -> None:
    writer = Writer(pipe.stream)
    for word in ("one\n", "two\n"):
        writer.write(word)
        assert writer.finish()
    assert pipe.read() == b"one\ntwo\n"


def test_a_reader_who_is_gone_is_an_error_that_nobody_waits_for() -> None:
    reader, descriptor = os.pipe()
    os.close(reader)
    with os.fdopen(descriptor, "w") as stream:
        writer = Writer(stream)
        for _ in range(MORE_THAN_FITS):
            writer.write(LINE)
        assert not writer.finish(patience=1000)
    assert isinstance(writer.error, BrokenPipeError)


def test_characters_that_the_encoding_lacks_are_written_as_escapes() -> None:
    reader, descriptor = os.pipe()
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        writer = Writer(stream)
        writer.write("f\u00fcnf \ud800\n")
        assert writer.finish()
    assert os.read(reader, 100) == b"f\\xfcnf \\ud800\n"
    os.close(reader)


def test_a_line_is_written_at_once_or_never(pipe: Pipe) -> None:
    write_at_once(pipe.stream.fileno(), "a line\n")
    assert os.read(pipe.reader, 100) == b"a line\n"
    writer = Writer(pipe.stream)
    writer.write(LINE * 2000)
    assert not writer.finish(patience=0.2)
    began = time.monotonic()
    write_at_once(pipe.stream.fileno(), "one more\n")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("progress", "share"),
    [
        ({"a": {"current": 10, "total": 10}, "b": {"current": 10, "total": 30}, "c": {}, "d": None, "e": 5}, "50%"),
        ({"a": {"current": 99, "total": 100}}, "90%"),
        ({"a": {"current": 7, "total": 5}}, "100%"),
        ({"a": {"current": float("nan"), "total": 5}}, "0%"),
        ({"a": {"current": "1", "total": "2"}}, ""),
        ({"a": {"current": 1, "total": 0}}, ""),
        ({}, ""),
        (None, ""),
        ([], ""),
    ],
)
def test_the_share_of_a_push_is_in_tens_of_percent_over_all_layers(progress: object, share: str) -> None:
    assert push_share(progress) == share
