"""How a launch is shown: what is written for which events, and what happens when it can't be written."""

import io
import os
import re
import select
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinder import Event
from clinder.cli.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    """A stream that nobody reads any more."""

    def __init__(self, error: Exception, where: str) -> None:
        super().__init__()
        self.error = error
        self.where = where
        self.tries = 0

    def write(self, text: str) -> int:
        self.tries += 1
        if self.where == "write":
            raise self.error
        return len(text)

    def flush(self) -> None:
        if self.where == "flush":
            raise self.error


def event(phase: str, message: str = "", **data: object) -> Event:
    return Event(phase, message, {"phase": phase, "message": message, **data})


def pushing(current: float, total: float, message: str = "Pushing image\n") -> Event:
    return event("pushing", message, progress={"layer": {"current": current, "total": total}})


def shown(events: Sequence[Event], stream: io.StringIO | None = None) -> str:
    stream = stream or io.StringIO()
    progress = Progress(stream)
    for one in events:
        progress.show(one)
    progress.close()
    return stream.getvalue()


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
    stream = io.StringIO()
    progress = Progress(stream)
    progress.note("launching")
    progress.close()
    assert stream.getvalue() == "clinder: launching\n"


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


def test_colours_end_with_their_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = shown([event("building", "\x1b[31mred\n"), event("building", "plain")], Terminal())
    assert "\x1b[31mred\x1b[0m\nplain\n" in text


def test_the_live_line_is_gone_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    progress = Progress(stream)
    for number in range(1000):  # more than are held back
        progress.show(event("building", f"line {number}"))
    assert re.search(r"building \d+:\d\d(\x1b\[0m)?$", stream.getvalue())
    progress.close()
    last = stream.getvalue().rpartition("\n")[2]
    assert last in ("", "\r\x1b[K")


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(28, "No space left"), ValueError("closed file")])
@pytest.mark.parametrize("where", ["write", "flush"])
def test_a_stream_that_can_not_be_written_is_given_up_silently(error: Exception, where: str) -> None:
    stream = Broken(error, where)
    with Progress(stream) as progress:
        for number in range(10_000):
            progress.show(event("building", f"line {number}"))
        progress.note("still here")
    assert stream.tries == 1


def test_nothing_is_shown_without_a_stream(capfd: pytest.CaptureFixture[str]) -> None:
    with Progress(None) as progress:
        progress.note("a note")
        progress.show(event("building", "a line"))
        progress.show(pushing(1, 2))
    assert capfd.readouterr() == ("", "")


def test_nothing_is_shown_after_the_end() -> None:
    stream = io.StringIO()
    with Progress(stream) as progress:
        progress.show(event("ready", "here"))
    before = stream.getvalue()
    progress.show(event("building", "late"))
    progress.note("late")
    progress.close()
    assert stream.getvalue() == before == "==> ready (0:00)\nhere\n"


def test_all_of_a_long_log_is_shown_in_its_order() -> None:
    stream = io.StringIO()
    with Progress(stream) as progress:
        for number in range(20_000):
            progress.show(event("building", str(number)))
    assert stream.getvalue().split("\n")[1:-1] == [str(number) for number in range(20_000)]


def test_what_is_shown_is_written_while_it_comes() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as end, os.fdopen(writer, "w") as stream, Progress(stream) as progress:
        progress.show(event("building", "a line"))
        came = b""
        while not came.endswith(b"a line\n"):
            assert select.select([end], [], [], 5)[0], f"only this came within five seconds: {came!r}"
            came += end.read(100)
