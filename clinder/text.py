"""Make untrusted text safe to show: on a terminal, in a CI's log, in Markdown. Pure functions that know no hub.

The text of build logs, hubs and repositories can't be trusted. All of it that is shown goes through this module, which
removes or changes: everything that a terminal obeys, everything invisible, everything that changes the direction of
reading, and everything that a CI would run as a command. Each pattern here takes time linear in the length of the text
(tests/unit/test_linear.py).
"""

import re
import unicodedata

# Emphasis, and the foreground colours that are legible on any background, so not black, white and grey. A background
# colour, "conceal" or an RGB colour could hide text. 38;5;N is a colour of the usual table of 256.
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
# Control characters except newline and tab; and surrogates, which can't be encoded.
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
    """Return text without characters that a terminal obeys or that hide text. Legible colours (``ESC [ ... m``) stay.

    A carriage return, which progress bars use to overwrite themselves, becomes a newline.
    """
    if text.isascii() and text.removesuffix("\n").isprintable():  # true of most lines of a log, and five times as fast
        return text
    return _OBEYED.sub(_replacement, text) if _SUSPECT.search(text) else text


def _replacement(match: "re.Match[str]") -> str:
    if match["newline"]:
        return "\n"
    colour = match["colour"]
    return match[0] if colour is not None and _LEGIBLE.fullmatch(colour) else ""


def strip_ansi(text: str) -> str:
    """Return text without control characters and without colours."""
    text = strip_controls(text)
    return _COLOUR.sub("", text) if "\x1b" in text else text


def one_line(text: str, limit: int = 500) -> str:
    """Return text on one line, without colours, cut to ``limit`` characters."""
    words = " ".join(strip_ansi(text[: 8 * limit]).split())
    return words if len(words) <= limit else f"{words[: limit - 3]}..."


# The characters that a CI may read as the end of a line (.NET's ReadLine, Python's splitlines).
_LINE_END = "\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029"
_CI_COMMAND = re.compile(rf"(?:^|(?<=[{_LINE_END}]))[^\S{_LINE_END}]*:(?=:)|##(?=\w*\[)")


def escape_ci_commands(text: str) -> str:
    """Return text in which no CI finds a command, because there is a blank in the beginning of each.

    GitHub's runner reads ``::command::`` at the beginning of a line and ``##[command]`` anywhere (actions/runner,
    ActionCommand.cs). Other CIs read ``##vso[command]`` or ``##teamcity[command]``. All of them read both standard
    output and standard error.
    """
    if "::" not in text and "##" not in text:
        return text
    return _CI_COMMAND.sub(r"\g<0> ", text)


def escape_markdown(text: str) -> str:
    """Return Markdown that shows exactly this text, on one line."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))


def hide_tokens(text: str, *tokens: str | None) -> str:
    """Return a hub's words without these tokens and without a build token in a URL."""
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
    """Return the longest beginning of text that fits into so many columns."""
    for position, character in enumerate(text):
        columns -= _columns(character)
        if columns < 0:
            return text[:position]
    return text
