"""The life of an attempt: claim, heartbeat, running, and the one fenced end.

Every function here carries the fence and compares it in the same statement or under the same row lock, and
compares times only by the database's clock. A stale attempt gets None or False and must stop quietly.
"""

from __future__ import annotations

import datetime
import logging
import uuid
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F, FloatField, Func, Q
from django.db.models.functions import Now

from apps.accounts.tokens import end_job_tokens
from apps.jobs.handlers import handler_for
from apps.jobs.history import record_event, tell
from apps.jobs.models import Job, JobAttempt, Outbox
from apps.jobs.quotas.use import cpu_so_far, spend
from apps.jobs.retries import WORKER_LOST as WORKER_LOST
from apps.jobs.retries import Again, final, try_again
from apps.jobs.states import ACTIVE, TRANSITIONS, JobState, Outcome
from foundation.errors import AtelierError, Unavailable

logger = logging.getLogger(__name__)

# Ends that a request to cancel turns into a cancellation: it came first.
CANCEL_WINS = frozenset({Outcome.SUCCEEDED, Outcome.LOST, Outcome.CANCELLED})


SECONDS_HELD = Func(
    Now() - F("started_at"),
    template="EXTRACT(EPOCH FROM %(expressions)s)",
    output_field=FloatField(),
)
# A lease that is absent has run out, too: a comparison alone would never find it.
EXPIRED = Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lt=Now())


@dataclass(frozen=True)
class Ending:
    """How an attempt ended, as its supervisor or the reaper saw it."""

    outcome: str
    reason: str = ""
    error_code: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    files: Path | None = None
    charged: bool = True
    exit_code: int | None = None
    cpu_seconds: float | None = None
    max_rss: int | None = None
    wall_seconds: float | None = None
    log_key: str = ""
    log_bytes: int = 0
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Beat:
    """The answer to a heartbeat."""

    cancel_requested: bool


def claim(
    *,
    job_id: uuid.UUID | str,
    worker: str,
    tier: int,
    lease_seconds: float,
    admitted: Callable[[], bool] = lambda: True,
) -> Job | None:
    """Take a waiting job: one compare-and-set that raises the fence. None: somebody else has it, it is
    not due yet, or it is over; the message is simply dropped.

    admitted: asked first, in the same transaction: whether the job's team may hold one more.
    """
    with transaction.atomic():
        if not admitted():
            return None
        due = Job.objects.filter(pk=job_id, minimum_tier__lte=tier)
        due = due.filter(Q(not_before__isnull=True) | Q(not_before__lte=Now()))
        taken = TRANSITIONS.move(
            due,
            to=JobState.STARTING,
            frm=JobState.QUEUED,
            fence=F("fence") + 1,
            worker=worker,
            heartbeat_at=Now(),
            lease_expires_at=Now() + datetime.timedelta(seconds=lease_seconds),
        )
        if not taken:
            return None
        job = Job.objects.select_related("project", "created_by").get(pk=job_id)
        JobAttempt.objects.create(job=job, number=job.fence, worker=worker, tier=tier, started_at=Now())
        record_event(job, JobState.STARTING, detail={"worker": worker})
    return job


def heartbeat(
    *, job_id: uuid.UUID, fence: int, lease_seconds: float, progress: dict[str, Any] | None = None
) -> Beat | None:
    """Prolong the lease. None: this attempt has lost the job, kill everything and stop."""
    changes: dict[str, Any] = {
        "heartbeat_at": Now(),
        "lease_expires_at": Now() + datetime.timedelta(seconds=lease_seconds),
    }
    if progress is not None:
        changes["progress"] = progress
    mine = Job.objects.filter(pk=job_id, fence=fence, state__in=ACTIVE)
    return look(job_id=job_id, fence=fence) if mine.update(**changes) else None


def look(*, job_id: uuid.UUID, fence: int) -> Beat | None:
    """The heartbeat's answer without a write, for the seconds in between."""
    row = (
        Job.objects.filter(pk=job_id, fence=fence, state__in=ACTIVE)
        .values_list("cancel_requested_at")
        .first()
    )
    return None if row is None else Beat(cancel_requested=row[0] is not None)


def mark_running(
    *, job_id: uuid.UUID, fence: int, warm: bool | None = None, known: Job | None = None
) -> bool:
    """The first line of user code has been reached (for a platform job: run() is about to be called).

    known: the job as it was claimed, which saves reading it again.
    """
    with transaction.atomic():
        mine = Job.objects.filter(pk=job_id, fence=fence)
        if not TRANSITIONS.move(mine, to=JobState.RUNNING, frm=JobState.STARTING, started_at=Now()):
            return False
        job = mine.select_related("project").get() if known is None else copy(known)
        learn(job, "started_at", state=JobState.RUNNING.value)
        job.attempts.filter(number=fence).update(user_started_at=Now(), warm=warm)
        tell(job, "started")
        record_event(job, JobState.RUNNING)
    return True


def finish(*, job_id: uuid.UUID, fence: int, ending: Ending, only: Q | None = None) -> Job | None:
    """End an attempt exactly once. Returns the job in its new state, or None when this fence is stale (or, with
    `only`, a condition on the job, when that does not hold under the row's lock: EXPIRED for the reaper).

    Success calls the handler's complete() in the same transaction; when that refuses, everything is rolled
    back and the attempt ends as failed (AtelierError) or errored (a bug).
    """
    try:
        return _finish(job_id, fence, ending, only)
    except AtelierError as error:
        # A component that is down is nobody's fault: the attempt is repeated.
        outcome = Outcome.LOST if isinstance(error, Unavailable) else Outcome.FAILED
        refused = replace(
            ending, outcome=outcome, reason=error.message, error_code=error.code, detail=error.detail
        )
    except (OperationalError, InterfaceError, OSError):
        # The database went away (whether it committed is unknown: the supervisor asks again), or the disk is
        # full: the supervisor has the words for it.
        raise
    except Exception:
        if ending.outcome != Outcome.SUCCEEDED:
            raise
        logger.exception("complete() of job %s failed", job_id)
        refused = replace(ending, outcome=Outcome.ERRORED, reason=BUG, error_code="job.internal")
    return _finish(job_id, fence, refused)


BUG = (
    "Something went wrong on our side while the job's result was recorded; the worker's log has the details."
)


def _finish(job_id: uuid.UUID, fence: int, ending: Ending, only: Q | None = None) -> Job | None:
    with transaction.atomic():
        mine = Job.objects.filter(pk=job_id, fence=fence, state__in=ACTIVE)
        if only is not None:
            mine = mine.filter(only)
        # of=self: project and user are outer joins, which PostgreSQL does not lock.
        job = mine.select_related("project", "created_by").select_for_update(of=("self",)).first()
        if job is None:
            return None
        if job.cancel_requested_at is not None and ending.outcome in CANCEL_WINS:
            ending = replace(
                ending, outcome=Outcome.CANCELLED, reason=job.reason, error_code="job.cancelled", detail={}
            )
        cpu = cpu_so_far(job, ending.cpu_seconds)
        _close_attempt(job, ending)
        end_job_tokens(job_id=job.pk, fence=fence)
        again = try_again(job, ending)
        if again is not None:
            _requeue(job, ending, again)
        else:
            _end(job, final(job, ending))
        spend(job, cpu)
        return job


def _close_attempt(job: Job, ending: Ending) -> None:
    job.attempts.filter(number=job.fence).update(
        finished_at=Now(),
        outcome=ending.outcome,
        charged=ending.charged,
        reason=ending.reason,
        error_code=ending.error_code,
        exit_code=ending.exit_code,
        cpu_seconds=ending.cpu_seconds,
        max_rss=ending.max_rss,
        # Of a lost attempt nobody measured anything: what the database knows is the time it was held.
        wall_seconds=SECONDS_HELD if ending.wall_seconds is None else ending.wall_seconds,
        log_key=ending.log_key,
        log_bytes=ending.log_bytes,
    )


def _requeue(job: Job, ending: Ending, again: Again) -> None:
    due = Now() + datetime.timedelta(seconds=again.delay)
    TRANSITIONS.move(
        Job.objects.filter(pk=job.pk, fence=job.fence),
        to=JobState.QUEUED,
        worker="",
        lease_expires_at=None,
        heartbeat_at=None,
        started_at=None,
        queued_at=Now(),
        not_before=due if again.delay else None,
        progress={},
        reason="",
        error_code="",
        **again.budget,
    )
    Outbox.objects.create(job=job, queue=job.queue, due_at=due)
    with connection.cursor() as cursor:
        cursor.execute("NOTIFY atelier_outbox")
    job.refresh_from_db()
    record_event(
        job,
        JobState.QUEUED,
        message=ending.reason,
        detail={"outcome": str(ending.outcome), "charged": ending.charged, "delay_seconds": again.delay},
    )


def _end(job: Job, ending: Ending) -> None:
    state = JobState(str(ending.outcome))
    succeeded = state == JobState.SUCCEEDED
    changes: dict[str, Any] = {"finished_at": Now(), "lease_expires_at": None, "result": None}
    if succeeded:
        changes |= {"result": ending.result, "progress": _completed(job.progress)}
    TRANSITIONS.move(
        Job.objects.filter(pk=job.pk, fence=job.fence),
        to=state,
        reason=ending.reason,
        error_code=ending.error_code,
        **changes,
    )
    learn(
        job, "finished_at", "progress", state=state.value, reason=ending.reason, error_code=ending.error_code
    )
    job.lease_expires_at, job.result = None, ending.result if succeeded else None
    if succeeded:
        handler_for(job.kind).complete(job, ending.result, ending.files or Path())
    else:
        tell(job, "ended")
    detail = {k: v for k, v in {"code": ending.error_code, **ending.detail}.items() if v not in ("", None)}
    record_event(job, state, message=ending.reason, detail=detail)


def learn(job: Job, *later: str, **now_known: Any) -> None:
    """Take over what has just been written to the locked row. What only the database knows (its clock) is read when
    somebody asks for it, and the related rows that are known stay."""
    for name, value in now_known.items():
        setattr(job, name, value)
    for name in later:
        job.__dict__.pop(name, None)


def _completed(progress: dict[str, Any]) -> dict[str, Any]:
    """The last report may have been lost on the way: success means all steps."""
    total = progress.get("total")
    return {**progress, "step": total} if isinstance(total, int | float) else progress


def close_waiting(*, job_id: uuid.UUID, state: JobState, reason: str, actor: str = "", **fields: Any) -> bool:
    """End a job that nobody holds (cancelled while it waited). False when it is not waiting."""
    with transaction.atomic():
        waiting = Job.objects.filter(pk=job_id)
        if not TRANSITIONS.move(
            waiting, to=state, frm=JobState.QUEUED, finished_at=Now(), reason=reason, **fields
        ):
            return False
        job = waiting.select_related("project", "created_by").get()
        tell(job, "ended")
        record_event(job, state, message=reason, actor=actor)
    return True
