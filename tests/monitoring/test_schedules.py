"""Reports on a schedule: which windows they cover, and the way from a due time to a report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.jobs.models import Job
from apps.jobs.schedules import firing
from apps.jobs.schedules.models import Schedule
from apps.monitoring.actions import trash_monitor
from apps.monitoring.models import Report
from apps.monitoring.schedules import complete_windows
from foundation import clock

NOON = datetime(2021, 4, 8, 12, tzinfo=UTC)


def days(windows: list[Any]) -> list[int]:
    return [window.start.day for window in windows]


@pytest.mark.parametrize(
    ("since", "count", "expected"),
    [
        (None, None, [7]),
        (None, 3, [5, 6, 7]),
        (NOON - timedelta(days=1), None, [7]),
        (NOON - timedelta(days=3), None, [5, 6, 7]),
        (NOON - timedelta(hours=1), None, [7]),
        (NOON - timedelta(days=3), 1, [7]),
    ],
)
def test_a_report_covers_the_complete_windows(
    watched: Any, since: datetime | None, count: int | None, expected: list[int]
) -> None:
    assert days(complete_windows(watched.monitor(), until=NOON, since=since, count=count)) == expected


def test_a_long_silence_is_cut(watched: Any) -> None:
    monitor = watched.monitor(window="1h")
    found = complete_windows(monitor, until=NOON, since=NOON - timedelta(days=900))
    assert len(found) == 366
    assert found[-1].end == NOON


def test_a_due_time_becomes_a_report(watched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = watched.monitor()
    api = watched.people.api("contributor")
    base = f"/api/v1/projects/{watched.project.slug}/schedules"
    monkeypatch.setattr(clock, "now", lambda: NOON)
    made = api.post(base, {"monitor": "watch", "cron": "0 * * * *"}, format="json")
    assert made.status_code == 201, made.content
    assert made.json()["subject"]["name"] == "watch"
    for wrong in ({"windows": 0}, {"windows": "3"}, {"windows": True}, {"days": 3}):
        body = {"monitor": "watch", "cron": "0 * * * *", "parameters": wrong}
        assert api.post(base, body, format="json").status_code == 422

    monkeypatch.setattr(clock, "now", lambda: NOON + timedelta(hours=1))
    assert firing.fire_due() == 1
    report = Report.objects.get()
    assert (report.start, report.end) == (datetime(2021, 4, 7, tzinfo=UTC), datetime(2021, 4, 8, tzinfo=UTC))
    assert report.created_by == watched.people.contributor
    assert Job.objects.get(pk=report.job_id).kind == "monitoring.report"
    client = watched.people.client("viewer")
    page = client.get(watched.url("/watch")).content.decode()
    assert "At the start of every hour" in page
    assert client.get(Schedule.objects.get().firings.get().url).status_code == 200

    trash_monitor(actor=watched.people.actor("contributor"), monitor=monitor)
    monkeypatch.setattr(clock, "now", lambda: NOON + timedelta(hours=2))
    firing.fire_due()
    schedule = Schedule.objects.get()
    assert (schedule.enabled, schedule.reason) == (False, "The monitor is in the trash.")
    assert client.get(f"/p/{watched.project.slug}/schedules/{schedule.pk}/").status_code == 200


def test_a_monitor_without_a_schedule_offers_one(watched: Any) -> None:
    watched.monitor()
    link = f"/p/{watched.project.slug}/schedules/new/monitor/watch"
    assert link in watched.people.client("contributor").get(watched.url("/watch")).content.decode()
    assert link not in watched.people.client("viewer").get(watched.url("/watch")).content.decode()
    assert watched.people.client("contributor").get(link).status_code == 200
