"""The processes of the studio as rows: they register, give signs of life, and say goodbye."""

from __future__ import annotations

import datetime
import json
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection
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
    resources: Mapping[str, Any] | None = None,
    about: Mapping[str, Any] | None = None,
    name: str = "",
) -> Worker:
    """Make the row of this process. Its name is unique: a restarted process is another worker. `name`: that of a
    row that was removed although its process lives."""
    host = socket.gethostname()[:60]
    return Worker.objects.create(
        name=name or f"{host}.{kind}-{os.getpid()}-{secrets.token_hex(2)}",
        kind=kind,
        generation=generation[:80],
        host=host,
        pid=os.getpid(),
        queues=list(queues),
        slots=slots,
        tier=tier,
        version=version,
        resources=dict(resources or {}),
        about=dict(about or {}),
        started_at=Now(),
        heartbeat_at=Now(),
    )


def beat(name: str) -> None:
    """A sign of life."""
    Worker.objects.filter(name=name).update(heartbeat_at=Now())


def check_in(name: str, news: Mapping[str, Any]) -> bool | None:
    """A sign of life with news about the worker. Returns whether somebody asked it to take no new work; None when
    its row is gone."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_worker SET heartbeat_at = statement_timestamp(), about = about || %s::jsonb "
            "WHERE name = %s RETURNING draining",
            [json.dumps(dict(news)), name],
        )
        row = cursor.fetchone()
    return None if row is None else bool(row[0])


def say_ending(name: str) -> None:
    """It was told to end: no new work is taken, and nobody can change that."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_worker SET draining = true, about = about || '{\"ending\": true}' WHERE name = %s",
            [name],
        )


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
