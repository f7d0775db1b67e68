"""What the Action writes to the job's log and summary for which events: masks first, and nothing without a bound."""

import re
import tempfile
from collections.abc import Callable

import pytest

from clinder import Event, RepoSpec, Session
from clinder._signals import Signals
from clinder.action.log import Log
from clinder.action.summary import summarise
from tests.support import runner

TOKEN = "f00dfeed-secret"


def event(phase: str, message: str = "", **data: object) -> Event:
    return Event(phase, message, {"phase": phase, "message": message, **data})


def written(write: Callable[[Log], None]) -> runner.Log:
    """Return what a runner makes of what is written to the log."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as stream:
        log = Log(stream, Signals())
        write(log)
        log.finish()
        stream.seek(0)
        read = runner.Log()
        for line in stream.read().splitlines():
            read.feed(line)
        return read


def shown(*events: Event) -> runner.Log:
    def write(log: Log) -> None:
        for one in events:
            log.show(one)
        log.close_group()

    return written(write)


@pytest.mark.parametrize("phase", ["ready", "building", "unknown", "retrying"])
def test_a_token_is_masked_before_anything_of_its_event_is_shown(phase: str) -> None:
    read = shown(event("waiting", "so far"), event(phase, f"the token is {TOKEN}", token=TOKEN))
    first = next(index for index, line in enumerate(read.raw) if TOKEN in line)
    assert read.raw[first] == f"::add-mask::{TOKEN}"
    assert read.masks.count(TOKEN) == 1, "outside of the groups, where it is obeyed"
    assert TOKEN not in "".join(read.lines)


@pytest.mark.parametrize("token", [None, "", 7, ["x"]])
def test_a_token_that_is_none_is_no_mask(token: object) -> None:
    read = shown(event("ready", "here", token=token))
    assert [name for name, _, _ in read.commands if name == "add-mask"] == []
    assert "here" in read.lines


def test_a_token_with_a_newline_is_one_mask() -> None:
    read = shown(event("ready", "here", token=f"{TOKEN}\n::error::owned"))
    assert read.named("error") == []
    assert read.named("add-mask") == [({}, f"{TOKEN}\n::error::owned")]


def test_a_hub_that_sends_a_thousand_tokens_gets_few_masks() -> None:
    read = shown(*(event("building", "x", token=f"token-{number}") for number in range(1000)))
    assert len(read.named("add-mask")) == 10


@pytest.mark.parametrize("phase", ["failed", "failure"])
def test_the_words_of_a_failure_are_left_to_the_annotation(phase: str) -> None:
    read = shown(event("building", "a line"), event(phase, "Command '[...]' returned non-zero"))
    assert "non-zero" not in "".join(read.lines)
    assert "a line" in read.lines


def test_the_durations_of_a_flood_of_phases_are_few() -> None:
    durations: dict[str, float] = {}

    def write(log: Log) -> None:
        for number in range(5000):
            log.show(event(f"phase {number}", "x"))
        log.close_group()
        durations.update(log.durations)

    read = written(write)
    assert len(read.named("group")) == len(read.named("endgroup")) == 5000
    assert len(durations) == 21
    assert "other phases" in durations


def test_a_phase_that_comes_again_adds_to_its_duration() -> None:
    def write(log: Log) -> None:
        for phase in ("building", "retrying", "building", "pushing"):
            log.show(event(phase, "x"))
        log.close_group()
        assert set(log.durations) == {"building", "pushing"}

    assert len(written(write).named("group")) == 3


def session(**more: str | None) -> Session:
    known = {"image": "im/age:1", "resolved_ref": "c" * 40, "launch_url": "https://h/v2/x", **more}
    return Session("https://h/user/x/", TOKEN, hub="https://h/", spec=RepoSpec("org/repo", "main"), **known)


def test_a_summary_has_a_row_for_each_phase() -> None:
    text = summarise(session(), {"building": 61.26, "launching": 2.0})
    rows = re.findall(r"^\| (\w+) \| ([\d.]+ s) \|$", text, re.MULTILINE)
    assert rows == [("building", "61.3 s"), ("launching", "2.0 s")]
    assert TOKEN not in text


def test_a_summary_is_some_kilobytes_whatever_the_hub_sends() -> None:
    huge = "|<b>" * 100_000
    durations = {f"{number} {'*' * 40}": 1.0 for number in range(21)}
    text = summarise(session(image=huge, resolved_ref=huge, launch_url=f"https://h/{'x' * 100_000}"), durations)
    assert len(text) < 8_000
    assert "Launch the same environment" not in text, "a link that is cut leads nowhere"
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in rows)


def test_a_session_that_was_not_launched_has_no_summary() -> None:
    assert summarise(Session("https://h/user/x/", TOKEN), {}) == ""
