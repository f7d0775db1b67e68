"""How a launch is shown: what is written for which events, and what happens when it can't be written."""

import fcntl
import json
import os
import pty
import re
import select
import struct
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinder import Event, UsageError
from clinder._signals import Signals
from clinder.cli.lines import LogFile
from clinder.cli.progress import Progress
from clinder.launch.events import parse_event
from clinder.text import display_width, strip_ansi


@contextmanager
def capturing() -> Iterator[TextIO]:
    """Yield a stream to show on; what was written can be read from its beginning."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as stream:
        yield stream


def written(stream: TextIO) -> str:
    stream.seek(0)
    return stream.read()


@contextmanager
def terminal(columns: int = 80) -> Iterator[tuple[TextIO, Callable[[], str]]]:
    """Yield a stream that is a terminal, and a function that closes it and returns what was written."""
    control, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    read: list[bytes] = []

    def collect() -> None:
        with suppress(OSError):  # Linux's way to say that the other end is closed
            while data := os.read(control, 65536):
                read.append(data)

    reader = threading.Thread(target=collect)
    reader.start()
    stream = os.fdopen(end, "w", encoding="utf-8")

    def close() -> str:
        stream.close()
        reader.join()
        return b"".join(read).decode().replace("\r\n", "\n")

    try:
        yield stream, close
    finally:
        close()
        os.close(control)


def event(phase: str, message: str = "", **data: object) -> Event:
    return Event(phase, message, {"phase": phase, "message": message, **data})


def pushing(current: float, total: float, message: str = "Pushing image\n") -> Event:
    return event("pushing", message, progress={"layer": {"current": current, "total": total}})


def shown(events: Sequence[Event], *, quiet: bool = False) -> str:
    with capturing() as stream:
        progress = Progress(stream, Signals(), quiet=quiet)
        for one in events:
            progress.show(one)
        progress.close()
        return written(stream)


def shown_on_a_terminal(events: Sequence[Event], columns: int = 80, pause: float = 0, *, verbose: bool = False) -> str:
    with terminal(columns) as (stream, close):
        progress = Progress(stream, Signals(), verbose=verbose)
        for one in events:
            progress.show(one)
            time.sleep(pause)
        progress.close()
        return close()


def test_a_phase_has_a_header_when_it_begins_and_no_other() -> None:
    text = shown([event("waiting"), event("waiting", "a"), event("building", "b"), event("building", "c")])
    assert text == "==> waiting (0:00)\na\n==> building (0:00)\nb\nc\n"


def test_a_phase_that_comes_again_has_a_header_again() -> None:
    phases = ["fetching", "building", "fetching"]
    assert re.findall(r"==> (\w+) ", shown([event(phase) for phase in phases])) == phases


@given(st.lists(st.text("ab \u00e9\t", min_size=1), max_size=10), st.booleans())
def test_each_message_is_a_line_with_or_without_a_newline_of_its_own(messages: list[str], newline: bool) -> None:
    events = [event("building", message + "\n" * newline) for message in messages]
    assert shown(events).splitlines()[1:] == messages


def test_lines_that_are_empty_in_the_log_are_empty_here() -> None:
    assert shown([event("building", "a\n"), event("building", "\n"), event("building", "b")]).endswith("a\n\nb\n")


@pytest.mark.parametrize("phase", ["retrying", "stopping"])
def test_what_clinder_does_itself_is_marked_as_its_own_and_no_phase_of_the_hub(phase: str) -> None:
    text = shown([event("building", "a"), event(phase, "Trying again."), event("building", "b")])
    assert "\nclinder: Trying again.\n" in text
    assert f"==> {phase}" not in text


def test_a_note_is_marked_as_clinders_own() -> None:
    with capturing() as stream:
        progress = Progress(stream, Signals())
        progress.note("launching")
        progress.close()
        assert written(stream) == "clinder: launching\n"


@pytest.mark.parametrize("phase", ["failed", "failure"])
def test_the_words_of_a_failure_are_left_to_the_error_that_says_them(phase: str) -> None:
    assert shown([event("building", "a"), event(phase, "Command '[...]' returned non-zero")]).endswith("a\n")


def test_quiet_shows_only_what_became_of_a_server() -> None:
    events = [event("building", "a"), event("retrying", "b"), event("stopping", "The server was stopped."), event("c")]
    assert shown(events, quiet=True) == "clinder: The server was stopped.\n"


def test_figures_of_a_push_are_shown_once_a_tenth() -> None:
    text = shown([pushing(current, 1000) for current in range(1001)])
    assert re.findall(r"Pushing image (\d+)%\n", text) == [str(tenth) for tenth in range(0, 101, 10)]
    assert text.count("\n") == 1 + 11


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=50), st.integers(1, 10**12))
def test_figures_of_a_push_never_pass_what_is_pushed(currents: list[int], total: int) -> None:
    text = shown([pushing(current, total) for current in currents])
    expected = [min(100 * current // total, 100) // 10 * 10 for current in currents]
    changes = [tenth for number, tenth in enumerate(expected) if number == 0 or tenth != expected[number - 1]]
    assert [int(figure) for figure in re.findall(r"(\d+)%", text)] == changes


def test_figures_of_a_push_are_over_all_layers() -> None:
    layers = {"a": {"current": 10, "total": 10}, "b": {"current": 10, "total": 30}, "c": {}, "d": None, "e": 5}
    assert "going 50%\n" in shown([event("pushing", "going", progress=layers)])


@pytest.mark.parametrize(
    "layer", [{"current": "1", "total": "2"}, {"current": 1}, {"current": 1, "total": 0}, {"current": 1, "total": -1}]
)
def test_figures_of_a_push_that_are_none_leave_the_message(layer: dict[str, object]) -> None:
    assert shown([event("pushing", "going\n", progress={"a": layer})]) == "==> pushing (0:00)\ngoing\n"


def test_colours_are_left_out_of_plain_lines() -> None:
    assert shown([event("building", "\x1b[31mred\x1b[0m")]).endswith("\nred\n")


@pytest.fixture
def _xterm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.mark.usefixtures("_xterm")
def test_colours_end_with_their_line_on_a_terminal() -> None:
    events = [event("building", "\x1b[31mred\n"), event("building", "plain")]
    assert "\x1b[31mred\x1b[0m\nplain\n" in shown_on_a_terminal(events, verbose=True)


@pytest.mark.usefixtures("_xterm")
@pytest.mark.parametrize("verbose", [False, True])
def test_the_live_lines_are_gone_in_the_end(verbose: bool) -> None:
    events = [event("building", "a line"), event("building", "b")]
    screen = on_screen(shown_on_a_terminal(events, pause=0.3, verbose=verbose))
    assert screen[-1:] == (["b"] if verbose else [screen[-1]])
    assert not any(line.startswith(("building", "  ")) for line in screen)


def on_screen(text: str, columns: int = 80) -> list[str]:
    """The lines that stand on a terminal after it got a text."""
    screen = pyte.Screen(columns, 100)
    pyte.Stream(screen).feed(text.replace("\n", "\r\n"))
    return [line.rstrip() for line in screen.display if line.strip()]


@pytest.mark.usefixtures("_xterm")
@pytest.mark.parametrize("columns", [40, 80])
def test_on_a_terminal_the_log_is_folded_away_and_each_phase_stays_with_its_time(columns: int) -> None:
    log = [event("building", f"Step {number}/30 : RUN \u5efa\u9020\u4e2d {'x' * 100}\n") for number in range(1, 31)]
    text = shown_on_a_terminal([event("waiting", "Waiting"), *log, event("launching", "Launching")], columns)
    assert [re.sub(r"[\d.]+s$", "0s", line) for line in on_screen(text, columns)] == [
        "* waiting 0s",
        "* building 0s",
        "x launching 0s",
    ]


@pytest.mark.usefixtures("_xterm")
def test_a_log_that_was_folded_away_is_unfolded_in_full_and_in_its_order() -> None:
    with terminal() as (stream, close):
        progress = Progress(stream, Signals())
        for number in range(20_000):
            progress.show(event("building", str(number)))
        progress.show(event("failed", "no"))
        progress.unfold()
        progress.close()
        text = re.sub(r"\x1b\[[0-9]*[mKA]|\r", "", close())
    assert text.split("\n")[-20_001:-1] == [str(number) for number in range(20_000)]


@pytest.mark.usefixtures("_xterm")
def test_only_the_log_of_the_last_attempt_is_unfolded_and_nothing_of_a_launch_that_went_well() -> None:
    with terminal() as (stream, close):
        progress = Progress(stream, Signals())
        progress.show(event("building", "first attempt"))
        progress.show(event("retrying", "Trying again."))
        progress.show(event("building", "second attempt"))
        progress.unfold()
        progress.show(event("building", "third attempt"))
        progress.pause()
        progress.unfold()
        progress.close()
        screen = on_screen(close())
    assert "second attempt" in screen
    assert "clinder: Trying again." in screen
    assert not {"first attempt", "third attempt"} & set(screen)


@pytest.mark.usefixtures("_xterm")
def test_what_is_folded_away_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clinder.cli.progress._MOST_FOLDED", 100 * sys.getsizeof("000000000\n"))
    with terminal() as (stream, close):
        progress = Progress(stream, Signals())
        for number in range(1000):
            progress.show(event("building", f"{number:09}"))
        progress.unfold()
        progress.close()
        lines = close().splitlines()
    assert "(The first 900 lines were too much to keep. --log-file writes all.)" in lines
    assert lines[-1] == "000000999"


@pytest.mark.usefixtures("_xterm")
@pytest.mark.parametrize("phase", ["building", "\u5efa\u9020\u4e2d" * 10, "e\u0301" * 15])
@pytest.mark.parametrize("columns", [8, 15, 40])
def test_no_live_line_is_as_wide_as_the_terminal(phase: str, columns: int) -> None:
    text = shown_on_a_terminal([event(phase, "\u5efa\u9020" * 50)], columns, pause=0.3)
    live = [line for piece in re.split(r"\r\x1b\[K(?:\x1b\[A)?", text) for line in piece.split("\n") if line]
    widths = [display_width(strip_ansi(line)) for line in live if not line.startswith("x ")]
    assert widths
    assert max(widths) < columns


def test_a_line_for_the_person_is_on_a_terminal_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    file = LogFile(str(tmp_path / "log"))
    with terminal() as (stream, close):
        progress = Progress(stream, Signals(), file=file)
        progress.tell("the token")
        progress.close()
        assert "the token" in close()
    with capturing() as stream:
        progress = Progress(stream, Signals())
        progress.tell("the token")
        progress.close()
        assert written(stream) == ""
    assert (tmp_path / "log").read_text() == ""


# A file for the log


@pytest.mark.parametrize("quiet", [True, False])
def test_the_log_file_has_everything_also_when_little_is_shown(tmp_path: Path, quiet: bool) -> None:
    with capturing() as stream:
        progress = Progress(stream, Signals(), quiet=quiet, file=LogFile(str(tmp_path / "log")))
        progress.note("launching")
        for one in [event("building", "\x1b[31ma"), event("retrying", "Again."), event("building", "##[error]b")]:
            progress.show(one)
        progress.close()
    lines = ["clinder: launching", "==> building (0:00)", "a", "clinder: Again.", "==> building (0:00)", "## [error]b"]
    assert (tmp_path / "log").read_text().splitlines() == lines


@pytest.mark.parametrize("name", ["no/such/directory/log", ".", "pipe", "a\0b", "/dev/full/x", ""])
def test_a_log_file_that_can_not_be_written_is_a_usage_error(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="The log file can't be written"):
        LogFile(f"{tmp_path}/{name}" if name else "")


def test_a_log_file_that_is_full_is_told_and_ends_nothing() -> None:
    with capturing() as stream:
        progress = Progress(stream, Signals(), file=LogFile("/dev/full"))
        for number in range(10_000):
            progress.show(event("building", f"line {number}"))
        progress.close()
        text = written(stream)
    assert "line 9999\nclinder: warning: the log file is not complete: No space left on device\n" in text


# GitLab


def gitlab(text: str) -> list[tuple[str, str]]:
    """The beginnings and ends of sections as GitLab's ansi2json finds them, and the lines between."""
    found = re.findall(r"section_(start|end):\d+:([\w.-]+)(?:\[collapsed=true\])?\r\x1b\[0K|([^\r\n\x1b]+)\n", text)
    return [(kind or "line", name or line) for kind, name, line in found]


def test_gitlab_gets_a_section_for_each_phase_and_no_log_can_end_one() -> None:
    forged = "section_end:1:clinder_1_building\r\x1b[0K"
    events = [event("building", "a"), event("building", forged), event("retrying", "Again."), event("b\u00e4 ]x", "c")]
    with capturing() as stream:
        progress = Progress(stream, Signals(), sections=True)
        for one in events:
            progress.show(one if one.phase == "retrying" else parse_event(json.dumps(one.data)))
        progress.note("the end")
        progress.close()
        text = written(stream)
    names = ["clinder_1_building", "clinder_2_b__x"]
    assert [each for each in gitlab(text) if each[0] != "line"] == [
        ("start", names[0]),
        ("end", names[0]),
        ("start", names[1]),
        ("end", names[1]),
    ]


@pytest.mark.parametrize("how", ["full", "broken"])
def test_a_stream_that_can_not_be_written_is_given_up_silently(how: str) -> None:
    with Path("/dev/full").open("w") if how == "full" else broken_pipe() as stream:
        progress = Progress(stream, Signals())
        began = time.monotonic()
        for number in range(10_000):
            progress.show(event("building", f"line {number}" * 10))
        progress.note("still here")
        progress.close()
        assert time.monotonic() - began < 4, "nobody waits for a reader"


def broken_pipe() -> TextIO:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def test_all_of_a_long_log_is_shown_in_its_order() -> None:
    with capturing() as stream:
        progress = Progress(stream, Signals())
        for number in range(20_000):
            progress.show(event("building", str(number)))
        progress.close()
        assert written(stream).split("\n")[1:-1] == [str(number) for number in range(20_000)]


def test_what_is_shown_is_written_while_it_comes() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as end, os.fdopen(writer, "w") as stream:
        progress = Progress(stream, Signals())
        progress.show(event("building", "a line"))
        came = b""
        while not came.endswith(b"a line\n"):
            assert select.select([end], [], [], 30)[0], f"only this came within half a minute: {came!r}"
            came += end.read(100)
        progress.close()


@pytest.mark.usefixtures("_xterm")
def test_a_pause_takes_the_live_line_away_and_what_comes_later_is_shown() -> None:
    with terminal() as (stream, close):
        progress = Progress(stream, Signals())
        progress.show(event("building", "a"))
        time.sleep(0.3)
        progress.pause()
        time.sleep(0.3)
        progress.note("later")
        progress.close()
        screen = on_screen(close())
    assert re.fullmatch(r"\* building [\d.]+s", screen[0])
    assert screen[1:] == ["clinder: later"]
