"""Reads of environments: what pages and the API show."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from apps.accounts.models import Project
from apps.environments.models import Environment, EnvironmentFolder, EnvironmentUse
from apps.jobs.models import Job
from apps.jobs.states import LIVE
from apps.lineage.models import Node

SHOWN_USES = 50


def environments_of(project: Project, *, q: str = "", trashed: bool = False) -> QuerySet[Environment]:
    """A project's environments with how often (`used`), by how many live jobs (`live`), and on how many hosts they
    are (`hosts`, `on_disk` in bytes over all of them). `q` searches name and requirements."""
    folders = EnvironmentFolder.objects.filter(digest=OuterRef("digest")).exclude(digest="")
    rows: QuerySet[Environment] = Environment.objects.filter(project=project, deleted_at__isnull=not trashed)
    rows = rows.select_related("project", "created_by").defer("lock", "packages")
    rows = rows.annotate(
        used=Count("uses", distinct=True),
        live=Count("uses", filter=Q(uses__job__state__in=LIVE), distinct=True),
        hosts=Coalesce(Subquery(folders.order_by().values("digest").annotate(n=Count("pk")).values("n")), 0),
        on_disk=Coalesce(
            Subquery(folders.order_by().values("digest").annotate(n=Sum("size")).values("n")), 0
        ),
    )
    text = q.replace("\x00", "").strip()
    return rows.filter(Q(name__icontains=text) | Q(requirements__icontains=text)) if text else rows


def choices_of(project: Project) -> list[tuple[str, str]]:
    """The environments that a run may name, the last used first: (name, what to read beside it)."""
    rows = Environment.objects.alive().filter(project=project).exclude(state="failed")
    found = rows.order_by("-used_at", "-created_at").only("name", "requirements", "state")[:100]
    return [(row.name, f"{row.name} · {first_lines(row.requirements)}") for row in found]


def first_lines(requirements: str, limit: int = 60) -> str:
    """Requirements in one short line."""
    text = ", ".join(line for line in requirements.splitlines() if not line.startswith("#"))
    return text if len(text) <= limit else text[: limit - 1].rstrip(", ") + "…"


@dataclass(frozen=True)
class UseRow:
    """A job that ran in an environment, and where its object has its page."""

    job: Job
    title: str
    url: str


def uses_of(environment: Environment) -> list[UseRow]:
    """The newest jobs that use it; two queries."""
    uses = EnvironmentUse.objects.filter(environment=environment).select_related("job")
    jobs = [use.job for use in uses.order_by("-created_at")[:SHOWN_USES]]
    nodes = {
        node.key: node for node in Node.objects.filter(kind="run", key__in=[job.subject_id for job in jobs])
    }
    slug = environment.project.slug
    return [
        UseRow(
            job,
            nodes[job.subject_id].title if job.subject_id in nodes else job.title,
            nodes[job.subject_id].url if job.subject_id in nodes else f"/p/{slug}/jobs/{job.pk}",
        )
        for job in jobs
    ]


def folders_of(environment: Environment) -> list[EnvironmentFolder]:
    """On which hosts its packages lie."""
    if not environment.digest:
        return []
    return list(EnvironmentFolder.objects.filter(digest=environment.digest).order_by("host", "path"))


def environment_of_run(job_id: UUID) -> Environment | None:
    """The environment in which the job of a run runs; None for the studio's own."""
    use = EnvironmentUse.objects.filter(job_id=job_id).select_related("environment__project").first()
    return use.environment if use is not None else None
