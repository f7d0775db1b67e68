"""Any text from outside takes time that is linear in its length at most."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from clinder import RepoSpec, Session, UsageError
from clinder.hub import _session
from clinder.launch.events import Event, iter_events, parse_event
from clinder.launch.stream import Course, Outcome
from clinder.launch.verdict import Place, of, retry_after, said_wait
from clinder.spec import check_url, parse_hub, parse_path
from clinder.target.ci import read_ci
from clinder.text import (
    display_width,
    escape_ci_commands,
    escape_markdown,
    fit_width,
    hide_tokens,
    one_line,
    strip_ansi,
    strip_controls,
)

# What patterns stumble over: repeated, each alone and in front of an end that does not match.
PIECES = [
    *("a", " ", "\n", "\r", "\t", "\r\n", "/", "//", ":", "::", "@", "a@", ".", "a.", "..", "-", "%", "%2F", "#", "##"),
    *("\x1b", "\x1b[", "\x1b[0;", "\x1b]", "0;", "\u200b", "\u202e", "\u65e5", "<title>", "<", "&", "build_token="),
    *("https://", "git@", "ssh://a@", "a:", "try again in ", "Command '[", "v2/gh/a/", "9", "[", '"', "\\", "'"),
]
PLACE = Place("https://h/", "https://h/", "build/gh/a/b/HEAD", "gh/a/b/HEAD", "secret")


def judge(text: str) -> None:
    for phase in ("waiting", "building", "launching"):
        event = Event("failed", text, {"phase": "failed", "message": text})
        course = Course(phase, phase == "building", phase == "launching", (text,) * 3)
        of(Outcome("https://h/build/gh/a/b/HEAD", 200, {}, "text/event-stream", event=event, course=course), PLACE)
    of(Outcome(f"https://h/{text}", 418, {"Retry-After": text}, text, said=text), PLACE)


def ready(text: str) -> None:
    for key in ("url", "token", "image", "binder_launch_host", "binder_persistent_request"):
        data = {"url": "https://h/user/x/", "token": "t", "image": "i", key: text}
        _session(data, RepoSpec("a/b"), "https://h/", "https://h/")


def ci(text: str) -> None:
    read_ci({"GITLAB_CI": "true", "CI_PROJECT_URL": text, "CI_COMMIT_SHA": text})
    read_ci({"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": text, "GITHUB_SHA": text, "GITHUB_SERVER_URL": text})


READERS: dict[str, Callable[[str], Any]] = {
    "strip_controls": strip_controls,
    "strip_ansi": strip_ansi,
    "one_line": one_line,
    "escape_ci_commands": escape_ci_commands,
    "escape_markdown": escape_markdown,
    "hide_tokens": lambda text: hide_tokens(text, "secret"),
    "display_width": display_width,
    "an event": parse_event,
    "an event's message": lambda text: parse_event(json.dumps({"phase": text, "message": text})),
    "a stream": lambda text: list(iter_events([text.encode("utf-8", "replace"), b"\n\n"])),
    "a verdict": judge,
    "a ready event": ready,
    "a time to wait": lambda text: (retry_after(text), said_wait(text)),
    "a URL": lambda text: check_url(text, "a URL"),
    "a URL's host": lambda text: check_url(f"https://{text}/", "a URL"),
    "a hub": parse_hub,
    "a launch link": lambda text: parse_path(f"gh/{text}"),
    "a repository": RepoSpec.parse,
    "a repository of git": lambda text: RepoSpec.parse(f"https://h/{text}", None, "git"),
    "a ref": lambda text: RepoSpec("a/b", text),
    "a session": Session.parse,
    "CI's variables": ci,
}


@pytest.mark.parametrize("name", READERS)
def test_no_text_of_a_stranger_costs_more_than_linear_time(name: str) -> None:
    """A pattern that is quadratic takes many seconds for one of these; a linear one milliseconds."""
    for piece in PIECES:
        for text in (piece * (60_000 // len(piece)), piece * (60_000 // len(piece)) + "\x00!"):
            began = time.process_time()
            with suppress(UsageError):
                READERS[name](text)
            assert time.process_time() - began < 1, f"{name}: {piece!r}"


def test_a_text_that_fits_no_line_is_cut_in_little_time() -> None:
    began = time.process_time()
    assert len(fit_width("\u65e5" * 2000, 40)) == 20
    assert time.process_time() - began < 2
