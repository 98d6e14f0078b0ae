"""Cron expressions: what is refused and how it is said, and the days on which the clocks change."""

from __future__ import annotations

import datetime
import itertools

import pytest

from apps.jobs.schedules.cron import check_cron, latest_time, next_times, words_of
from apps.jobs.schedules.forms import words_for
from foundation.errors import Invalid


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)


# ---- expressions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cron", "code", "says"),
    [
        ("", "schedule.cron", "missing"),
        ("0 6 * *", "schedule.cron", "five fields"),
        ("0 0 6 * * *", "schedule.cron", "this one has 6"),
        ("@daily", "schedule.cron", "five fields"),
        ("61 * * * *", "schedule.cron", "'61' is no minute: it is 0 to 59"),
        ("0 25 * * *", "schedule.cron", "no hour"),
        ("0 0 32 * *", "schedule.cron", "no day of the month"),
        ("0 0 * 13 *", "schedule.cron", "no month"),
        ("0 0 * * 9", "schedule.cron", "no day of the week"),
        ("*/0 * * * *", "schedule.cron", "no minute"),
        ("0 0 * * 1#2/3", "schedule.cron", "no day of the week"),
        ("0 0 30 2 *", "schedule.never", "never comes"),
        ("0 0 31 2,4,6 *", "schedule.never", "never comes"),
        ("0 0 * * " + "1," * 60 + "1", "schedule.cron", "at most 100"),
        (7, "schedule.cron", "missing"),
    ],
)
def test_an_expression_that_is_wrong_is_named(cron: object, code: str, says: str) -> None:
    with pytest.raises(Invalid) as error:
        check_cron(cron)
    assert error.value.code == code
    assert says in error.value.message
    assert error.value.detail["field"] == "cron"


def test_an_expression_is_kept_tidy_and_said_in_words() -> None:
    assert check_cron("  0   6 * *  1-5 ") == "0 6 * * 1-5"
    assert words_of("0 6 * * *") == "At 06:00 every day"
    assert check_cron("0 0 29 2 *") == "0 0 29 2 *"


@pytest.mark.parametrize(
    ("cron", "often"),
    [("0 * * * *", "hour"), ("30 7 * * *", "day"), ("0 6 * * 1-5", "workdays"), ("5 9 * * 3", "week"),
     ("0 0 1 * *", "month"), ("*/5 * * * *", "cron"), ("0 6 * * 1,2", "cron")],
)  # fmt: skip
def test_the_form_knows_what_it_can_say_in_words(cron: str, often: str) -> None:
    assert words_for(cron)["often"] == often


# ---- the clocks change -------------------------------------------------------------------------------------


def test_a_time_that_the_clock_skips_moves_behind_the_gap() -> None:
    found = next_times("30 2 * * *", "Europe/Berlin", at("2026-03-28T12:00:00+01:00"), 2)
    assert found == [at("2026-03-29T03:00:00+02:00"), at("2026-03-30T02:30:00+02:00")]


def test_a_time_shown_twice_comes_once() -> None:
    found = next_times("30 2 * * *", "Europe/Berlin", at("2026-10-24T12:00:00+02:00"), 2)
    assert found == [at("2026-10-25T02:30:00+02:00"), at("2026-10-26T02:30:00+01:00")]
    # Asked between the two showings, the next one is tomorrow, not the past.
    later = next_times("30 2 * * *", "Europe/Berlin", at("2026-10-25T02:10:00+01:00"), 1)
    assert later == [at("2026-10-26T02:30:00+01:00")]


def test_every_hour_stays_every_sixty_minutes() -> None:
    for day in ("2026-03-29T00:00:00+01:00", "2026-10-25T00:00:00+02:00"):
        found = next_times("0 * * * *", "Europe/Berlin", at(day), 6)
        steps = {later - earlier for earlier, later in itertools.pairwise(found)}
        assert steps == {datetime.timedelta(hours=1)}


def test_two_skipped_times_become_one() -> None:
    found = next_times("15,45 2 * * *", "Europe/Berlin", at("2026-03-29T00:00:00+01:00"), 2)
    assert found == [at("2026-03-29T03:00:00+02:00"), at("2026-03-30T02:15:00+02:00")]


@pytest.mark.parametrize(
    ("cron", "since", "until", "latest"),
    [
        ("0 * * * *", "2026-11-01T00:00:00+00:00", "2026-11-23T11:59:50+00:00", "2026-11-23T11:00:00+00:00"),
        ("0 6 * * *", "2026-11-23T05:00:00+00:00", "2026-11-23T05:00:00+00:00", "2026-11-23T05:00:00+00:00"),
        ("30 2 * * *", "2026-03-28T01:30:00+00:00", "2026-03-29T10:00:00+00:00", "2026-03-29T01:00:00+00:00"),
        ("* * * * *", "2025-11-23T05:00:00+00:00", "2026-11-23T05:00:30+00:00", "2026-11-23T05:00:00+00:00"),
    ],
)
def test_the_latest_time_is_found_without_counting_all(
    cron: str, since: str, until: str, latest: str
) -> None:
    assert latest_time(cron, "Europe/Berlin", since=at(since), until=at(until)) == at(latest)
