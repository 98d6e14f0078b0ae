"""Let a worker take no new work, and let it work again."""

from __future__ import annotations

from django.db import transaction

from apps.accounts.access import Actor
from apps.accounts.audit import record_audit
from apps.jobs.models import Worker
from foundation.errors import Conflict


def drain(*, actor: Actor, worker: Worker) -> Worker:
    """From its next sign of life on (some five seconds) it takes nothing new; what runs goes on to its end.

    Twice changes nothing. Raises Conflict "worker.gone".
    """
    return _set(actor, worker, draining=True)


def resume(*, actor: Actor, worker: Worker) -> Worker:
    """It takes work again. Twice changes nothing. Raises Conflict "worker.gone", "worker.ending"."""
    return _set(actor, worker, draining=False)


def _set(actor: Actor, worker: Worker, *, draining: bool) -> Worker:
    with transaction.atomic():
        row = Worker.objects.select_for_update().get(pk=worker.pk)
        if row.stopped_at is not None:
            raise Conflict("worker.gone", f"The worker {row.name} has ended.")
        if not draining and row.about.get("ending"):
            raise Conflict("worker.ending", f"The worker {row.name} was told to end; start it again instead.")
        if row.draining != draining:
            Worker.objects.filter(pk=row.pk).update(draining=draining)
            record_audit(
                actor=actor,
                action="worker.drain" if draining else "worker.resume",
                subject_kind="worker",
                subject_id=row.pk,
                subject_title=row.name,
                detail={"host": row.host},
            )
    row.refresh_from_db()
    return row
