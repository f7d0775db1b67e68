"""The job's summary: what ran where. It has no token in it, and nothing of a hub unescaped."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from clinder.images import Built
from clinder.session import Session
from clinder.spec import RepoSpec
from clinder.text import escape_markdown, one_line

_LONGEST_CELL = 300  # characters
_LONGEST_LINK = 2000


def write_summary(session: Session, durations: Mapping[str, float]) -> None:
    """Add a table to the job's summary. What can't be written is left out: a session runs without it."""
    _add(summarise(session, durations))


def write_images(spec: RepoSpec, several: Sequence[Built]) -> None:
    """Add a table of the hubs and their images."""
    rows = [f"| {_cell(built.hub)} | {built.result} | {built.seconds:.1f} s |" for built in several]
    title = f"### The image of {_cell(str(spec))}"
    _add("\n".join([title, "", "| Hub | Image | Time |", "|---|---|---|", *rows, "", ""]))


def _add(text: str) -> None:
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if path and text:
        with suppress(OSError), Path(path).open("a", encoding="utf-8") as file:
            file.write(text)


def summarise(session: Session, durations: Mapping[str, float]) -> str:
    """Return the summary of a launched session, some kilobytes at most, and nothing for any other."""
    spec = session.spec
    if spec is None or session.launch_url is None:
        return ""
    commit = session.resolved_ref or spec.ref
    rows = [
        ("Repository", _cell(f"{spec.repo} ({spec.provider})")),
        ("Commit", _cell(commit if commit == spec.ref else f"{commit} ({spec.ref})")),
        *([("Instead of", _cell(str(session.instead_of)))] if session.instead_of else []),
        ("Hub", _cell(session.hub or "")),
        ("Image", _cell(session.image or "not known")),
        *((_cell(phase), f"{seconds:.1f} s") for phase, seconds in durations.items()),
    ]
    lines = [
        "### A session on Binder",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
    ]
    if len(session.launch_url) <= _LONGEST_LINK:
        link = quote(session.launch_url, safe=":/%?=&@")
        lines += [f"[Launch the same environment in a browser](<{link}>)", ""]
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return escape_markdown(one_line(text, _LONGEST_CELL))
