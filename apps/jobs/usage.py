"""What jobs use: CPU seconds of this month, and what is running."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from django.db.models import Count, Sum
from django.urls import reverse

from apps.accounts.models import Project
from apps.accounts.usage import (
    SECONDS,
    Entry,
    Gauge,
    Work,
    register_allowances,
    register_meter,
    register_work,
)
from apps.jobs.models import Job, JobAttempt
from apps.jobs.queries import live_jobs, progress_of
from apps.jobs.quotas.queries import allowances
from apps.jobs.states import LIVE
from foundation.clock import now


def cpu_seconds(projects: Sequence[UUID]) -> Mapping[UUID, Mapping[str, float]]:
    """CPU seconds of the attempts that began in this calendar month (UTC)."""
    month = now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    attempts = JobAttempt.objects.filter(
        job__project__in=projects, started_at__gte=month, cpu_seconds__isnull=False
    ).order_by()
    sums = attempts.values_list("job__project").annotate(total=Sum("cpu_seconds"))
    return {project: {"cpu": round(float(total), 1)} for project, total in sums}


def running(projects: Sequence[Project], limit: int) -> Work:
    """Jobs that wait or run, newest first."""
    by_id = {project.pk: project for project in projects}
    jobs = live_jobs(projects, limit=limit)
    entries = [
        Entry(
            state=job.state,
            title=job.title,
            url=reverse("jobs:detail", args=[by_id[job.project_id].slug, job.pk]),
            project=by_id[job.project_id].name,
            by=job.created_by.label if job.created_by else "",
            since=job.queued_at,
            percent=progress_of(job).percent,
        )
        for job in jobs
        if job.project_id in by_id
    ]
    counts = Job.objects.filter(project__in=projects, state__in=LIVE).order_by().values_list("project")
    return Work(entries, dict(counts.annotate(count=Count("pk"))))


register_meter(cpu_seconds, Gauge("cpu", "CPU this month", SECONDS))
register_work(running)
register_allowances(allowances)
