"""Untrusted text, made safe to show: on a terminal, in a CI's log, in Markdown. Pure functions that know no hub.

Build logs, hubs and repositories are written by strangers. Whatever of their text is shown goes through this module.
Its rule is that the text is what it seems: nothing that a terminal obeys, nothing invisible, nothing that changes the
direction of reading, and nothing that a CI takes for a command. Each pattern here needs time linear in the length of
the text (tests/unit/test_linear.py).
"""

import re
import unicodedata

# Emphasis, and the foreground colours that are legible on any background: no black, white or grey. A background colour,
# "conceal" or a colour by its red, green and blue could hide text. 38;5;N is a colour of the usual table of 256.
_CODE = r"(?:0{0,2}|0?[134]|2[234]|39|3[1-6]|9[1-6]|38;5;(?:[1-6]|9|1[0-4]|1[7-9]|[2-9]\d|1\d\d|2[0-2]\d|230))"
_LEGIBLE = re.compile(rf"{_CODE}(?:;{_CODE})*")

# Characters that show nothing or change the order of others: Unicode's category Cf (format), the line and paragraph
# separators, and the rest of the property Default_Ignorable_Code_Point (variation selectors, fillers).
# tests/unit/test_text.py holds this list against Python's own Unicode data.
_INVISIBLE = (
    "\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# Control characters but newline and tab; surrogates can't be encoded.
_CONTROL = "\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff"
_SUSPECT = re.compile(f"[{_CONTROL}{_INVISIBLE}]")
_OBEYED = re.compile(
    r"\x1b\[(?P<colour>[0-9;]{0,40})m"
    r"|(?P<newline>\r\n?|[\u2028\u2029])"
    # Longest forms first: control strings (OSC, DCS, ...), control sequences (CSI, in 7 and 8 bits), other escapes.
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[ -/]*[0-~]"
    rf"|[{_CONTROL}{_INVISIBLE}]"
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def strip_controls(text: str) -> str:
    """Return text without anything that a terminal obeys or that hides text, except legible colours (``ESC [ ... m``).

    A carriage return, with which progress bars overwrite themselves, becomes a newline.
    """
    if text.isascii() and text.removesuffix("\n").isprintable():  # most lines of a log, in a fifth of the time
        return text
    return _OBEYED.sub(_replacement, text) if _SUSPECT.search(text) else text


def _replacement(match: "re.Match[str]") -> str:
    if match["newline"]:
        return "\n"
    colour = match["colour"]
    return match[0] if colour is not None and _LEGIBLE.fullmatch(colour) else ""


def strip_ansi(text: str) -> str:
    """Return text without colours either."""
    text = strip_controls(text)
    return _COLOUR.sub("", text) if "\x1b" in text else text


def one_line(text: str, limit: int = 500) -> str:
    """Return text as plain words on one line, of at most ``limit`` characters."""
    words = " ".join(strip_ansi(text[: 8 * limit]).split())
    return words if len(words) <= limit else f"{words[: limit - 3]}..."


# Whatever a runner's reader may take for the end of a line (.NET's ReadLine, Python's splitlines).
_LINE_END = "\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029"
_CI_COMMAND = re.compile(rf"(?:^|(?<=[{_LINE_END}]))[^\S{_LINE_END}]*:(?=:)|##(?=\w*\[)")


def escape_ci_commands(text: str) -> str:
    """Return text in which no CI finds commands: a blank is put into each beginning of one.

    GitHub's runner reads ``::command::`` at the beginning of a line and ``##[command]`` anywhere (actions/runner,
    ActionCommand.cs), others read ``##vso[command]`` or ``##teamcity[command]``; all of them on both streams.
    """
    if "::" not in text and "##" not in text:
        return text
    return _CI_COMMAND.sub(r"\g<0> ", text)


def escape_markdown(text: str) -> str:
    """Return text as Markdown that shows just this text, on one line."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))


def hide_tokens(text: str, *tokens: str | None) -> str:
    """Return a hub's words without the tokens, if they repeat what was asked or answered."""
    if "build_token=" in text:
        text = re.sub(r"(build_token=)[^\s&\"'<>]+", r"\1...", text)
    for token in tokens:
        if token and token in text:
            text = text.replace(token, "...")
    return text


def display_width(text: str) -> int:
    """Return how many columns text takes on a terminal."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fit_width(text: str, columns: int) -> str:
    """Return the beginning of text that fits into so many columns."""
    for position, character in enumerate(text):
        columns -= _columns(character)
        if columns < 0:
            return text[:position]
    return text
