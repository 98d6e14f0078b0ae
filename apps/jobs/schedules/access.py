"""Which schedules reach a request: those of a visible project. Anything else is NotFound."""

from __future__ import annotations

import uuid

from apps.accounts.models import Project
from apps.jobs.schedules.models import Schedule
from foundation.errors import NotFound


def get_schedule(project: Project, schedule_id: str | uuid.UUID) -> Schedule:
    """The schedule of that id in a project the caller was already let into. Raises NotFound."""
    try:
        key = schedule_id if isinstance(schedule_id, uuid.UUID) else uuid.UUID(str(schedule_id))
    except ValueError:
        key = uuid.UUID(int=0)
    schedules = Schedule.objects.select_related("project", "created_by", "acts_as")
    found = schedules.filter(pk=key, project=project).first()
    if found is None:
        raise NotFound("schedule.not_found", "There is no such schedule in this project.")
    return found
