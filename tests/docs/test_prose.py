"""What people read is plain: short sentences, and words of the glossary. (proselint, in lint, finds weasel words.)"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.runner import ROOT

from .blocks import site

# Pages that are still to be reworded. One that is goes from here, and is held from then on.
TO_REWORD = {
    "CHANGELOG.md",
    "docs/explanation/life-of-a-session.md",
    "docs/reference/cli.md",
    "docs/reference/environment.md",
    "docs/reference/python.md",
    "docs/reference/what-a-hub-says.md",
}
ALL = [*(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")), *site()]
PAGES = [page for page in ALL if page.relative_to(ROOT).as_posix() not in TO_REWORD]
LONGEST = 36  # words; a name in code is one
# What we once wrote, and what to write instead.
GLOSSARY = {
    r"contributions of strangers": "pull requests from forks",
    r"[Ww]hoever": "the noun: a client, a caller, anybody who",
    r"the Node (action|tool)\b(?! that)": "2i2c's Binderbot",
    r"Binderbot 1\b": "the original Binderbot",
    r"the very (?!same)": "the same",
    r"as it is\b": "unchanged, or what it is",
    r"get through when": "handle a busy hub",
    r"none of these\b": "the case that is meant",
    r"federation participant": "federation member",
    r"permalink": "launch link",
}


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a page in Markdown: no code, no comments; a cell and an item of a list end one."""
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    text = re.sub(r"^( *)(`{3,}).*?^ *\2 *$", "\n", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"`[^`]*`", "CODE", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    for part in re.split(r"\n\s*\n|\n(?= *(?:[-*#|]|\d+\.) )|\|", text):
        yield from re.split(r"(?<=[.!?:])\**\s+", " ".join(part.split()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_sentence_is_short(page: Path) -> None:
    assert [each for each in sentences(page.read_text()) if len(each.split()) > LONGEST] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_uses_the_words_of_the_glossary(page: Path) -> None:
    text = "\n".join(sentences(page.read_text()))
    found = {word: instead for word, instead in GLOSSARY.items() if re.search(word, text)}
    assert found == {}, "write what is on the right"


def test_a_long_sentence_is_found_wherever_it_stands() -> None:
    long = "word " * LONGEST + "word."
    for page in (
        f"# A\n\nShort. {long} Short.\n",
        f"| a | {long} |\n",
        f"- a\n- {long}\n",
        f"---\nx: y\n---\n{long}\n",
    ):
        assert [each for each in sentences(page) if len(each.split()) > LONGEST], page
    assert not [each for each in sentences(f"```sh\n{long}\n```\n`{long}`") if len(each.split()) > LONGEST]
