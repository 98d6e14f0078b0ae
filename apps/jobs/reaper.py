"""The reaper ends attempts whose lease has run out or that overstay a state; the sweeper rings again for work that
nobody took."""

from __future__ import annotations

import datetime
import logging
import os
import uuid
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from django.db import InterfaceError, OperationalError
from django.db.models import DurationField, ExpressionWrapper, F, Q, Value
from django.db.models.functions import Now

from adapters.executors.local import clear_folder
from adapters.executors.protocol import LOG_NAME
from apps.jobs import logs, rules
from apps.jobs.actions import nudge
from apps.jobs.attempts import EXPIRED, WORKER_LOST, Ending, finish
from apps.jobs.models import Job, Outbox, Worker
from apps.jobs.states import ACTIVE, JobState, Outcome
from apps.jobs.turns import overlooked
from apps.jobs.verdict import seconds

logger = logging.getLogger(__name__)
BATCH = 500
# Between a claim and the moment when its supervisor is known.
STRAY_SECONDS = 15.0
STRAYED = "The database went away while the worker took the job."
EndingOf = Callable[[Job], Ending]


def reap() -> int:
    """End every attempt whose lease is over (or absent) as lost, and every one that overstays its state. Returns
    how many were ended.

    Safe on any number of nodes: each end is fenced and looks at its reason again under the row's lock.
    """
    return sum(_end_where(condition, ending) for condition, ending in [(EXPIRED, _silent), *overstays()])


def overstays() -> list[tuple[Q, EndingOf]]:
    """What an attempt looks like whose worker gives signs of life and does not get it out of its state, and how it
    ends. A supervisor has limits of its own, which are shorter: these are for one that hangs."""
    second = Value(datetime.timedelta(seconds=1))
    given = ExpressionWrapper(F("timeout_seconds") * second, output_field=DurationField())
    starting = Q(state=JobState.STARTING, attempts__number=F("fence"))
    running = Q(state=JobState.RUNNING, timeout_seconds__isnull=False)
    return [
        (starting & Q(attempts__started_at__lt=_ago(2 * rules.START)), _never_began),
        (running & Q(started_at__lt=_ago(rules.GRACE + rules.OVERTIME) - given), _never_ended),
        (
            Q(state=JobState.STOPPING, cancel_requested_at__lt=_ago(rules.GRACE + rules.OVERSTOP)),
            _never_stopped,
        ),
    ]


def _end_where(condition: Q, ending_of: EndingOf) -> int:
    held = Job.objects.filter(condition, state__in=ACTIVE)
    ended = 0
    for job in list(held.only("pk", "fence", "worker", "timeout_seconds", "reason")[:BATCH]):
        ending = ending_of(job)
        try:
            done = finish(job_id=job.pk, fence=job.fence, ending=ending, only=condition)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            # Whatever is wrong with one must not keep the others waiting.
            logger.exception("job %s fence %s cannot be ended as %s", job.pk, job.fence, ending.error_code)
            continue
        if done is not None:
            ended += 1
            logger.warning(
                "job %s fence %s of %s: %s now %s",
                job.pk, job.fence, job.worker, ending.reason, done.state,
            )  # fmt: skip
    return ended


def _silent(job: Job) -> Ending:
    reason = f"The worker {job.worker} stopped answering." if job.worker else "No worker held this job."
    return Ending(Outcome.LOST, reason, WORKER_LOST)


def _never_began(job: Job) -> Ending:
    reason = (
        f"The worker {job.worker} did not get the program to its first line in {seconds(2 * rules.START)}."
    )
    return Ending(Outcome.LOST, reason, "job.start_timeout")


def _never_ended(job: Job) -> Ending:
    given = seconds(job.timeout_seconds)
    reason = f"It was given {given}, and the worker {job.worker} did not end it for long after that."
    return Ending(Outcome.TIMED_OUT, reason, "job.timeout")


def _never_stopped(job: Job) -> Ending:
    return Ending(Outcome.CANCELLED, job.reason or "Cancelled.", "job.cancelled")


def _ago(count: float) -> Any:
    return Now() - datetime.timedelta(seconds=count)


def reap_predecessors(*, host: str, attempts_dir: Path) -> int:
    """End the attempts that ran on this machine and home (their folder is here) under a worker whose process
    is gone: nobody has to wait for their leases. Returns how many were ended."""
    gone = {
        row.name
        for row in Worker.objects.filter(kind="worker", host=host, stopped_at__isnull=True)
        if row.pid == os.getpid() or not _is_process(row.pid)  # in a container the same pid comes again
    }
    ended = 0
    held = Job.objects.filter(state__in=ACTIVE, worker__in=gone).values_list("pk", "fence", "worker")
    for job_id, fence, worker in list(held):
        folder = attempts_dir / str(job_id) / str(fence)
        if folder.is_dir():
            key, size = logs.keep(folder / LOG_NAME, job_id, fence)
            reason = f"The process of the worker {worker} is gone."
            ending = Ending(Outcome.LOST, reason, WORKER_LOST, log_key=key, log_bytes=size)
            ended += finish(job_id=job_id, fence=fence, ending=ending) is not None
            clear_folder(folder)
    return ended


def give_back_strays(*, worker: str, watched: Collection[tuple[uuid.UUID, int]]) -> int:
    """Return to the queue, uncharged, what this worker holds and knows nothing of: the database took its claim and
    went away before it could say so. Returns how many."""
    held = Job.objects.filter(
        worker=worker,
        state__in=ACTIVE,
        attempts__number=F("fence"),
        attempts__started_at__lt=_ago(STRAY_SECONDS),
    )
    strays = [key for key in held.values_list("pk", "fence") if key not in watched]
    ending = Ending(Outcome.LOST, STRAYED, "job.database_lost", charged=False)
    return sum(finish(job_id=pk, fence=fence, ending=ending) is not None for pk, fence in strays)


def _is_process(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def sweep(*, overdue: float = rules.OVERDUE) -> int:
    """Put a new doorbell into the outbox for work that has waited `overdue` seconds although a slot is
    free: its message was lost. Returns how many. One ring is enough to wake a slot: a worker goes on with
    whatever else waits."""
    # Only what a living worker could take right now: for others nobody would hear the ring.
    found = overlooked(overdue)
    rung = set(Outbox.objects.filter(job_id__in=[pk for pk, _ in found]).values_list("job_id", flat=True))
    rows = [Outbox(job_id=pk, queue=queue) for pk, queue in found if pk not in rung]
    if rows:
        Outbox.objects.bulk_create(rows)
        nudge()
        logger.warning("%d jobs waited although a slot was free; they are rung for again", len(rows))
    return len(rows)
