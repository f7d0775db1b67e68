"""The page "Troubleshooting" has each message that clinder can print as an error or a warning, and no other.

``python -m tests.docs.messages`` lists the messages, each with the module that it is in.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from clinder.action import _TITLES
from clinder.errors import TROUBLESHOOTING
from clinder.launch.verdict import NO_ANSWER, NOT_OPENED, ROWS, UNUSABLE
from tests.docs.blocks import sections
from tests.docs.messages import all_kinds, canonical, messages, modules, read
from tests.support.runner import ROOT

PAGE = ROOT / "docs" / "troubleshooting.md"
TEXT = PAGE.read_text()
ALL_ROWS = {row.name: row for row in (*ROWS, UNUSABLE, NO_ANSWER, NOT_OPENED)}
# Raised in a thread of clinder's own, and caught there.
NEVER_PRINTED = {"Nobody waits for this look any more"}
SECTIONS = sections(TEXT)


def on_the_page() -> Iterator[str]:
    """Yield the messages of the tables whose first column has them."""
    for table in re.findall(r"^\| message \|.*\n\|[-|]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE):
        for row in table.splitlines():
            yield from re.findall(r"`([^`]+)`", row.split(" | ")[0])


def missing(found: set[str]) -> set[str]:
    return found - NEVER_PRINTED - {canonical(message) for message in on_the_page()}


def test_every_message_is_on_the_page() -> None:
    assert missing({*messages()}) == set(), "give each a row, or its own words in a row that is there"


def test_every_message_on_the_page_is_one_of_the_code() -> None:
    assert {canonical(message) for message in on_the_page()} - {*messages()} == set()
    assert {*messages()} >= NEVER_PRINTED


def test_messages_are_collected_from_all_of_clinder() -> None:
    assert len(messages()) > 120
    assert {"cli", "action", "target", "launch", "kernels"} <= {
        place.partition("/")[0] for place in messages().values()
    }


# However a message is written, it is found.
WAYS = [
    'raise UsageError("A new message.")',
    'raise SessionGone(f"A new message: {self.url}")',
    'raise errors.HubRefused("A new " "message.", "A hint.")',
    'what = "A new message."\n    raise HubError(what)',
    'what, hint = "A new message.", "A hint."\n    raise HubError(what, hint)',
    'raise HubError(f"{url}" if url else "A new message.")',
    'raise HubError(_one_line("A new message."))',
    "raise HubError(_told())",
    "raise HubError(MESSAGE.format(url))",
    "raise HubError(MESSAGE)",
    'return Obstacle("A new message", 127, "")',
    'return Verdict(row, f"{url} A new message.", "")',
    'self.refuse("A new message", "")',
    "parser.refuse(*_told_with_hint())",
    'note(f"error: {_told()}")',
    'note("warning: A new message")',
    'lines.append(f"warning: A new message: {url}")',
    'log.command("warning", "A new message")',
    'log.command("error", text, title="A new message")',
    'self.loss = "A new message"',
]
HELPERS = """
MESSAGE = "A new message: {}"
def _told():
    return "A new message."
def _told_with_hint():
    return "A new message", "A hint."
def _one_line(text):
    return text.strip()
"""


@pytest.mark.parametrize("way", WAYS)
def test_a_message_without_a_row_is_noticed_however_it_is_written(way: str, tmp_path: Path) -> None:
    package = tmp_path / "clinder"
    package.mkdir()
    (package / "new.py").write_text(f"{HELPERS}\ndef function(url, text):\n    {way}\n")
    every = (*modules(), read(package / "new.py"))
    new = {message.removeprefix("… ") for message in missing({*messages(every)})}
    assert new == {"A new message"}


# The hub's words


@pytest.mark.parametrize("name", ALL_ROWS)
def test_every_row_of_the_table_has_an_entry_with_what_the_hub_says(name: str) -> None:
    assert name in SECTIONS
    assert ALL_ROWS[name].seen in SECTIONS[name][3].splitlines()


def test_every_entry_below_the_hub_is_a_row_of_the_table() -> None:
    names = list(SECTIONS)
    first = names.index("the-hub") + 1
    after = next(name for name in names[first:] if SECTIONS[name][1] == "##")
    assert names[first : names.index(after)] == list(ALL_ROWS)


# Addresses


def said_anchors() -> Iterator[str]:
    """Yield the anchors that the code writes itself, in a call of more()."""
    for module in modules():
        for node in ast.walk(module.tree):
            match node:
                case ast.Call(func=ast.Name(id="more"), args=[ast.Constant(value=str(anchor))]):
                    yield anchor


def test_every_anchor_is_a_heading_of_the_page() -> None:
    anchors = {kind.anchor for kind in all_kinds()} | {*said_anchors()} | {*ALL_ROWS}
    assert {"command-line", "session-lost", "command-not-run", "wrong-input"} <= anchors
    assert anchors - {*SECTIONS} == set()


def test_no_two_headings_have_one_anchor() -> None:
    assert len(SECTIONS) == len(re.findall(r"^#+ ", TEXT, re.MULTILINE))


def test_the_address_is_that_of_the_page_on_the_site() -> None:
    owner = (ROOT / ".github/owner").read_text().strip().lower()
    assert f"https://{owner}.github.io/clinder/{PAGE.stem}" == TROUBLESHOOTING
    named = [file for file in (ROOT / "clinder").rglob("*.py") if "github.io" in file.read_text()]
    assert named == [ROOT / "clinder/errors.py"], "one place says it"


def test_every_title_of_an_error_in_the_action_is_on_the_page() -> None:
    assert [title for title in _TITLES.values() if f"`{title}`" not in TEXT] == []
