"""Find the lines in a failed build's log that say why it failed. Pure functions that know no runner and no hub."""

import re
from collections.abc import Sequence

_MOST_LINES = 3
_MOST_CHARACTERS = 300  # of a line

# Lines that builders add to every failure. They do not say why it failed, and may repeat a long command.
_WRAPPING = re.compile(
    r"error during build|non-zero code|non-zero exit|did not complete successfully|failed to (?:solve|build: )"
    r"|returned .{0,100}exit status|exit(?:ed with)? (?:code|status)|called process ?error|the command '|command '?\["
    r"|^traceback \(most|this error originates from|see above for output|for (?:more|additional) (?:info|details)"
    r"|note: this is an issue with|^built? failed|a new release of|^\W*$|^critical libmamba",
    re.IGNORECASE,
)
_TELLING = re.compile(
    r"\berrors?\b|\w(?:Error|Exception)\b|no matching|not (?:be )?(?:found|solve|resolve|install|determine|open)"
    r"|does not exist|nothing provides|unsatisfiable|conflict|incompatible|cannot|can't|could not|couldn't|unable to"
    r"|\bfail(?:ed|ure)?\b|\bfatal\b|denied|no such|no space left|\bkilled\b|out of memory|unknown|invalid|missing",
    re.IGNORECASE,
)
# The beginning of a line of buildkit: "#13 2.345 ".
_PREFIX = re.compile(r"#\d{1,9} (?:\d{1,9}\.\d{1,9} )?")


def find_reason(log: Sequence[str]) -> tuple[str, ...]:
    """Return up to three lines from the end of a build's log that most likely say why the build failed.

    They are the last lines with the words of an error, without the lines that every failed build has. If there are
    none, they are the last lines.
    """
    lines = [_PREFIX.sub("", line.strip()[: 2 * _MOST_CHARACTERS], count=1) for line in log if line.strip()]
    own = [line for line in lines if not _WRAPPING.search(line)]
    telling = [line for line in own if _TELLING.search(line)] or own or lines
    return tuple(line[:_MOST_CHARACTERS] for line in dict.fromkeys(telling[-_MOST_LINES:]))
