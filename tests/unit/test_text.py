"""Untrusted text is shown as what it seems: nothing is obeyed, hidden, reversed or taken for a command."""

import re
import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

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

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")

# strip_controls()

HOSTILE = st.text(
    st.sampled_from("\x1b\x1b[]()0137;:?mhJK\r\n\t\x07\\PX^_\x90\x98\x9b\x9c\x9d\x9f\x00\x7f\x85\ud800ab \u00e9")
)


@given(HOSTILE | st.text(st.characters()))
@example("\x1b\x1b[31m[2J")
@example("\x1b\x9b[2J")
def test_clean_text_has_colours_alone_and_is_not_cleaned_further(text: str) -> None:
    cleaned = strip_controls(text)
    assert not CONTROL.search(COLOUR.sub("", cleaned))
    assert strip_controls(cleaned) == cleaned
    assert not CONTROL.search(strip_ansi(text))
    assert strip_ansi(text) == strip_ansi(cleaned)


@given(
    st.text(
        st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp", "Cn", "Mn", "Lo"], include_characters="\t\n")
    )
)
def test_text_without_control_characters_is_left_as_it_is(text: str) -> None:
    assert strip_controls(text) == strip_ansi(text) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b[1;31mred\x1b[0m \x1b[38;5;196mred\x1b[m", "\x1b[1;31mred\x1b[0m \x1b[38;5;196mred\x1b[m"),
        ("\x1b[38:2::255:0:0mred", "red"),
        ("\x1b[8mhidden \x1b[0;8mhidden\x1b[28m", "hidden hidden"),
        (
            "\x1b[30;40mblack on black \x1b[48;5;1;31mred on red \x1b[38;2;1;1;1mnearly black",
            "black on black red on red nearly black",
        ),
        ("\x1b[38;5;0mblack \x1b[38;5;231mwhite \x1b[37mwhite", "black white white"),
        ("\x1b[" + "1;" * 3000 + "1mbold", "bold"),
        ("user\u202etxt.exe \u2066a\u2069 b\u200bc\ufeffd\u00ade", "usertxt.exe a bcde"),
        ("one\u2028two\u2029three", "one\ntwo\nthree"),
        ("10%\r20%\r\ndone\r", "10%\n20%\ndone\n"),
        ("a\x1b]0;title\x07b", "ab"),
        ("a\x1b]8;;https://x.example\x1b\\link\x1b]8;;\x1b\\b", "alinkb"),
        ("a\x9d0;title\x9cb", "ab"),
        ("a\x1bPq#0;2;0\x1b\\b", "ab"),
        ("a\x1b_Gf=24;AAAA\x1b\\b", "ab"),
        ("a\x1b]0;without end\nb", "a\nb"),
        ("a\x1b[2J\x1b[1;1H\x1b[?25l\x1b[5nb", "ab"),
        ("a\x9b2Jb", "ab"),
        ("a\x1bcb\x1b(0c\x1b#8d", "abcd"),
        ("a\x08\x08b\x07\x00\x7f\x85c", "abc"),
        ("a\x1b", "a"),
        ("a\ud800b", "ab"),
    ],
)
def test_what_a_terminal_obeys_is_dropped_but_for_colours(text: str, cleaned: str) -> None:
    assert strip_controls(text) == cleaned


def test_plain_text_has_no_colours() -> None:
    assert strip_ansi("\x1b[1;31mred\x1b[0m\r\n\x1b[2Jand plain") == "red\nand plain"


def test_every_character_that_shows_nothing_is_dropped_as_unicode_lists_them() -> None:
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp") and chr(code) not in "\n\t":
            assert strip_controls(f"a{chr(code)}\nb") in ("a\nb", "a\n\nb"), hex(code)


# What a CI obeys


@pytest.mark.parametrize(
    "text",
    [
        "::error::x",
        "  \t::set-env name=A::b",
        "a\n::add-mask::x",
        "a\r::add-mask::x",
        "a\x85 ::add-mask::x",
        "##[group]x",
        "a ##[error]x",
        "##vso[task.setvariable variable=a]b",
        "##teamcity[message]",
        "a ###[error]",
    ],
)
def test_no_command_of_a_ci_survives(text: str) -> None:
    escaped = escape_ci_commands(text)
    assert not re.search(r"##\w*\[", escaped)
    assert not any(line.lstrip().startswith("::") for line in escaped.splitlines())


@pytest.mark.parametrize("text", ["std::vector<int>", "a ::b", "# a heading", "## two", "fe80::1"])
def test_text_that_is_no_command_is_left_as_it_is(text: str) -> None:
    assert escape_ci_commands(text) == text


# Shapes


def test_one_line_is_short_and_plain() -> None:
    assert one_line("a\r\n\x1b[31m b\t c ") == "a b c"
    assert one_line("word " * 1000, 20) == "word word word wo..."


def test_markdown_shows_the_text_and_no_more() -> None:
    assert escape_markdown("[a](b)\n| <c>") == r"\[a\]\(b\) \| \<c\>"


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("\u65e5\u672c", 4), ("e\u0301", 1), ("", 0)])
def test_a_width_is_counted_in_columns_of_a_terminal(text: str, columns: int) -> None:
    assert display_width(text) == columns
    assert fit_width(text, columns) == text
    assert display_width(fit_width(text, max(0, columns - 1))) <= max(0, columns - 1)


def test_tokens_are_hidden_wherever_they_stand() -> None:
    assert hide_tokens("GET /build?build_token=abc&x, secret, secret2", "secret", None, "") == (
        "GET /build?build_token=...&x, ..., ...2"
    )
