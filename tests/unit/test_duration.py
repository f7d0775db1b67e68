"""A duration is a number of seconds, or has units; what is neither is told what would be."""

import pytest

from clinder import UsageError
from clinder.duration import describe_duration, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1800", 1800),
        ("1.5", 1.5),
        ("20m", 1200),
        ("90s", 90),
        ("1h30m", 5400),
        ("1h30m15s", 5415),
        ("1.5h", 5400),
        ("0h1m", 60),
        ("2h5s", 7205),
    ],
)
def test_a_duration_is_seconds_or_has_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "0s", "-5", "-5m", "soon", "inf", "nan", "20 m", "20min", "1:30", "30m1h", "1m1m", "m", "1d"),
        *("9" * 10, "999999999h", "\u0665m", "1e3", "1_000"),
    ],
)
def test_what_is_no_duration_is_told_what_would_be(text: str) -> None:
    with pytest.raises(UsageError, match="Not a duration") as caught:
        parse_duration(text)
    assert "20m, 90s, 1h30m" in caught.value.hint


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59.9, "59s"), (60, "1m00s"), (65, "1m05s"), (3599, "59m59s"), (7380, "2h03m")]
)
def test_a_duration_is_shown_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "0 s"), (99, "99 s"), (100, "2 min"), (5990, "100 min"), (7200, "2.0 h")]
)
def test_a_duration_in_a_sentence(seconds: float, words: str) -> None:
    assert describe_duration(seconds) == words
