"""Time windows: half-open [start, end), aligned to the wall clock of the project's time zone.

Only the standard library is used, so that pages, the scheduler and the sandbox share one definition.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from foundation.errors import Invalid

_SIZE = re.compile(r"^\s*([1-9][0-9]{0,3})\s*(m|min|h|d|w)\s*$")
_MINUTES = {"m": 1, "min": 1, "h": 60, "d": 1440, "w": 10080}
_DAY = 1440
# Windows of several days are counted from a Monday, so that "1w" is the ISO week.
_FIRST_MONDAY = date(1970, 1, 5)
MAXIMUM_WINDOWS = 1000


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """One half-open interval of time: `start` belongs to it, `end` does not. Both are aware, in UTC."""

    start: datetime
    end: datetime


def parse_size(text: str) -> int:
    """Return the length of a window in minutes of wall-clock time.

    `text` is a whole number and a unit: m, h, d or w ("15m", "1h", "1d", "1w"). Below one day the length must
    divide a day, because otherwise windows could not begin at midnight. Raises Invalid "monitor.window".
    """
    match = _SIZE.match(text)
    if match is None:
        raise Invalid(
            "monitor.window", f'"{text}" is not a window. Write a number and a unit: 15m, 1h, 1d or 1w.'
        )
    minutes = int(match[1]) * _MINUTES[match[2]]
    if minutes < _DAY and _DAY % minutes:
        raise Invalid(
            "monitor.window",
            f'A window of "{text}" does not divide a day. Choose for instance 15m, 1h, 6h or 12h.',
        )
    if minutes > _DAY and minutes % _DAY:
        raise Invalid("monitor.window", f'A window of "{text}" is longer than a day but not whole days.')
    return minutes


def get_zone(name: str) -> ZoneInfo:
    """Return the time zone called `name`, an IANA name. Raises Invalid "monitor.timezone"."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid("monitor.timezone", f'"{name}" is not a time zone this machine knows.') from error


def align(start: datetime, end: datetime, *, size: str, zone: ZoneInfo) -> list[Window]:
    """Return the aligned windows that cover [start, end), oldest first.

    The first window begins at or before `start`, the last ends at or after `end`; both datetimes are aware.
    Bounds are wall-clock times of `zone`: a window of "1d" runs from midnight to midnight, so it lasts 23 or 25
    hours on the days on which the clocks change. Windows never overlap and leave no gap.
    Raises Invalid "monitor.period" for an empty period and "monitor.too_many_windows" above MAXIMUM_WINDOWS.
    """
    if start.tzinfo is None or end.tzinfo is None:
        raise Invalid("monitor.period", "Start and end need a time zone, for instance 2021-04-01T00:00:00Z.")
    try:
        return _align(start.astimezone(UTC), end.astimezone(UTC), size=size, zone=zone)
    except OverflowError as error:
        raise Invalid("monitor.period", "The period lies outside the calendar.") from error


def _align(start: datetime, end: datetime, *, size: str, zone: ZoneInfo) -> list[Window]:
    if start >= end:
        raise Invalid("monitor.period", "The end of the period must be after its start.")
    minutes = parse_size(size)
    if (end - start) / timedelta(minutes=minutes) > MAXIMUM_WINDOWS:
        raise Invalid(
            "monitor.too_many_windows",
            f"The period holds more than {MAXIMUM_WINDOWS} windows of {size}. Shorten it or widen the window.",
        )
    found: list[Window] = []
    previous: datetime | None = None
    for bound in _bounds(start, minutes, zone):
        if previous is not None and bound > start and bound > previous:
            found.append(Window(previous, bound))
        if bound >= end:
            return found
        if previous is None or bound > previous:
            previous = bound
    raise AssertionError("bounds have no end")


def window_of(moment: datetime, *, size: str, zone: ZoneInfo) -> Window:
    """Return the one aligned window that holds `moment`."""
    return align(moment, moment + timedelta(microseconds=1), size=size, zone=zone)[0]


def _bounds(start: datetime, minutes: int, zone: ZoneInfo) -> Iterator[datetime]:
    """Yield bounds in UTC, beginning before `start`, without end."""
    # Two days of run-up: the local date of an instant differs from the UTC date by at most one.
    day = start.astimezone(zone).date() - timedelta(days=2)
    if minutes > _DAY:
        step = timedelta(days=minutes // _DAY)
        day -= (day - _FIRST_MONDAY) % step
        while True:
            yield _instant(day, 0, zone)
            day += step
    while True:
        instants: set[datetime] = set()
        for minute in range(0, _DAY, minutes):
            instants.add(_instant(day, minute, zone))
            if minutes < _DAY and minute:
                instants.add(_instant(day, minute, zone, fold=1))
        yield from sorted(instants)
        day += timedelta(days=1)


def _instant(day: date, minute: int, zone: ZoneInfo, *, fold: int = 0) -> datetime:
    """Return the instant at which the clock shows `minute` of `day`, in UTC.

    A time that the clock skips (spring) is the instant after the gap; a time shown twice (autumn) is the first
    showing with fold 0 and the second with fold 1.
    """
    wall = datetime.combine(day, time(minute // 60, minute % 60), zone)
    first = wall.replace(fold=0).astimezone(UTC)
    skipped = first.astimezone(zone).replace(tzinfo=None) != wall.replace(tzinfo=None)
    if skipped or fold == 0:
        return first
    return wall.replace(fold=1).astimezone(UTC)
