"""The reaper ends attempts whose lease has run out; the sweeper rings again for work that nobody took."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from adapters.executors.local import clear_folder
from adapters.executors.protocol import LOG_NAME
from apps.jobs import logs, rules
from apps.jobs.actions import nudge
from apps.jobs.attempts import EXPIRED, WORKER_LOST, Ending, finish
from apps.jobs.models import Job, Outbox, Worker
from apps.jobs.states import ACTIVE, Outcome
from apps.jobs.turns import overlooked

logger = logging.getLogger(__name__)
BATCH = 500


def reap() -> int:
    """End every attempt whose lease is over (or absent) as lost. Returns how many were ended.

    Safe on any number of nodes: each end is fenced and looks at the lease again under the row's lock.
    """
    held = Job.objects.filter(state__in=ACTIVE).filter(EXPIRED)
    ended = 0
    for job_id, fence, worker in list(held.values_list("pk", "fence", "worker")[:BATCH]):
        reason = f"The worker {worker} stopped answering." if worker else "No worker held this job."
        ending = Ending(Outcome.LOST, reason, WORKER_LOST)
        job = finish(job_id=job_id, fence=fence, ending=ending, only_expired=True)
        if job is not None:
            ended += 1
            logger.warning("job %s fence %s was lost by %s: now %s", job_id, fence, worker, job.state)
    return ended


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
