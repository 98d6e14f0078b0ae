"""Each app's part of a project's home page, as lines of a feed."""

from __future__ import annotations

import datetime
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.urls import reverse

from apps.accounts.models import Project
from apps.datasets.queries import recent_versions
from apps.deployments.models import InferenceSegment
from apps.deployments.queries import deployments_of
from apps.deployments.states import Origin
from apps.experiments.models import Run
from apps.jobs.models import Job
from apps.jobs.queries import live_jobs, progress_of
from apps.jobs.states import LIVE, JobState
from apps.monitoring.queries import monitors_of, standing_alerts, word_for
from apps.registry.queries import promotions_of
from apps.registry.states import PromotionState
from foundation.ui.values import number

SHOWN = 6
HOURS = 24
BROKEN = (JobState.FAILED, JobState.ERRORED, JobState.TIMED_OUT)


@dataclass(frozen=True)
class Entry:
    """One line of a feed. ``id`` colours it as a series, where it is a run."""

    state: str
    title: str
    url: str
    note: str = ""
    at: datetime.datetime | None = None
    progress: Any = None
    id: str = ""


@dataclass(frozen=True)
class Served:
    """A deployment and how it does: predictions in each of the last 24 hours, and the word of its monitors."""

    state: str
    name: str
    url: str
    model: str
    hours: list[int] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    watch: str = ""
    watch_url: str = ""

    @property
    def total(self) -> int:
        """Predictions in the last 24 hours."""
        return sum(self.hours)


def link(name: str, *args: Any) -> str:
    """A page's address."""
    return reverse(name, args=[str(arg) for arg in args])


def running_jobs(project: Project) -> tuple[list[Entry], int]:
    """Jobs that wait or run, newest first, and how many there are."""
    entries = [
        Entry(job.state, job.title, _job_url(job), at=job.queued_at, progress=progress_of(job))
        for job in live_jobs([project], limit=SHOWN)
    ]
    total = len(entries)
    if total == SHOWN:
        total = Job.objects.filter(project=project, state__in=LIVE).count()
    return entries, total


def failed_jobs(project: Project, *, since: datetime.datetime) -> tuple[list[Entry], int]:
    """Jobs that ended badly since then, newest first, and how many there are."""
    ended = Job.objects.filter(project=project, state__in=BROKEN, finished_at__gt=since)
    found = ended.select_related("project").order_by("-finished_at")[:SHOWN]
    entries = [
        Entry(job.state, job.title, _job_url(job), note=job.reason, at=job.finished_at) for job in found
    ]
    return entries, ended.count() if len(entries) == SHOWN else len(entries)


def _job_url(job: Job) -> str:
    return link("jobs:detail", job.project.slug, job.pk) if job.project else ""


def recent_datasets(project: Project) -> list[Entry]:
    """The newest versions of datasets."""
    return [
        Entry(
            version.state,
            f"{version.dataset.name}@{version.number}",
            link("datasets:version", project.slug, version.dataset.name, version.number),
            note=f"{number(version.rows)} rows, {version.columns} columns" if version.rows else "",
            at=version.created_at,
        )
        for version in recent_versions(project, limit=SHOWN)
    ]


def recent_runs(project: Project) -> list[Entry]:
    """The newest runs, without trials and other parts of one."""
    runs = Run.objects.with_relations().filter(project=project, parent__isnull=True).alive()
    return [
        Entry(
            run.state,
            run.name,
            link("experiments:run", project.slug, run.hex),
            note=" · ".join(part for part in (run.experiment.name, run.dataset_label) if part),
            at=run.created_at,
            id=run.hex,
        )
        for run in runs.order_by("-created_at")[:SHOWN]
    ]


def waiting_promotions(project: Project) -> list[Entry]:
    """Promotions that wait for a maintainer."""
    waiting = promotions_of(project, state=PromotionState.AWAITING_APPROVAL)
    return [
        Entry(
            promotion.state,
            f"{promotion.version.label} to {promotion.alias}",
            promotion.version.url,
            note=promotion.comment,
            at=promotion.created_at,
        )
        for promotion in waiting.select_related("version__model__project", "version__project")[:SHOWN]
    ]


def drifting(project: Project) -> list[Entry]:
    """Standing alerts, the newest window first; at most 100. Days are those of the project's time zone."""
    zone = ZoneInfo(project.timezone)
    return [
        Entry(
            "drifting",
            alert.feature,
            link("monitoring:detail", project.slug, alert.monitor.name),
            note=f"{alert.monitor.name} on {alert.start.astimezone(zone):%-d %b %Y}: "
            f"{number(alert.value, 2)}, over {number(alert.threshold, 2)}",
            at=alert.start,
        )
        for alert in standing_alerts([project], limit=100)
    ]


def served(project: Project, moment: datetime.datetime) -> list[Served]:
    """Deployments with their predictions of the last 24 hours and the word of their monitors."""
    found = list(deployments_of(project).order_by("name")[: 2 * SHOWN])
    if not found:
        return []
    begin = moment - datetime.timedelta(hours=HOURS)
    hours: dict[UUID, list[int]] = defaultdict(lambda: [0] * HOURS)
    segments = InferenceSegment.objects.filter(deployment__in=found, origin=Origin.PREDICT, end__gt=begin)
    for deployment, start, rows in segments.values_list("deployment_id", "start", "rows"):
        bucket = int((start - begin).total_seconds() // 3600)
        hours[deployment][max(0, min(HOURS - 1, bucket))] += rows
    watches: dict[UUID | None, Any] = {}
    for monitor in monitors_of(project).filter(deployment__in=found):
        known = watches.get(monitor.deployment_id)
        if known is None or word_for(monitor) == "drifting":
            watches[monitor.deployment_id] = monitor
    labels = [f"{(begin + datetime.timedelta(hours=hour)):%H:%M} UTC" for hour in range(HOURS)]
    return [
        Served(
            state=item.state,
            name=item.name,
            url=link("deployments:detail", project.slug, item.name),
            model=item.current.model_label if item.current else item.model_ref,
            hours=hours[item.pk],
            labels=labels,
            watch=word_for(watches[item.pk]) if item.pk in watches else "",
            watch_url=link("monitoring:detail", project.slug, watches[item.pk].name)
            if item.pk in watches
            else "",
        )
        for item in found
    ]
