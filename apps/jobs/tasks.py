"""The job engine's own chores."""

from __future__ import annotations

import datetime
import uuid
from pathlib import Path

from adapters.executors.local import clear_folder
from adapters.executors.protocol import LOG_NAME
from apps.accounts.idempotency import answers
from apps.jobs import logs, nodes, rules
from apps.jobs.checkpoints import keeping
from apps.jobs.chores import chore
from apps.jobs.models import Job, JobAttempt
from apps.jobs.reaper import reap, sweep
from apps.jobs.schedules import firing
from apps.jobs.states import ACTIVE
from apps.jobs.workers import pieces
from foundation.clock import now
from foundation.partitions import ensure_months


@chore("jobs.reap", every=min(5.0, rules.LEASE / 4))
def reap_lost() -> None:
    """Attempts whose worker has gone."""
    reap()


@chore("jobs.sweep", every=min(5.0, rules.OVERDUE / 2))
def sweep_waiting() -> None:
    """Waiting work whose message was lost."""
    sweep()


@chore("jobs.partitions", every=6 * 3600)
def make_partitions() -> None:
    """Next months' partitions of the append-only tables."""
    ensure_months(today=now().date())


@chore("jobs.housekeeping", every=600)
def tidy() -> None:
    """Rows of processes and firings that ended long ago, answers whose Idempotency-Key is a day old, folders of
    attempts that a killed worker left behind, checkpoints of jobs that ended a week ago."""
    nodes.forget_old()
    answers.forget_old()
    firing.forget_old()
    keeping.forget_old()
    clear_attempts()


@chore("jobs.pieces", every=15.0)
def settle_logs() -> None:
    """Logs of attempts whose machine has gone."""
    pieces.settle()


@chore("jobs.schedules", every=1.0)
def fire_schedules() -> None:
    """Schedules that are due."""
    firing.fire_due()


def clear_attempts(*, older_than: datetime.timedelta = datetime.timedelta(hours=1)) -> int:
    """Remove attempts/<job>/ of this machine where the job is over or unknown and nothing was written for a
    while; the logs of lost attempts are kept. Returns how many."""
    from django.conf import settings

    base = Path(settings.CONFIG.attempts_dir)
    if not base.is_dir():
        return 0
    limit = (now() - older_than).timestamp()
    old: dict[uuid.UUID, Path] = {}
    for folder in base.iterdir():
        try:
            if not folder.is_symlink() and folder.stat().st_mtime < limit:
                old[uuid.UUID(folder.name)] = folder
        except (ValueError, OSError):
            continue
    held = set(Job.objects.filter(pk__in=old, state__in=ACTIVE).values_list("pk", flat=True))
    for key, folder in old.items():
        if key not in held:
            _keep_logs(key, folder)
            clear_folder(folder)
    return len(old) - len(held)


def _keep_logs(job_id: uuid.UUID, folder: Path) -> None:
    for attempt in JobAttempt.objects.filter(job_id=job_id, log_key="", finished_at__isnull=False):
        key, size = logs.keep(folder / str(attempt.number) / LOG_NAME, job_id, attempt.number)
        if key:
            JobAttempt.objects.filter(pk=attempt.pk).update(log_key=key, log_bytes=size)
