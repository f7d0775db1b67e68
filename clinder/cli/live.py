"""The live lines of a launch on a terminal. Pure functions: from a view, a time and a width they make lines.

The lines are like those of docker and uv: each finished phase with its time, and the current phase with the newest line
of its log, and with a bar if the log has steps. All signs are ASCII, because these are one column wide everywhere.
"""

import re
from typing import NamedTuple

from clinder.duration import format_duration
from clinder.text import display_width, fit_width, strip_ansi

# The steps of a build in docker's log: those of the older builder, and those of buildkit, with an optional stage name.
_STEP = re.compile(r"Step (\d{1,4})/(\d{1,4}) |#\d{1,5} \[(?:[\w.-]{1,60} )?\s{0,4}(\d{1,4})/(\d{1,4})\]")
_BAR = 20  # columns
_LEAST = 8  # columns; a narrower terminal shows no line of the log
_SHORT = 9.95  # seconds; a shorter time is shown with tenths
_LONGEST_LINE = 2000  # characters of a line of the log that are used


class Step(NamedTuple):
    """``done`` of ``all`` steps."""

    done: int
    all: int


class View(NamedTuple):
    """The current phase: when it began (in seconds), the newest line of its log, and its step."""

    phase: str = ""
    began: float = 0.0
    line: str = ""
    step: Step | None = None


def find_step(line: str, before: Step | None) -> Step | None:
    """Return the step of a build after a line of its log. A step goes back only if the number of all steps changes."""
    match = _STEP.match(line)
    if not match:
        return before
    done, total = (int(digits) for digits in match.groups() if digits is not None)
    if not 0 < done <= total or (before and before.all == total and before.done > done):
        return before
    return Step(done, total)


def live_lines(view: View, now: float, columns: int) -> list[str]:
    """Return the lines of the current phase, each narrower than the terminal; an empty list if there is no phase."""
    if not view.phase:
        return []
    room = columns - 1  # some terminals wrap in the last column
    words = f"{view.phase} {format_duration(now - view.began)}"
    first = fit_width(f"{words}{_bar(view.step, room - display_width(words) - 2)}", room)
    newest = " ".join(strip_ansi(view.line[:_LONGEST_LINE]).split())
    if not newest or room < _LEAST:
        return [first]
    return [first, f"  {fit_width(newest, room - 2)}"]


def _bar(step: Step | None, room: int) -> str:
    """Return the bar and its figures; only the figures if the room is small; an empty text if it is too small."""
    if step is None:
        return ""
    figures = f"{step.done}/{step.all}" if step.all != 100 else f"{step.done}%"
    width = min(_BAR, room - len(figures) - 3)
    if width < 4:
        return f"  {figures}" if len(figures) <= room else ""
    filled = width * step.done // step.all
    return f"  [{'#' * filled}{'.' * (width - filled)}] {figures}"


def end_line(view: View, now: float, *, failed: bool = False) -> str:
    """Return the line for a finished phase."""
    seconds = now - view.began
    took = f"{seconds:.1f}s" if seconds < _SHORT else format_duration(seconds)
    return f"{'x' if failed else '*'} {view.phase} {took}"
