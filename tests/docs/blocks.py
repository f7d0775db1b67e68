"""The code blocks of the documentation, as a reader meets them: what language, below which comment, on which line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

from tests.support.runner import ROOT

# What an owner types once, with the keys to everything: nobody else can, and no test may.
FOR_OWNERS = "docs/maintainers/publish-a-release.md"


class Block(NamedTuple):
    """A fenced block; ``comment`` is the one right above it, if there is one: ``not run: ...``, ``file: ...``."""

    page: str
    line: int
    language: str
    comment: str
    text: str

    @property
    def file(self) -> str | None:
        """The name of the file that the page has its reader write."""
        return self.comment.removeprefix("file: ") if self.comment.startswith("file: ") else None

    @property
    def not_run(self) -> str | None:
        """Why nobody but the reader can run it."""
        return self.comment.removeprefix("not run: ") if self.comment.startswith("not run: ") else None


def pages() -> list[Path]:
    """The pages with commands for everybody."""
    return [page for page in [ROOT / "README.md", *site()] if page != ROOT / FOR_OWNERS]


def site() -> list[Path]:
    """The pages of the site, without what MyST makes of them."""
    return sorted(page for page in ROOT.glob("docs/**/*.md") if "_build" not in page.parts)


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page, in their order. One within a longer fence is text."""
    lines = iter(enumerate(page.read_text().splitlines(), 1))
    above = ""
    for number, line in lines:
        if fence := re.match(r" *(`{3,})(.*)$", line):
            inside = []
            for _, text in lines:
                if text.strip() == fence[1]:
                    break
                inside.append(text)
            else:
                raise AssertionError(f"{page}:{number}: the block has no end")
            comment = re.fullmatch(r" *<!-- (.*) -->", above)
            name = page.relative_to(ROOT).as_posix()
            text = dedent("\n".join(inside)) + "\n"
            yield Block(name, number, fence[2].strip(), comment[1] if comment else "", text)
        above = line


def all_blocks(language: str) -> list[Block]:
    """The blocks in one language on all pages."""
    return [block for page in pages() for block in blocks(page) if block.language == language]


def commands(name: str) -> str:
    """Return the README's commands below the comment with this name, one a line."""
    found = re.search(rf"<!-- {name} -->\n```sh\n(.*?)\n```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert found, f"the README has no commands {name}"
    return found[1]


def sections(text: str) -> dict[str, re.Match[str]]:
    """Return the sections of a page by the anchors of their headings: groups are the level, the heading, the text."""
    found = re.finditer(r"^(#+) (.*)\n((?:(?!#+ ).*\n)*)", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each[2].lower()).replace(" ", "-"): each for each in found}
