"""What a team's projects use: bytes kept, CPU spent, and what is running.

Apps above register what they can measure (`register_meter`) or show (`register_work`) in their usage.py, which
is imported when the studio starts. Measuring walks the object store, so the result is kept with its time and
measured anew by whoever looks after MAX_AGE; of several at once one measures and the others see the last result.
"""

from __future__ import annotations

import datetime
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from apps.accounts.models import Project, Team, TeamUsage
from foundation.clock import now

MAX_AGE = datetime.timedelta(minutes=15)
BYTES, SECONDS, COUNT = "bytes", "seconds", "count"

Meter = Callable[[Sequence[UUID]], Mapping[UUID, Mapping[str, float]]]


@dataclass(frozen=True)
class Gauge:
    """Something that is measured per project. key: in the API; label: on the page; unit: bytes or seconds."""

    key: str
    label: str
    unit: str


@dataclass(frozen=True)
class Allowance:
    """Something that a team may use only so much of. unit: bytes, seconds or count; note: what happens then."""

    label: str
    used: float
    limit: float
    unit: str
    note: str = ""

    @property
    def share(self) -> float:
        """The part that is used, 0 to 1."""
        return min(1.0, self.used / self.limit) if self.limit else 1.0

    @property
    def reached(self) -> bool:
        """Whether no more is allowed."""
        return self.used >= self.limit


@dataclass(frozen=True)
class Entry:
    """One piece of running work, as the team's page lists it."""

    state: str
    title: str
    url: str
    project: str
    by: str = ""
    since: datetime.datetime | None = None
    percent: int | None = None


@dataclass(frozen=True)
class Work:
    """The newest pieces of running work, and how many there are in each project."""

    entries: list[Entry] = field(default_factory=list)
    by_project: dict[UUID, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.by_project.values())


@dataclass(frozen=True)
class ProjectUsage:
    """One line of the table: values in the order of the gauges; kept is the sum of all bytes."""

    project: Project
    values: list[tuple[Gauge, float]]
    kept: float


@dataclass(frozen=True)
class Usage:
    """What a team uses, and when that was measured."""

    gauges: list[Gauge]
    rows: list[ProjectUsage]
    totals: list[tuple[Gauge, float]]
    kept: float
    at: datetime.datetime


_GAUGES: dict[str, Gauge] = {}
_METERS: list[Meter] = []
_ALLOWANCES: list[Callable[[Team], list[Allowance]]] = []
_WORK: list[Callable[[Sequence[Project], int], Work]] = []


def register_meter(meter: Meter, *gauges: Gauge) -> None:
    """Make measures known; `meter` answers {project id: {gauge's key: value}} and may leave out what is nothing."""
    _GAUGES.update({gauge.key: gauge for gauge in gauges})
    if meter not in _METERS:
        _METERS.append(meter)


def register_allowances(provider: Callable[[Team], list[Allowance]]) -> None:
    """Make known who can tell what a team may use at most."""
    if provider not in _ALLOWANCES:
        _ALLOWANCES.append(provider)


def allowances_of(team: Team) -> list[Allowance]:
    """The limits of a team, with what it uses of each; [] when it has none."""
    return [one for provider in _ALLOWANCES for one in provider(team)]


def register_work(provider: Callable[[Sequence[Project], int], Work]) -> None:
    """Make known who can tell what is running in some projects (the newest few, and how many)."""
    if provider not in _WORK:
        _WORK.append(provider)


def work_in(projects: Sequence[Project], limit: int = 8) -> Work:
    """What is running in these projects."""
    found = [provider(projects, limit) for provider in _WORK]
    counts: Counter[UUID] = Counter()
    for work in found:
        counts.update(work.by_project)
    return Work([entry for work in found for entry in work.entries][:limit], dict(counts))


def usage_of(team: Team, projects: Sequence[Project], *, max_age: datetime.timedelta = MAX_AGE) -> Usage:
    """What the team's `projects` use, at most `max_age` old unless somebody else is measuring right now."""
    row = TeamUsage.objects.filter(team=team).first()
    if row is None or now() - row.at > max_age:
        row = _measure(team, row)
    gauges = sorted(_GAUGES.values(), key=lambda gauge: gauge.unit != BYTES)
    rows = []
    for project in projects:
        data: dict[str, Any] = row.data.get(str(project.pk), {})
        values = [(gauge, float(data.get(gauge.key, 0))) for gauge in gauges]
        rows.append(ProjectUsage(project, values, sum(v for gauge, v in values if gauge.unit == BYTES)))
    rows.sort(key=lambda line: -line.kept)
    totals = [(gauge, sum(line.values[i][1] for line in rows)) for i, gauge in enumerate(gauges)]
    return Usage(gauges, rows, totals, sum(line.kept for line in rows), row.at)


def kept_by(team: Team) -> int:
    """The bytes that all projects of a team keep. Measured anew as soon as that is cheap: somebody is about to be
    refused or let in by it."""
    row = TeamUsage.objects.filter(team=team).first()
    if row is None or now() - row.at > min(MAX_AGE, datetime.timedelta(seconds=max(2.0, 20 * row.seconds))):
        row = _measure(team, row)
    kept = {gauge.key for gauge in _GAUGES.values() if gauge.unit == BYTES}
    return int(sum(value for uses in row.data.values() for key, value in uses.items() if key in kept))


def _measure(team: Team, last: TeamUsage | None) -> TeamUsage:
    """Measure all projects of the team, those in the trash too: their bytes are still there."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [f"usage {team.pk}"])
            if not cursor.fetchone()[0] and last is not None:
                return last
        began, moment = time.monotonic(), now()
        ids = list(Project.objects.filter(team=team).values_list("pk", flat=True))
        data: dict[str, dict[str, float]] = {str(pk): {} for pk in ids}
        for meter in _METERS:
            for pk, values in meter(ids).items():
                data[str(pk)].update(values)
        row, _ = TeamUsage.objects.update_or_create(
            team=team, defaults={"at": moment, "data": data, "seconds": time.monotonic() - began}
        )
    return row
