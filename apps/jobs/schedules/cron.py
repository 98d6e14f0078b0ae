"""Cron expressions: checked with a sentence, and the moments at which they are due.

Five fields (minute, hour, day of month, month, day of week) as Debian's cron reads them: when both days are
restricted, either is enough. On the days on which the clocks change, an expression with a fixed hour and minute is
due once: a time that the clock skips moves to the first minute after the gap, one shown twice counts the first time.
Expressions whose minute or hour begins with a star follow real time instead: "every hour" stays every 60 minutes.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from foundation.errors import Invalid

MAXIMUM_LENGTH = 100
SHOWN_TIMES = 5
FIELDS = (
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, or L for the last"),
    ("month", "1 to 12 or JAN to DEC"),
    ("day of the week", "0 to 7 (0 and 7 are Sunday) or SUN to SAT"),
)
_PROBE = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)


def check_cron(text: object) -> str:
    """The expression with single spaces. Raises Invalid "schedule.cron" (malformed) or "schedule.never"."""
    if not isinstance(text, str) or not text.strip():
        raise _malformed("The cron expression is missing; for instance 0 6 * * * is every day at 6 o'clock.")
    if len(text) > MAXIMUM_LENGTH:
        raise _malformed(f"A cron expression has at most {MAXIMUM_LENGTH} characters.")
    parts = text.split()
    if len(parts) != len(FIELDS):
        raise _malformed(
            "A cron expression has five fields (minute, hour, day of the month, month, day of the week); "
            f"this one has {len(parts)}."
        )
    for index, (name, allowed) in enumerate(FIELDS):
        alone = ["*"] * len(FIELDS)
        alone[index] = parts[index]
        if not _is_readable(" ".join(alone)):
            raise _malformed(
                f"'{parts[index]}' is no {name}: it is {allowed}, a list (1,15), a range (1-5), a step (*/10), "
                "or * for every one."
            )
    cron = " ".join(parts)
    if not _is_readable(cron) or next(_times(cron, ZoneInfo("UTC"), _PROBE), None) is None:
        raise Invalid(
            "schedule.never",
            f"'{cron}' never comes: no year has such a day.",
            {"field": "cron"},
        )
    return cron


def next_times(
    cron: str, timezone: str, after: datetime.datetime, count: int = SHOWN_TIMES
) -> list[datetime.datetime]:
    """The next `count` moments after `after` at which a checked expression is due, in UTC, oldest first."""
    found: list[datetime.datetime] = []
    for moment in _times(cron, ZoneInfo(timezone), after):
        found.append(moment)
        if len(found) == count:
            break
    return found


def words_of(cron: str) -> str:
    """A checked expression in words: "At 06:00 every day"."""
    return CronSim(cron, _PROBE).explain()


def latest_time(
    cron: str, timezone: str, *, since: datetime.datetime, until: datetime.datetime
) -> datetime.datetime:
    """The last due moment up to `until`, in UTC; `since`, itself a due moment, when none came after it."""
    zone = ZoneInfo(timezone)
    # Cron's reverse walk repeats no daylight rule; a day earlier, walking forward settles the rest.
    before = next(CronSim(cron, until.astimezone(zone), reverse=True), None)
    start = (
        since if before is None else max(since, before.astimezone(datetime.UTC) - datetime.timedelta(hours=3))
    )
    latest = since
    for moment in _times(cron, zone, start):
        if moment > until:
            break
        latest = moment
    return latest


def _times(cron: str, zone: ZoneInfo, after: datetime.datetime) -> Iterator[datetime.datetime]:
    """Due moments after `after`, each later than the one before."""
    last = after.astimezone(datetime.UTC)
    try:
        for local in CronSim(cron, after.astimezone(zone)):
            moment = local.astimezone(datetime.UTC)
            if moment > last:
                last = moment
                yield moment
    except OverflowError:
        return


def _is_readable(cron: str) -> bool:
    try:
        CronSim(cron, _PROBE)
    except (CronSimError, AssertionError, TypeError, ValueError, RecursionError):
        return False
    return True


def _malformed(sentence: str) -> Invalid:
    return Invalid("schedule.cron", sentence, {"field": "cron"})
