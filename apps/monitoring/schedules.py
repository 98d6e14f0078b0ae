"""Reports on a schedule: each covers the windows that were completed since the one before."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import Any

from django import forms

from apps.accounts.access import Actor
from apps.accounts.models import Project
from apps.jobs.schedules.registry import Firing, Started, Subject, on_schedule
from apps.monitoring.access import get_monitor
from apps.monitoring.actions import request_report
from apps.monitoring.models import Monitor
from apps.monitoring.windows import Window, align, get_zone, parse_size
from foundation.api import check_fields
from foundation.errors import Invalid, NotFound

KIND = "monitoring.report"
# Of one scheduled report: a year of days.
MOST_WINDOWS = 366


@on_schedule(KIND, noun="monitor")
class ReportOnSchedule:
    """Computes a report over the last complete windows.

    parameters: {"windows": n} for the last n of them; without it all that were completed since the due time
    before, and at least one.
    """

    def find(self, project: Project, name: str) -> Subject:
        """The monitor of that name."""
        return _subject(get_monitor(project, name))

    def subjects(self, keys: Collection[str]) -> dict[str, Subject]:
        """Monitors by key."""
        rows = Monitor.objects.filter(pk__in=keys, deleted_at__isnull=True).select_related("project")
        return {str(row.pk): _subject(row) for row in rows}

    def check(self, actor: Actor, project: Project, key: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """The number of windows, where one is given."""
        check_fields(parameters, ("windows",))
        windows = parameters.get("windows")
        if windows is None:
            return {}
        if isinstance(windows, bool) or not isinstance(windows, int) or not 1 <= windows <= MOST_WINDOWS:
            raise Invalid(
                "schedule.parameters",
                f"windows is a whole number from 1 to {MOST_WINDOWS}: how many complete windows a report covers.",
                {"field": "windows"},
            )
        return {"windows": windows}

    def fields(self, key: str) -> dict[str, forms.Field]:
        """How many windows."""
        return {
            "windows": forms.IntegerField(
                label="Windows in a report",
                required=False,
                min_value=1,
                max_value=MOST_WINDOWS,
                help_text="The last complete ones. Left empty: all that were completed since the report before. "
                "More of them are worth it where labels arrive late.",
            )
        }

    def fire(self, firing: Firing) -> Started:
        """Ask for the report."""
        monitor = (
            Monitor.objects.filter(pk=firing.key, project=firing.project, deleted_at__isnull=True)
            .select_related("project", "deployment__current", "dataset", "baseline__dataset")
            .first()
        )
        if monitor is None:
            raise NotFound("monitor.not_found", "The monitor is in the trash.")
        windows = complete_windows(
            monitor, until=firing.due, since=firing.previous, count=firing.parameters.get("windows")
        )
        report = request_report(
            actor=firing.actor, monitor=monitor, start=windows[0].start, end=windows[-1].end
        )
        noun = "window" if len(windows) == 1 else "windows"
        return Started(
            title=f"Report over {len(windows)} {noun}",
            url=f"{monitor.get_absolute_url()}/reports/{report.pk}",
        )


def complete_windows(
    monitor: Monitor,
    *,
    until: datetime.datetime,
    since: datetime.datetime | None = None,
    count: int | None = None,
) -> list[Window]:
    """The last windows that were over at `until`: `count` of them, or those that ended after `since` (at least one)."""
    zone = get_zone(monitor.project.timezone)
    size = datetime.timedelta(minutes=parse_size(monitor.window))
    wanted = count or 1
    if count is None and since is not None:
        wanted = min(max(1, int((until - since) / size) + 1), MOST_WINDOWS)
    # Two more than wanted: one is not over yet, and a day on which the clocks change lasts longer.
    start = until - (wanted + 2) * size
    over = [w for w in align(start, until, size=monitor.window, zone=zone) if w.end <= until]
    if count is None and since is not None:
        return [window for window in over if window.end > since][-wanted:] or over[-1:]
    return over[-wanted:]


def _subject(monitor: Monitor) -> Subject:
    return Subject(str(monitor.pk), monitor.name, monitor.get_absolute_url())
