"""The page "Examples" has each example that there is, with a sentence, and no other."""

from __future__ import annotations

import re

from tests.support.runner import ROOT

PAGE = (ROOT / "docs" / "examples.md").read_text()
LINK = re.compile(r"\[([^\]]+)\]\(https://github\.com/org/clinder/(?:blob|tree)/main/(examples/[^)]+)\)")


def examples() -> set[str]:
    """Return the files of examples/ that are alone, and the folders whose files belong together."""
    files = [file.relative_to(ROOT).as_posix() for file in (ROOT / "examples").rglob("*") if file.is_file()]
    alone = ("examples/workflows/", "examples/ci/")
    return {file if file.startswith(alone) or file.count("/") == 1 else "/".join(file.split("/")[:2]) for file in files}


def test_every_example_is_on_the_page_and_no_other() -> None:
    assert {target for _, target in LINK.findall(PAGE)} == examples()


def test_an_example_has_the_name_of_its_file_and_a_sentence() -> None:
    assert [name for name, target in LINK.findall(PAGE) if name != target.rpartition("/")[2]] == []
    rows = [row.split(" | ") for row in PAGE.splitlines() if LINK.match(row, 2) and row.startswith("| ")]
    assert len(rows) == len(examples()) - 1  # what zizmor reads has a sentence below its table
    assert [row for row in rows if len(row[1].split()) < 5] == []
