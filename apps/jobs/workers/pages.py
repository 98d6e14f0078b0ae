"""What the pages of workers show: one context object for page and live fragment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest

from apps.accounts.access import Actor
from apps.jobs.models import JobAttempt, Worker
from apps.jobs.workers.access import sees_all, visible_attempts, visible_workers
from apps.jobs.workers.queries import (
    Record,
    Waiting,
    WorkerView,
    all_queues,
    gone,
    here,
    matching,
    record_of,
    views_of,
    waiting_by_queue,
)
from apps.jobs.workers.states import EXPLAINED, TIERS, WorkerState
from foundation.ui.listing import Listing, list_page, url_with

ORDERS = {"name": "name", "slots": "slots", "tier": "tier", "seen": "heartbeat_at", "started": "started_at"}
ATTEMPTS = 20
JOIN = """export ATELIER_DATABASE_URL=postgresql://atelier:…@db.example.org/atelier
export ATELIER_REDIS_URL=rediss://:…@cache.example.org:6379/0
export ATELIER_STORAGE_URL=s3://studio-data/atelier
export ATELIER_SECRET_KEY=…          # the studio's own
export ATELIER_INTERNAL_URL={url}
python3 manage.py worker --queues cpu --slots 4"""


def _seen_from_elsewhere(url: str) -> str:
    """The studio's address, unless it is one that only this machine knows."""
    host = urlsplit(url).hostname or ""
    return "http://studio.internal:8000" if host in ("localhost", "::1") or host.startswith("127.") else url


@dataclass(frozen=True)
class WorkersPage:
    """The workers that are here (or those that are gone), what waits, and how to add one."""

    listing: Listing
    rows: list[WorkerView]
    gone: bool
    queues: list[str]
    queue: str
    waiting: list[Waiting]
    poll_url: str
    staff: bool
    join: str
    embedded: bool

    @classmethod
    def build(cls, request: HttpRequest, actor: Actor, *, past: bool) -> WorkersPage:
        """From the request's filters. past: those that are gone."""
        mine = visible_workers(actor)
        queue = request.GET.get("queue", "")
        found = matching(gone(mine) if past else here(mine), q=request.GET.get("q", ""), queue=queue)
        listing = list_page(request, found, orders=ORDERS, default="-seen" if past else "name")
        staff = sees_all(actor)
        return cls(
            listing=listing,
            rows=views_of(actor, list(listing.rows)),
            gone=past,
            queues=all_queues(here(mine)),
            queue=queue,
            waiting=[] if past else waiting_by_queue(actor),
            poll_url=url_with(request),
            staff=staff,
            join=JOIN.format(url=_seen_from_elsewhere(settings.CONFIG.public_url)),
            embedded=settings.CONFIG.embedded_database,
        )

    @property
    def slots(self) -> int:
        """Of all workers on the page that take work."""
        return sum(row.worker.slots for row in self.rows if row.state == WorkerState.READY)

    @property
    def running(self) -> int:
        """Jobs that they hold."""
        return sum(row.running for row in self.rows)

    @property
    def unserved(self) -> list[Waiting]:
        """Queues on which jobs wait although nobody serves them."""
        return [one for one in self.waiting if not one.served]

    @property
    def queued(self) -> int:
        """Jobs that wait."""
        return sum(one.count for one in self.waiting)


@dataclass(frozen=True)
class WorkerPage:
    """One worker: facts, what runs, what ran."""

    view: WorkerView
    staff: bool
    record: Record
    attempts: list[JobAttempt]
    tier_words: str
    explained: str
    alone_on: list[str] = field(default_factory=list)

    @classmethod
    def build(cls, actor: Actor, worker: Worker) -> WorkerPage:
        """`worker` comes from queries.with_state."""
        view = views_of(actor, [worker])[0]
        others = here(Worker.objects.filter(kind="worker", draining=False).exclude(pk=worker.pk))
        served = set(all_queues(others))
        return cls(
            view=view,
            staff=sees_all(actor),
            record=record_of(actor, worker),
            attempts=list(visible_attempts(actor, worker)[:ATTEMPTS]),
            tier_words=TIERS.get(worker.tier, ""),
            explained=EXPLAINED[view.state],
            alone_on=[queue for queue in worker.queues if queue not in served],
        )

    @property
    def worker(self) -> Worker:
        """The row."""
        return self.view.worker

    @property
    def drain_text(self) -> str:
        """What a drain means here, for the dialog."""
        text = "It takes nothing new from now on; what runs there goes on to its end. You can let it work again at any time."
        if self.alone_on:
            names = ", ".join(self.alone_on)
            text += f" No other worker serves the queue{'' if len(self.alone_on) == 1 else 's'} {names}: jobs of it will wait."
        return text

    @property
    def facts(self) -> dict[str, Any]:
        """What the worker told of its machine, for staff."""
        names = ("system", "machine", "python", "processors", "memory_bytes", "internal_url")
        return {name: self.worker.about.get(name) for name in names} if self.staff else {}
