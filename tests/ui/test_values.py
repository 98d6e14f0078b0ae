"""Values as a person reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from foundation.ui import values

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (None, None, "–"),
        (float("nan"), None, "–"),
        (float("inf"), None, "∞"),
        (0, None, "0"),
        (1530412, None, "1\u202f530\u202f412"),
        (0.863499, None, "0.8635"),
        (0.863499, 3, "0.863"),
        (-3.5, 1, "\u22123.5"),
        (12.0, None, "12"),
        (1.23e-7, None, "1.230e\u221207"),
        ("text", None, "text"),
        (True, None, "True"),
    ],
)
def test_a_number_is_shown(value: object, digits: int | None, shown: str) -> None:
    assert values.number(value, digits) == shown


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (999, "999 B"), (1530, "1.53 kB"), (48_300_000, "48.3 MB"), (None, "–")]
)
def test_a_size_is_shown(count: int | None, shown: str) -> None:
    assert values.size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.184, "184 ms"),
        (4.2, "4.2 s"),
        (93, "1 min 33 s"),
        (3600, "1 h"),
        (3725, "1 h 2 min"),
        (-1, "–"),
        (None, "–"),
    ],
)
def test_a_duration_is_shown(seconds: float | None, shown: str) -> None:
    assert values.duration(seconds) == shown


@pytest.mark.parametrize(
    ("delta", "shown"),
    [
        (timedelta(seconds=2), "just now"),
        (timedelta(seconds=50), "50 s ago"),
        (timedelta(minutes=4, seconds=50), "4 min ago"),
        (timedelta(days=45), "1 mo ago"),
        (-timedelta(hours=2), "in 2 h"),
    ],
)
def test_a_moment_is_shown_relative_to_now(delta: timedelta, shown: str) -> None:
    assert values.ago(NOW - delta, NOW) == shown


def test_a_short_id_keeps_the_part_that_differs() -> None:
    assert values.short_id("01939f7a-2c3e-7000-8000-0123456789ab") == "456789ab"
    assert values.short_id("abc") == "abc"
