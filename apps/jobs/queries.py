"""Reads for the pages and the API of jobs."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import QuerySet

from apps.accounts.models import Project
from apps.jobs import nodes
from apps.jobs.models import Job, JobAttempt, JobEvent
from apps.jobs.states import ACTIVE, LIVE, JobState
from foundation.clock import now
from foundation.errors import Invalid


@dataclass(frozen=True)
class Progress:
    """How far a job is. fraction: 0 to 1, or None when the total is unknown; remaining: seconds or None."""

    step: float | None = None
    total: float | None = None
    message: str = ""
    fraction: float | None = None
    elapsed: float | None = None
    remaining: float | None = None

    @property
    def percent(self) -> int | None:
        """Whole percent, for a progress bar and the page title."""
        return None if self.fraction is None else int(self.fraction * 100)


@dataclass(frozen=True)
class JobSummary:
    """What a page shows of a job at a glance."""

    job: Job
    progress: Progress
    waited: float | None
    ran: float | None
    attempts: list[JobAttempt] = field(default_factory=list)
    events: list[JobEvent] = field(default_factory=list)


def _seconds(start: datetime.datetime | None, end: datetime.datetime | None) -> float | None:
    if start is None:
        return None
    return max(0.0, ((end or now()) - start).total_seconds())


def progress_of(job: Job) -> Progress:
    """The progress that the job's code last reported, with elapsed and estimated remaining seconds."""
    data = job.progress or {}
    step, total = data.get("step"), data.get("total")
    fraction = None
    if isinstance(step, int | float) and isinstance(total, int | float) and total > 0:
        fraction = min(1.0, max(0.0, step / total))
    elapsed = _seconds(job.started_at, job.finished_at)
    remaining = None
    if fraction and elapsed is not None and job.state in ACTIVE and fraction < 1:
        remaining = elapsed * (1 - fraction) / fraction
    return Progress(step, total, str(data.get("message") or ""), fraction, elapsed, remaining)


def events_of(job: Job) -> list[JobEvent]:
    """What happened to a job, oldest first."""
    return list(JobEvent.objects.filter(job_id=job.pk))


def job_summary(job: Job, *, history: bool = False) -> JobSummary:
    """Everything a page needs of one job; `history` adds its attempts and events (two queries)."""
    return JobSummary(
        job=job,
        progress=progress_of(job),
        waited=_seconds(job.queued_at, job.started_at or job.finished_at),
        ran=_seconds(job.started_at, job.finished_at),
        attempts=list(job.attempts.all()) if history else [],
        events=events_of(job) if history else [],
    )


def jobs_of(project: Project, *, states: Iterable[str] = (), kind: str = "", q: str = "") -> QuerySet[Job]:
    """Jobs of a project, filtered. `q` searches the title.

    Raises Invalid "job.state_unknown" for a state that does not exist.
    """
    # A result may have megabytes, and no list shows it.
    found = Job.objects.filter(project=project).select_related("created_by").defer("spec", "result")
    wanted = list(states)
    for state in wanted:
        if state not in JobState.values:
            raise Invalid(
                "job.state_unknown",
                f"'{state[:40]}' is not a state of a job; use one of {', '.join(JobState.values)}.",
                {"states": JobState.values},
            )
    if wanted:
        found = found.filter(state__in=wanted)
    if kind:
        found = found.filter(kind=kind)
    if q:
        found = found.filter(title__icontains=q.replace("\x00", ""))
    return found


def has_live(project: Project) -> bool:
    """Whether any job of a project is queued or held."""
    return Job.objects.filter(project=project).live().exists()


def count_running(project: Project) -> int:
    """How many jobs of a project a worker holds now."""
    return Job.objects.filter(project=project).active().count()


def live_jobs(projects: Iterable[Project] | QuerySet[Project], limit: int = 8) -> list[Job]:
    """The newest jobs that are queued or held, for the pill in the top bar."""
    found = Job.objects.filter(project__in=projects, state__in=LIVE).select_related("project", "created_by")
    found = found.defer("spec", "result")
    return list(found.order_by("-created_at")[:limit])


def latest_job(subject_kind: str, subject_id: object) -> Job | None:
    """The newest job about an object."""
    return Job.objects.about(subject_kind, subject_id).order_by("-created_at", "-id").first()


def process_state(kind: str) -> str:
    """Whether a process of the studio (worker, scheduler, serving) gives signs of life: "ready" or what is
    missing. Under a keeper only processes of its present run count."""
    from django.conf import settings

    return nodes.process_state(kind, settings.CONFIG.generation)
