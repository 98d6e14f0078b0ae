"""The history of a job: events that are only ever added, and the owner of the job being told."""

from __future__ import annotations

import logging
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from apps.jobs.events import JobMoved
from apps.jobs.handlers import handler_for
from apps.jobs.models import Job, JobEvent
from foundation.events import publish

logger = logging.getLogger(__name__)


def record_event(
    job: Job, kind: str, *, message: str = "", actor: str = "", detail: dict[str, Any] | None = None
) -> None:
    """Append to the job's history and publish JobMoved for the state it is in."""
    JobEvent.objects.create(
        at=Now(),
        job_id=job.pk,
        fence=job.fence,
        kind=str(kind),
        message=message,
        actor=actor[:160],
        detail=detail or {},
    )
    publish(
        JobMoved(
            job.pk, job.project_id, job.kind, str(job.state), job.fence, job.subject_kind, job.subject_id
        )
    )


def tell(job: Job, method: str) -> None:
    """Call the handler's started() or ended() in a savepoint: its bug must not keep the job from moving."""
    try:
        handler = handler_for(job.kind)
        if handler.has(method):
            with transaction.atomic():
                getattr(handler, method)(job)
    except Exception:
        logger.exception("%s() of %s %s failed", method, job.kind, job.pk)
        record_event(job, "handler_error", message=f"The owner of this job could not be told: {method}.")
