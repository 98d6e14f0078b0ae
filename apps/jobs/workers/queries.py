"""What pages and REST tell of workers: one dataclass for both."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db.models import Case, CharField, Count, F, Q, QuerySet, Value, When
from django.db.models.functions import Now

from apps.accounts.access import Actor, visible_projects
from apps.jobs import nodes, rules
from apps.jobs.models import Job, Worker
from apps.jobs.placement import Needs, Placement
from apps.jobs.states import ACTIVE, JobState
from apps.jobs.workers import host
from apps.jobs.workers.access import sees_all, visible_attempts
from apps.jobs.workers.states import GONE_AFTER, WorkerState


@dataclass(frozen=True)
class WorkerView:
    """A worker as somebody sees it. jobs: those they may see; hidden: how many others run; taken: what all of them
    asked for."""

    worker: Worker
    state: WorkerState
    jobs: list[Job] = field(default_factory=list)
    hidden: int = 0
    taken: Needs = field(default_factory=Needs)

    @property
    def running(self) -> int:
        """Jobs that it holds."""
        return len(self.jobs) + self.hidden

    @property
    def is_here(self) -> bool:
        """Whether it has neither ended nor been silent for long."""
        return self.state != WorkerState.STOPPED and not self.long_silent

    @property
    def long_silent(self) -> bool:
        """Silent for so long that nobody expects it back."""
        return bool(getattr(self.worker, "is_gone", False))

    @property
    def can_drain(self) -> bool:
        """Whether it makes sense to ask it to take nothing new: one that is silent would not hear it."""
        return self.state == WorkerState.READY

    @property
    def can_resume(self) -> bool:
        """Whether it could be told to work again."""
        return self.state in (WorkerState.DRAINING, WorkerState.DRAINED)

    @property
    def reasons(self) -> list[str]:
        """Why its isolation tier is not higher."""
        told = (self.worker.about.get("isolation") or {}).get("reasons") or []
        return [str(reason) for reason in told] if isinstance(told, list) else [str(told)]

    @property
    def trouble(self) -> str:
        """What is wrong there, as far as is known: other code than here, or no way to web."""
        told = str(self.worker.about.get("web") or "")
        found = [] if told in ("", "ready") else [f"Its jobs cannot log their runs: {told}"]
        ours = host.release(settings.CONFIG.root)
        if self.worker.version not in ("", ours):
            found.append(
                f"It runs other code than web ({self.worker.version}, not {ours}): bring both to the same release."
            )
        return " ".join(found)

    @property
    def load(self) -> dict[str, Any]:
        """How busy the machine is, as it told with its last sign of life."""
        found = self.worker.about.get("load")
        if not isinstance(found, dict) or self.state in (WorkerState.SILENT, WorkerState.STOPPED):
            return {}
        return {name: found.get(name) for name in ("cpu_percent", "memory_used", "disk_free")}

    @property
    def offers(self) -> dict[str, Any]:
        """What its jobs may use together; None = it did not say."""
        return {name: self.worker.resources.get(name) for name in ("cpus", "memory_bytes", "gpus")}


_SILENT = Q(heartbeat_at__lt=Now() - datetime.timedelta(seconds=rules.LEASE))
_GONE = Q(stopped_at__isnull=False) | Q(heartbeat_at__lt=Now() - datetime.timedelta(seconds=GONE_AFTER))


def with_state(workers: QuerySet[Worker]) -> QuerySet[Worker]:
    """Annotated with what only the database's clock knows: is_silent, is_gone."""
    yes, no = Value(True), Value(False)
    return workers.annotate(
        is_silent=Case(When(_SILENT, then=yes), default=no),
        is_gone=Case(When(_GONE, then=yes), default=no),
    )


def here(workers: QuerySet[Worker]) -> QuerySet[Worker]:
    """Those that have neither ended nor been silent for long."""
    return with_state(workers).exclude(_GONE)


def gone(workers: QuerySet[Worker]) -> QuerySet[Worker]:
    """The others, as long as they are remembered (nodes.KEPT_DAYS)."""
    return with_state(workers).filter(_GONE)


def matching(workers: QuerySet[Worker], *, q: str = "", queue: str = "") -> QuerySet[Worker]:
    """Those whose name contains `q` and that serve `queue`."""
    if q:
        workers = workers.filter(name__icontains=q.replace("\x00", ""))
    return workers.filter(queues__contains=[queue.replace("\x00", "")]) if queue else workers


def views_of(actor: Actor, workers: Sequence[Worker]) -> list[WorkerView]:
    """What runs on each, in two queries: jobs of other people's projects are only counted."""
    held = Job.objects.filter(state__in=ACTIVE, worker__in=[worker.name for worker in workers])
    held = held.select_related("project").defer("spec", "result").order_by("-priority", "queued_at")
    jobs = list(held)
    seen = _seen(actor, jobs)
    of_worker: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        of_worker[job.worker].append(job)
    return [_view(worker, of_worker[worker.name], seen) for worker in workers]


def _seen(actor: Actor, jobs: Iterable[Job]) -> set[Any]:
    projects = {job.project_id for job in jobs if job.project_id}
    if not projects:
        return set()
    return set(visible_projects(actor).filter(pk__in=projects).values_list("pk", flat=True))


def _view(worker: Worker, held: list[Job], seen: set[Any]) -> WorkerView:
    shown = [job for job in held if job.project_id in seen]
    needs = [Placement.of(job).needs for job in held]
    taken = Needs(
        cpus=sum(need.cpus for need in needs),
        memory_bytes=sum(need.memory_bytes for need in needs),
        gpus=sum(need.gpus for need in needs),
    )
    return WorkerView(worker, state_of(worker, len(held)), shown, len(held) - len(shown), taken)


def state_of(worker: Worker, running: int) -> WorkerState:
    """From a row of `with_state` and how many jobs it holds."""
    if worker.stopped_at is not None:
        return WorkerState.STOPPED
    if getattr(worker, "is_silent", False):
        return WorkerState.SILENT
    if worker.about.get("ending"):
        return WorkerState.ENDING
    if worker.draining:
        return WorkerState.DRAINING if running else WorkerState.DRAINED
    return WorkerState.READY


@dataclass(frozen=True)
class Waiting:
    """Jobs that wait on a queue. served: whether a living worker takes jobs of it."""

    queue: str
    count: int
    served: bool

    @property
    def title(self) -> str:
        """That nobody serves it, in short."""
        return f"No worker serves the queue {self.queue}"

    @property
    def sentence(self) -> str:
        """What that means for what waits."""
        waits = "1 job waits" if self.count == 1 else f"{self.count:,} jobs wait"
        return (
            f"{waits} on it. They begin by themselves when a worker comes that was started with this queue."
        )


def waiting_by_queue(actor: Actor) -> list[Waiting]:
    """What waits on each queue, of projects that the actor may see (all for staff)."""
    jobs = Job.objects.filter(state=JobState.QUEUED)
    if not sees_all(actor):
        jobs = jobs.filter(project__in=visible_projects(actor))
    counted = jobs.order_by().values_list("queue").annotate(count=Count("pk"))
    served = {queue for queues in nodes.living().values_list("queues", flat=True) for queue in queues}
    return [Waiting(queue, count, queue in served) for queue, count in sorted(counted)]


@dataclass(frozen=True)
class Record:
    """How the attempts on a worker ended."""

    succeeded: int
    failed: int
    lost: int
    other: int


def record_of(actor: Actor, worker: Worker) -> Record:
    """Of what the actor may see."""
    label = Case(When(outcome="", then=Value("open")), default=F("outcome"), output_field=CharField())
    ended = visible_attempts(actor, worker).order_by().annotate(label=label)
    counted = dict(ended.values_list("label").annotate(count=Count("pk")))
    counted.pop("open", None)
    known = {name: counted.pop(name, 0) for name in ("succeeded", "failed", "lost")}
    return Record(**known, other=sum(counted.values()))


def all_queues(workers: QuerySet[Worker]) -> list[str]:
    """Names of the queues that any of them serves."""
    return sorted({queue for queues in workers.values_list("queues", flat=True) for queue in queues})
