"""The processes of the studio as rows: they register, give signs of life, and say goodbye."""

from __future__ import annotations

import datetime
import os
import secrets
import socket
from collections.abc import Sequence

from django.db.models import QuerySet
from django.db.models.functions import Now

from apps.jobs import rules
from apps.jobs.models import Worker

KEPT_DAYS = 7


def register(
    *,
    kind: str,
    generation: str = "",
    queues: Sequence[str] = (),
    slots: int = 0,
    tier: int = 0,
    version: str = "",
) -> Worker:
    """Make the row of this process. Its name is unique: a restarted process is another worker."""
    host = socket.gethostname()[:60]
    return Worker.objects.create(
        name=f"{host}/{kind}-{os.getpid()}-{secrets.token_hex(2)}",
        kind=kind,
        generation=generation[:80],
        host=host,
        pid=os.getpid(),
        queues=list(queues),
        slots=slots,
        tier=tier,
        version=version,
        started_at=Now(),
        heartbeat_at=Now(),
    )


def beat(name: str) -> None:
    """A sign of life."""
    Worker.objects.filter(name=name).update(heartbeat_at=Now())


def say_draining(name: str) -> None:
    """No new work is taken."""
    Worker.objects.filter(name=name).update(draining=True)


def say_stopped(name: str) -> None:
    """It ended by itself, not by accident."""
    Worker.objects.filter(name=name).update(stopped_at=Now())


def process_state(kind: str, generation: str = "") -> str:
    """ "ready" when a process of the kind lives (of this run of the keeper, where there is one); else what
    is missing, in a word or two."""
    rows = Worker.objects.filter(kind=kind, stopped_at__isnull=True)
    if generation:
        rows = rows.filter(generation=generation)
    if not rows.exists():
        return "not started"
    limit = Now() - datetime.timedelta(seconds=max(rules.LEASE, 15.0))
    return "ready" if rows.filter(heartbeat_at__gte=limit).exists() else "silent"


def living() -> QuerySet[Worker]:
    """Workers that give signs of life and take work."""
    return Worker.objects.filter(
        kind="worker",
        draining=False,
        stopped_at__isnull=True,
        heartbeat_at__gte=Now() - datetime.timedelta(seconds=rules.LEASE),
    )


def living_workers() -> int:
    """How many there are."""
    return living().count()


def forget_old() -> int:
    """Remove the rows of processes that ended long ago. Returns how many."""
    limit = Now() - datetime.timedelta(days=KEPT_DAYS)
    return Worker.objects.filter(heartbeat_at__lt=limit).delete()[0]
