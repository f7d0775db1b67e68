"""Durations as people write them: ``1800``, ``90s``, ``20m``, ``1h30m``. Pure functions over text."""

import re

from clinder.errors import UsageError
from clinder.giturl import quote_text

_UNITS = {"h": 3600, "m": 60, "s": 1}
_NUMBER = "([0-9]{1,9}(?:[.][0-9]{0,9})?)"
_WRITTEN = re.compile(rf"(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s)?")

_MOST = 1e9  # seconds: some of Python's functions fail with a thousand times as many


def parse_duration(text: str) -> float:
    """Return the seconds in a text like "20m"; a plain number means seconds. Raises `UsageError`."""
    seconds = 0.0
    if re.fullmatch(_NUMBER, text):
        seconds = float(text)
    elif written := _WRITTEN.fullmatch(text):
        seconds = sum(float(number) * unit for number, unit in zip(written.groups("0"), _UNITS.values(), strict=True))
    if not 0 < seconds < _MOST:
        raise UsageError(
            f"Not a duration: {quote_text(text)}",
            "Expected a number of seconds above 0 (1800), or numbers with the units h, m and s (20m, 90s, 1h30m).",
        )
    return seconds


def format_duration(seconds: float) -> str:
    """Return a duration as people write it: ``7s``, ``1m05s``, ``2h03m``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def describe_duration(seconds: float) -> str:
    """Return a rounded duration for a sentence: ``42 s``, ``12 min``, ``1.7 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
