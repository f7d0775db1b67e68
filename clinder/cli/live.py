"""What a terminal shows of a launch while it goes on. Pure functions: a view, a time and a width become lines.

It is as people know it from docker and uv: each phase that is done with its time, the current one with the newest line
of its log, and a bar where it is known how far it is. All signs are ASCII: they are one column wide everywhere.
"""

import re
from typing import NamedTuple

from clinder.duration import format_duration
from clinder.text import display_width, fit_width, strip_ansi

# How far a build is, by docker's words: the older builder's and buildkit's, whose stage may have a name.
_STEP = re.compile(r"Step (\d{1,4})/(\d{1,4}) |#\d{1,5} \[(?:[\w.-]{1,60} )?\s{0,4}(\d{1,4})/(\d{1,4})\]")
_BAR = 20  # columns
_LEAST = 8  # columns, below which no line of a log says anything
_SHORT = 9.95  # seconds, below which tenths matter
_LONGEST_LINE = 2000  # characters of a line of a log that are looked at


class Step(NamedTuple):
    """``done`` of ``all`` steps."""

    done: int
    all: int


class View(NamedTuple):
    """What is known of the current phase: when it began (seconds), the newest line of its log, and how far it is."""

    phase: str = ""
    began: float = 0.0
    line: str = ""
    step: Step | None = None


def find_step(line: str, before: Step | None) -> Step | None:
    """Return how far a build is after a line of its log. It goes back only when the number of steps is another."""
    match = _STEP.match(line)
    if not match:
        return before
    done, total = (int(digits) for digits in match.groups() if digits is not None)
    if not 0 < done <= total or (before and before.all == total and before.done > done):
        return before
    return Step(done, total)


def live_lines(view: View, now: float, columns: int) -> list[str]:
    """Return the lines of the current phase, each narrower than the terminal; none between two phases."""
    if not view.phase:
        return []
    room = columns - 1  # in the last column some terminals wrap
    words = f"{view.phase} {format_duration(now - view.began)}"
    first = fit_width(f"{words}{_bar(view.step, room - display_width(words) - 2)}", room)
    newest = " ".join(strip_ansi(view.line[:_LONGEST_LINE]).split())
    if not newest or room < _LEAST:
        return [first]
    return [first, f"  {fit_width(newest, room - 2)}"]


def _bar(step: Step | None, room: int) -> str:
    """Return the bar, and the figures that it stands for, as far as there is room for both."""
    if step is None:
        return ""
    figures = f"{step.done}/{step.all}" if step.all != 100 else f"{step.done}%"
    width = min(_BAR, room - len(figures) - 3)
    if width < 4:
        return f"  {figures}" if len(figures) <= room else ""
    filled = width * step.done // step.all
    return f"  [{'#' * filled}{'.' * (width - filled)}] {figures}"


def end_line(view: View, now: float, *, failed: bool = False) -> str:
    """Return the line that stays of a phase."""
    seconds = now - view.began
    took = f"{seconds:.1f}s" if seconds < _SHORT else format_duration(seconds)
    return f"{'x' if failed else '*'} {view.phase} {took}"
