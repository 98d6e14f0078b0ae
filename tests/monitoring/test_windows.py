"""Windows are half-open, aligned to the wall clock of a time zone, and survive changes of the clock."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from apps.monitoring.windows import Window, align, get_zone, parse_size, window_of
from foundation.errors import Invalid

BERLIN = get_zone("Europe/Berlin")


def hours(window: Window) -> float:
    return (window.end - window.start) / timedelta(hours=1)


def test_days_begin_at_local_midnight() -> None:
    found = align(
        datetime(2021, 4, 1, 5, tzinfo=UTC), datetime(2021, 4, 2, 5, tzinfo=UTC), size="1d", zone=BERLIN
    )
    assert [window.start.astimezone(BERLIN).hour for window in found] == [0, 0]
    assert found[0].start == datetime(2021, 3, 31, 22, tzinfo=UTC)


def test_a_period_that_is_already_aligned_gives_exactly_its_windows() -> None:
    found = align(
        datetime(2021, 4, 1, tzinfo=BERLIN), datetime(2021, 4, 15, tzinfo=BERLIN), size="1d", zone=BERLIN
    )
    assert len(found) == 14
    assert found[-1].end == datetime(2021, 4, 15, tzinfo=BERLIN)


def test_the_day_on_which_clocks_go_forward_has_23_hours_and_the_other_25() -> None:
    spring = window_of(datetime(2021, 3, 28, 12, tzinfo=BERLIN), size="1d", zone=BERLIN)
    autumn = window_of(datetime(2021, 10, 31, 12, tzinfo=BERLIN), size="1d", zone=BERLIN)
    assert (hours(spring), hours(autumn)) == (23, 25)


@pytest.mark.parametrize(("day", "expected"), [((2021, 3, 28), 23), ((2021, 10, 31), 25), ((2021, 7, 1), 24)])
def test_hours_stay_hours_across_a_change_of_the_clock(day: tuple[int, int, int], expected: int) -> None:
    start = datetime(*day, tzinfo=BERLIN)
    end = (start.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=BERLIN)
    found = align(start, end, size="1h", zone=BERLIN)
    assert len(found) == expected
    assert all(hours(window) == 1 for window in found)


@pytest.mark.parametrize("size", ["15m", "1h", "6h", "1d", "2d", "1w"])
@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]
)
def test_windows_adjoin_and_cover_the_period(size: str, zone: str) -> None:
    start, end = datetime(2021, 3, 26, 3, 7, tzinfo=UTC), datetime(2021, 4, 5, 1, 1, tzinfo=UTC)
    found = align(start, end, size=size, zone=get_zone(zone))
    assert found[0].start <= start < found[0].end
    assert found[-1].start < end <= found[-1].end
    assert all(one.end == other.start for one, other in itertools.pairwise(found))


def test_a_midnight_that_does_not_exist_is_the_first_moment_of_its_day() -> None:
    # Clocks in Santiago jumped from 24:00 to 01:00 on 11 September 2022.
    zone = get_zone("America/Santiago")
    found = window_of(datetime(2022, 9, 11, 12, tzinfo=UTC), size="1d", zone=zone)
    assert found.start == datetime(2022, 9, 11, 4, tzinfo=UTC)
    assert hours(found) == 23


def test_weeks_begin_on_monday() -> None:
    found = window_of(datetime(2021, 4, 7, 12, tzinfo=BERLIN), size="1w", zone=BERLIN)
    assert found.start.astimezone(BERLIN).isoweekday() == 1


def test_the_end_of_a_window_belongs_to_the_next_one() -> None:
    midnight = datetime(2021, 4, 2, tzinfo=BERLIN)
    assert window_of(midnight, size="1d", zone=BERLIN).start == midnight
    before = window_of(midnight - timedelta(microseconds=1), size="1d", zone=BERLIN)
    assert before.end == midnight


@pytest.mark.parametrize("size", ["", "0d", "1x", "-1d", "1.5h", "7h", "36h", "d", "1d1h", "99999d"])
def test_it_rejects_sizes_that_do_not_fit_a_day(size: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_size(size)
    assert caught.value.code == "monitor.window"


def test_it_rejects_periods_that_are_empty_naive_or_too_long() -> None:
    day = datetime(2021, 4, 1, tzinfo=UTC)
    for start, end, code in [
        (day, day, "monitor.period"),
        (datetime(2021, 4, 1), day, "monitor.period"),
        (day, day + timedelta(days=1000), "monitor.too_many_windows"),
    ]:
        with pytest.raises(Invalid) as caught:
            align(start, end, size="1h", zone=BERLIN)
        assert caught.value.code == code


def test_it_rejects_an_unknown_time_zone() -> None:
    with pytest.raises(Invalid):
        get_zone("Europe/Atlantis")


@pytest.mark.parametrize("year", [1, 9999])
@pytest.mark.parametrize("size", ["1d", "1w"])
def test_a_period_at_the_end_of_the_calendar_is_refused_in_a_sentence(year: int, size: str) -> None:
    start = datetime(year, 1 if year == 1 else 12, 1 if year == 1 else 31, tzinfo=UTC)
    with pytest.raises(Invalid) as caught:
        align(start, start + timedelta(hours=20), size=size, zone=BERLIN)
    assert caught.value.code == "monitor.period"
