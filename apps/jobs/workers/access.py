"""Who may see which workers, and who may change them.

Staff see and manage all. Members see the workers that may run the jobs of one of their projects. A job sees none:
its code is not trusted with the names of machines.
"""

from __future__ import annotations

import uuid

from django.db.models import Exists, Min, OuterRef, QuerySet
from django.db.models.functions import Coalesce

from apps.accounts.access import Actor, require_user, require_write, visible_projects
from apps.jobs.models import JobAttempt, TeamLimits, Worker
from foundation.errors import Forbidden, NotFound


def visible_workers(actor: Actor) -> QuerySet[Worker]:
    """Workers that the actor may see, those that are gone included."""
    workers = Worker.objects.filter(kind="worker")
    if sees_all(actor):
        return workers
    if actor.user is None or actor.job_id is not None:
        return workers.none()
    mine = visible_projects(actor)
    wanted = TeamLimits.objects.filter(team=OuterRef("team")).values("minimum_tier")[:1]
    weakest = mine.annotate(wanted=Coalesce(wanted, 0)).aggregate(weakest=Min("wanted"))["weakest"]
    if weakest is None:
        return workers.none()
    return workers.filter(tier__gte=weakest)


def sees_all(actor: Actor) -> bool:
    """Whether the actor is of the studio's staff, by themselves: neither a job nor a token for one project."""
    return (
        actor.user is not None
        and bool(actor.user.is_staff)
        and actor.job_id is None
        and actor.project_id is None
    )


def get_visible_worker(actor: Actor, key: str | uuid.UUID) -> Worker:
    """A worker by its id or its name. Raises Unauthenticated, NotFound "worker.not_found"."""
    require_user(actor)
    workers = visible_workers(actor)
    try:
        found = workers.filter(pk=uuid.UUID(str(key))).first()
    except ValueError:
        found = workers.filter(name=str(key).replace("\x00", "")).first()
    if found is None:
        raise NotFound("worker.not_found", "There is no such worker.", {"worker": str(key)[:120]})
    return found


def get_managed_worker(actor: Actor, key: str | uuid.UUID) -> Worker:
    """A worker that the actor may drain: staff only. Raises also Forbidden "worker.staff"."""
    worker = get_visible_worker(actor, key)
    require_write(actor)
    if not sees_all(actor):
        raise Forbidden("worker.staff", "Only the studio's staff drains workers and lets them work again.")
    return worker


def visible_attempts(actor: Actor, worker: Worker) -> QuerySet[JobAttempt]:
    """What ran on a worker, of projects that the actor may see (all for staff), newest first."""
    found = JobAttempt.objects.filter(worker=worker.name).select_related("job__project")
    if not sees_all(actor):
        found = found.filter(Exists(visible_projects(actor).filter(pk=OuterRef("job__project_id"))))
    return found.defer("job__spec", "job__result", "samples").order_by("-started_at", "-pk")
