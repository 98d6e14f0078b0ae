"""Jobs that wait for something to be prepared first: accepted, but not due until whoever prepares it says so.

A held job is an ordinary queued one whose time has not come: `submit(…, not_before=HELD)`. What releases or ends it
runs in the transaction in which the thing becomes ready or fails, so that nothing waits for ever.
"""

from __future__ import annotations

import datetime

from django.db import connection, transaction
from django.db.models import QuerySet

from apps.jobs.attempts import close_waiting
from apps.jobs.models import Job, Outbox
from apps.jobs.states import JobState

#: Later than every real time, and a time that every library can show.
HELD = datetime.datetime(3000, 1, 1, tzinfo=datetime.UTC)


def hold(job: Job, *, waits_for: str) -> None:
    """Say on a held job's page what it waits for ("the environment boost")."""
    job.progress = {"message": f"Waits for {waits_for}."}
    Job.objects.filter(pk=job.pk, state=JobState.QUEUED).update(progress=job.progress)


def is_held(job: Job) -> bool:
    """Whether a waiting job is held."""
    return job.state == JobState.QUEUED and job.not_before is not None and job.not_before >= HELD


def release(jobs: QuerySet[Job]) -> int:
    """Let the held ones among `jobs` begin. Returns how many."""
    with transaction.atomic():
        held = list(_held(jobs).select_for_update(of=("self",)).values_list("pk", "queue"))
        keys = [pk for pk, _ in held]
        Job.objects.filter(pk__in=keys).update(not_before=None, progress={})
        Outbox.objects.filter(job_id__in=keys).delete()
        Outbox.objects.bulk_create(Outbox(job_id=pk, queue=queue) for pk, queue in held)
        if held:
            with connection.cursor() as cursor:
                cursor.execute("NOTIFY atelier_outbox")
    return len(held)


def end_held(jobs: QuerySet[Job], *, reason: str, error_code: str) -> int:
    """End the held ones among `jobs` as failed, with a sentence. Returns how many."""
    ended = 0
    for pk in list(_held(jobs).values_list("pk", flat=True)):
        ended += close_waiting(job_id=pk, state=JobState.FAILED, reason=reason, error_code=error_code)
        Outbox.objects.filter(job_id=pk).delete()
    return ended


def _held(jobs: QuerySet[Job]) -> QuerySet[Job]:
    return jobs.filter(state=JobState.QUEUED, not_before__gte=HELD)
