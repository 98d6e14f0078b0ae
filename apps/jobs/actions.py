"""Writes that people and other apps ask for: submit a job, ask it to stop."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now

from apps.accounts.access import SYSTEM, Actor
from apps.accounts.audit import record_audit
from apps.accounts.models import Project, User
from apps.jobs.attempts import close_waiting
from apps.jobs.handlers import handler_for
from apps.jobs.history import record_event
from apps.jobs.models import Job, Outbox
from apps.jobs.placement import Placement
from apps.jobs.quotas import checks
from apps.jobs.states import TRANSITIONS, JobState, Where
from foundation.errors import Conflict
from foundation.ids import uuid7

CHANNEL = "atelier_outbox"


def nudge() -> None:
    """Wake the relay when the current transaction commits (PostgreSQL delivers NOTIFY at commit only).

    Nothing is published from here: with Valkey down that would block a request for seconds.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"NOTIFY {CHANNEL}")


def submit(
    *,
    kind: str,
    project: Project | None,
    created_by: User | None,
    spec: dict[str, Any],
    title: str,
    subject: tuple[str, str] | None = None,
    placement: Placement | None = None,
    queue: str = "cpu",
    priority: int = 0,
    timeout: int | None = None,
    user_retries: int = 0,
    job_id: uuid.UUID | None = None,
    parent: Job | None = None,
    not_before: datetime.datetime | None = None,
) -> Job:
    """Accept work: the job, its first event and its outbox row, in the caller's transaction.

    subject: (kind, id) of the object the job is about. timeout: seconds that an attempt may run.
    placement: queue, needs and priority as somebody asked for them; `queue` and `priority` where nobody can ask.
    user_retries: how often a *failed* attempt is repeated (lost attempts have their own budget).
    Raises LookupError for a kind that no app handles, and what quotas.checks.check_start raises when the team
    has used up what it may.
    """
    handler = handler_for(kind)
    where = placement or Placement(queue=queue, priority=priority)
    with transaction.atomic():
        sandboxed = handler.where == Where.SANDBOX
        minimum_tier = checks.check_start(project) if project is not None and sandboxed else 0
        job = Job.objects.create(
            id=job_id or uuid7(),
            kind=kind,
            where=handler.where,
            project=project,
            created_by=created_by,
            parent=parent,
            title=title[:200],
            subject_kind=subject[0] if subject else "",
            subject_id=str(subject[1]) if subject else "",
            spec=spec,
            queue=where.queue,
            priority=where.priority,
            resources=where.needs.stored(),
            minimum_tier=minimum_tier,
            timeout_seconds=timeout,
            user_retries_left=user_retries,
            not_before=not_before,
        )
        record_event(job, JobState.QUEUED, actor=created_by.username if created_by else "Atelier")
        Outbox.objects.create(job=job, queue=where.queue, **({"due_at": not_before} if not_before else {}))
        nudge()
    return job


def ring_later(job_id: uuid.UUID | str, *, seconds: float) -> None:
    """Ring once more for a job that still waits, after a while."""
    with transaction.atomic():
        waiting = Job.objects.filter(pk=job_id, state=JobState.QUEUED).values_list("queue", flat=True).first()
        if waiting is not None:
            Outbox.objects.create(
                job_id=job_id, queue=waiting, due_at=Now() + datetime.timedelta(seconds=seconds)
            )


def request_cancel(*, job: Job, actor: Actor = SYSTEM, reason: str = "") -> Job:
    """Ask a job to stop. A waiting one is cancelled at once; a held one becomes *stopping* until its
    supervisor has ended the child. Asking twice changes nothing.

    Raises Conflict "job.finished" when it is already over.
    """
    sentence = reason or f"Cancelled by {actor.label}."
    with transaction.atomic():
        # Locked, so that it cannot slip from one state to another (taken, given back) between the two moves.
        Job.objects.select_for_update(of=("self",)).filter(pk=job.pk).first()
        asked: dict[str, Any] = {"cancel_requested_at": Now(), "cancel_requested_by": actor.user}
        if close_waiting(
            job_id=job.pk,
            state=JobState.CANCELLED,
            reason=sentence,
            error_code="job.cancelled",
            actor=actor.label,
            **asked,
        ):
            _audit(job, actor)
        elif TRANSITIONS.move(
            Job.objects.filter(pk=job.pk),
            to=JobState.STOPPING,
            frm=[JobState.STARTING, JobState.RUNNING],
            reason=sentence,
            **asked,
        ):
            job.refresh_from_db()
            record_event(job, JobState.STOPPING, message=sentence, actor=actor.label)
            _audit(job, actor)
        job.refresh_from_db()
    if job.state != JobState.STOPPING and job.cancel_requested_at is None:
        raise Conflict(
            "job.finished", f"This job is already over: it {_past(job.state)}.", {"state": job.state}
        )
    return job


def _audit(job: Job, actor: Actor) -> None:
    record_audit(
        actor=actor,
        action="job.cancel",
        project=job.project,
        subject_kind="job",
        subject_id=job.pk,
        subject_title=job.title,
        detail={"kind": job.kind},
    )


def _past(state: str) -> str:
    return {"timed_out": "ran out of time", "cancelled": "was cancelled"}.get(state, state)
