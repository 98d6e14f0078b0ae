"""Reads of schedules: with what they start, when they are due next, and what came of it last."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import OuterRef, QuerySet, Subquery

from apps.accounts.models import Project
from apps.jobs.schedules.cron import SHOWN_TIMES, next_times, words_of
from apps.jobs.schedules.models import Schedule, ScheduleFiring
from apps.jobs.schedules.registry import Subject, kind_called
from foundation import clock


@dataclass(frozen=True)
class Time:
    """A due time, with the same moment on the clock of its schedule."""

    moment: datetime.datetime
    local: datetime.datetime


@dataclass(frozen=True)
class ScheduleView:
    """A schedule as pages show it. subject: None when what it starts is in the trash."""

    schedule: Any
    noun: str
    subject: Subject | None
    times: list[Time]

    @property
    def next(self) -> Time | None:
        """The next due time."""
        return self.times[0] if self.times else None

    @property
    def words(self) -> str:
        """When, in words."""
        return words_of(self.schedule.cron)

    @property
    def state(self) -> str:
        """on, off, or stopped when it switched itself off."""
        if self.schedule.enabled:
            return "on"
        return "stopped_itself" if self.schedule.reason else "off"


def schedules_of(
    project: Project, *, kind: str = "", subject_id: object = None, q: str = ""
) -> QuerySet[Schedule]:
    """The schedules of a project, or of one thing in it, with their last firing annotated."""
    last = ScheduleFiring.objects.filter(schedule=OuterRef("pk")).order_by("-due")
    rows = Schedule.objects.filter(project=project).select_related("project", "acts_as", "created_by")
    if kind:
        rows = rows.filter(kind=kind)
    if subject_id is not None:
        rows = rows.filter(subject_id=str(subject_id))
    return rows.annotate(
        last_state=Subquery(last.values("state")[:1]),
        last_title=Subquery(last.values("title")[:1]),
        last_url=Subquery(last.values("url")[:1]),
        last_reason=Subquery(last.values("reason")[:1]),
    )


def shown_times(
    cron: str, timezone: str, count: int = SHOWN_TIMES, after: datetime.datetime | None = None
) -> list[Time]:
    """The next due times of a checked expression."""
    zone = ZoneInfo(timezone)
    moments = next_times(cron, timezone, after or clock.now(), count)
    return [Time(moment, moment.astimezone(zone)) for moment in moments]


def views_of(schedules: Iterable[Schedule], *, times: int = SHOWN_TIMES) -> list[ScheduleView]:
    """Schedules with their subjects, which are read kind by kind, and their next times."""
    rows: Sequence[Schedule] = list(schedules)
    keys: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        keys[row.kind].add(row.subject_id)
    subjects = {name: _subjects(name, wanted) for name, wanted in keys.items()}
    return [
        ScheduleView(
            schedule=row,
            noun=kind.noun if (kind := kind_called(row.kind)) else row.kind,
            subject=subjects[row.kind].get(row.subject_id),
            times=shown_times(row.cron, row.timezone, times) if row.enabled else [],
        )
        for row in rows
    ]


def _subjects(name: str, keys: Collection[str]) -> dict[str, Subject]:
    kind = kind_called(name)
    return kind.handler.subjects(keys) if kind is not None else {}


def next_due_of(kind: str, keys: Collection[object]) -> dict[str, Time]:
    """When each of these subjects is started next, for their lists."""
    found: dict[str, Time] = {}
    rows = Schedule.objects.filter(kind=kind, subject_id__in=[str(key) for key in keys], enabled=True)
    for row in rows.order_by("next_due"):
        if row.next_due is not None and row.subject_id not in found:
            found[row.subject_id] = Time(row.next_due, row.next_due.astimezone(ZoneInfo(row.timezone)))
    return found
