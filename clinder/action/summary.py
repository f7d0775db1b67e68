"""Write the job's summary: what ran where, or what failed. It contains no token, and escapes all text of a hub."""

import html
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from clinder.errors import BuildFailed, ClinderError
from clinder.images import Built
from clinder.session import Session
from clinder.spec import RepoSpec
from clinder.target.target import Target
from clinder.text import escape_markdown, one_line

_LONGEST_CELL = 300  # characters
_LONGEST_LINK = 2000  # characters

Row = tuple[str, str]


def write_summary(text: str) -> None:
    """Add a text to the job's summary. Errors are ignored, because a session does not need a summary."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if path and text:
        with suppress(OSError), Path(path).open("a", encoding="utf-8") as file:
            file.write(text)


def summarise(session: Session, durations: Mapping[str, float]) -> str:
    """Return the summary of a launched session, some kilobytes at most; an empty text for any other session."""
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
        *_times(durations),
    ]
    link = _link("Launch the same environment in a browser", session.launch_url)
    return _joined("### A session on Binder", _table(rows), link)


def summarise_failure(title: str, error: ClinderError, target: Target | None, durations: Mapping[str, float]) -> str:
    """Return the summary of a failed start, some kilobytes at most. ``target`` is None if it is not known."""
    parts = [f"### {escape_markdown(title)}", *map(_sentence, (error.message, error.hint))]
    if target:
        spec = target.spec
        rows = [
            ("Repository", _cell(f"{spec.repo} ({spec.provider})")),
            ("Commit", _cell(spec.ref)),
            *([("Instead of", _cell(str(target.instead_of)))] if target.instead_of else []),
            ("Hub", _cell(", else ".join(target.hubs))),
            *_times(durations),
        ]
        parts.append(_table(rows))
    if isinstance(error, BuildFailed) and error.log:
        parts += ["The end of the build's log:", _preformatted(error.log)]
    if target:
        parts.append(_link("Try the same in a browser", target.spec.launch_link(target.hubs[0])))
    return _joined(*parts)


def summarise_images(spec: RepoSpec, several: Sequence[Built]) -> str:
    """Return the summary of a build: a table of the hubs and their results."""
    rows = [f"| {_cell(built.hub)} | {built.result} | {built.seconds:.1f} s |" for built in several]
    return _joined(
        f"### The image of {_cell(str(spec))}", "\n".join(["| Hub | Image | Time |", "|---|---|---|", *rows])
    )


def _times(durations: Mapping[str, float]) -> Iterable[Row]:
    return ((_cell(phase), f"{seconds:.1f} s") for phase, seconds in durations.items())


def _table(rows: Iterable[Row]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _link(text: str, url: str) -> str:
    return f"[{text}](<{quote(url, safe=':/%?=&@')}>)" if len(url) <= _LONGEST_LINK else ""


def _preformatted(lines: Iterable[str]) -> str:
    """Return lines unchanged in an element of HTML, in which no text is Markdown and no line can end the element."""
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>"


def _joined(*parts: str) -> str:
    return "".join(f"{part}\n\n" for part in parts if part)


def _sentence(text: str) -> str:
    return escape_markdown(one_line(text, 1000))


def _cell(text: str) -> str:
    return escape_markdown(one_line(text, _LONGEST_CELL))
