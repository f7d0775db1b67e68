"""Pages, docstrings and comments are plain: short sentences, and words of the glossary.

(proselint, in lint, finds weasel words in pages.)
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.support.runner import ROOT

from .blocks import site

PAGES = [*(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")), *site()]
MODULES = sorted((ROOT / "clinder").rglob("*.py"))
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


def docstrings(source: str) -> Iterator[str]:
    """Yield the docstrings of a module, without examples, trees and other indented blocks."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield re.sub(r"^(?: {4}|>>> |\.\.\. ).*\n?", "", ast.get_docstring(node) or "", flags=re.MULTILINE)


def comments(source: str) -> Iterator[str]:
    """Yield the comments of a module: each one after code, and those on lines of their own as a paragraph."""
    lines: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if not token.line.lstrip().startswith("#"):
                yield token.string.lstrip("# ")
            else:
                lines.append(token.string.lstrip("# "))
        elif token.type != tokenize.NL and lines:
            yield "\n".join(lines)
            lines = []


def prose(source: str) -> list[str]:
    """Return the sentences of the docstrings and comments of a module."""
    texts = [*docstrings(source), *comments(source)]
    return [each for text in texts for each in sentences(text.replace("``", "`"))]


# Each file, and how its sentences are read.
FILES: dict[Path, Callable[[str], Iterable[str]]] = {**dict.fromkeys(PAGES, sentences), **dict.fromkeys(MODULES, prose)}


def too_long(found: Iterable[str]) -> list[str]:
    return [each for each in found if len(each.split()) > LONGEST]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_sentence_is_short(file: Path) -> None:
    assert too_long(FILES[file](file.read_text())) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_the_words_of_the_glossary_are_used(file: Path) -> None:
    text = "\n".join(FILES[file](file.read_text()))
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
        assert too_long(sentences(page)), page
    assert not too_long(sentences(f"```sh\n{long}\n```\n`{long}`"))


def test_a_long_sentence_is_found_in_docstrings_and_comments() -> None:
    long = "word " * LONGEST + "word."
    for source in (
        f'"""{long}"""\n',
        f'def f():\n    """A.\n\n    - {long}\n    """\n',
        f"x = 1  # {long}\n",
        f"# {long[:99]}\n# {long[99:]}\nx = 1\n",
    ):
        assert too_long(prose(source)), source
    half = "word " * (LONGEST // 2 + 1)
    assert not too_long(prose(f"a = 1  # {half}\nb = 2  # {half}\n"))
