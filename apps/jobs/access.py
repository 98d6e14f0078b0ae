"""Which jobs a request may see and stop. Not yours = NotFound; too small a role = Forbidden."""

from __future__ import annotations

import uuid

from apps.accounts.access import Actor, check_role, require_write, role_in_project
from apps.accounts.models import Project
from apps.accounts.states import Role
from apps.jobs.models import Job
from foundation.errors import NotFound


def get_visible_job(actor: Actor, project: Project, job_id: str | uuid.UUID) -> Job:
    """A job of a project that the actor may see (the caller has checked the project).

    Raises NotFound "job.not_found", also for what is not an id at all.
    """
    try:
        key = job_id if isinstance(job_id, uuid.UUID) else uuid.UUID(str(job_id))
    except ValueError:
        key = None
    jobs = Job.objects.select_related("project", "created_by")
    job = jobs.filter(pk=key, project=project).first() if key else None
    if job is None:
        raise NotFound("job.not_found", "There is no such job in this project.", {"id": str(job_id)[:60]})
    return job


def get_editable_job(actor: Actor, project: Project, job_id: str | uuid.UUID) -> Job:
    """A job that the actor may stop: contributors and above. Raises NotFound, Forbidden."""
    job = get_visible_job(actor, project, job_id)
    require_write(actor)
    check_role(role_in_project(actor, project), Role.CONTRIBUTOR)
    return job
