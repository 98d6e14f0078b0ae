"""What a queued job waits for, as a sentence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from django.db.models import Q
from django.db.models.functions import Now

from apps.jobs import nodes
from apps.jobs.holding import is_held
from apps.jobs.models import Job, TeamLimits, Worker
from apps.jobs.placement import Needs, Placement, fits, room_of, total_of
from apps.jobs.quotas.use import team_use
from apps.jobs.states import ACTIVE, JobState, Where
from foundation.clock import now
from foundation.ui.values import duration

COUNTED_AT_MOST = 1000


def why_it_waits(job: Job) -> str:
    """What has to happen before a queued job begins."""
    if is_held(job):
        return str(job.progress.get("message") or "Waits for something that is being prepared.")
    if job.not_before is not None and job.not_before > now():
        return "Waits for its next try." if job.fence else "Waits for its time."
    workers = list(nodes.living().filter(queues__contains=[job.queue]))
    problem = no_worker_for(job, workers)
    if problem:
        return f"Waits, because {problem}. It begins by itself when there is one."
    return _held_up_by_team(job) or f"Waits for {_room(job, workers)}{_ahead(job)}."


def no_worker_for(job: Job, workers: Sequence[Worker]) -> str:
    """Why none of the living workers that serve its queue will ever take a job; "" when one will."""
    if not workers:
        return "no worker is running" if job.queue == "cpu" else f"no worker serves the queue {job.queue}"
    fit = [worker for worker in workers if worker.tier >= job.minimum_tier]
    if not fit:
        best = max(worker.tier for worker in workers)
        return (
            f"it needs isolation tier {job.minimum_tier}, and the workers of the queue {job.queue} have tier {best} "
            "at most"
        )
    needs = Placement.of(job).needs
    totals = [total_of(worker.resources) for worker in fit]
    if any(fits(needs, total) for total in totals):
        return ""
    if needs.gpus > max(total.gpus for total in totals):
        what = f"{needs.gpus} GPU{'' if needs.gpus == 1 else 's'}"
    elif needs.memory_bytes > max(total.memory_bytes for total in totals):
        what = f"{needs.memory_bytes / 1e9:g} GB of memory"
    elif needs.cpus > max(total.cpus for total in totals):
        what = f"{needs.cpus:g} processors"
    else:
        what = f"all of {needs}"
    return f"no worker of the queue {job.queue} has {what}"


def _held_up_by_team(job: Job) -> str:
    if job.project is None:
        return ""
    limits = TeamLimits.objects.select_related("team").filter(team=job.project.team_id).first()
    if limits is None or (limits.concurrent_jobs is None and limits.cpu_seconds_per_day is None):
        return ""
    used = team_use(limits.team_id)
    if limits.concurrent_jobs is not None and used.jobs >= limits.concurrent_jobs:
        running = f"{used.jobs} job{'' if used.jobs == 1 else 's'}"
        return f"Waits, because the team {limits.team.name} runs {running}; its limit is {limits.concurrent_jobs} at once."
    spent = limits.cpu_seconds_per_day is not None and used.cpu_seconds >= limits.cpu_seconds_per_day
    if spent and job.where == Where.SANDBOX:
        return (
            f"Waits for midnight UTC, because the team {limits.team.name} has used the "
            f"{duration(limits.cpu_seconds_per_day)} of processor time that it has a day."
        )
    return ""


def _room(job: Job, workers: Sequence[Worker]) -> str:
    """What the workers lack: a slot, or in spite of a free slot what the job asked for."""
    needs = Placement.of(job).needs
    if not needs:
        return "a free slot"
    held: dict[str, list[Needs]] = defaultdict(list)
    found = Job.objects.filter(state__in=ACTIVE, worker__in=[worker.name for worker in workers])
    for name, resources in found.values_list("worker", "resources"):
        held[name].append(Needs.of(resources or {}))
    free = [worker for worker in workers if len(held[worker.name]) < worker.slots]
    short = all(not fits(needs, room_of(worker.resources, held[worker.name])) for worker in free)
    return f"{needs} to become free" if free and short else "a free slot"


def _ahead(job: Job) -> str:
    """How many of the project's own jobs go before this one on its queue."""
    before = Q(priority__gt=job.priority) | Q(priority=job.priority, queued_at__lt=job.queued_at)
    waiting = Job.objects.filter(before, state=JobState.QUEUED, queue=job.queue, project=job.project)
    due = waiting.filter(Q(not_before__isnull=True) | Q(not_before__lte=Now()))
    count = len(due.order_by().values_list("pk", flat=True)[:COUNTED_AT_MOST])
    if not count:
        return ""
    many = f"{COUNTED_AT_MOST:,} or more" if count == COUNTED_AT_MOST else f"{count:,}"
    return (
        f"; {many} {'job' if count == 1 else 'jobs'} of this project {'goes' if count == 1 else 'go'} first"
    )
