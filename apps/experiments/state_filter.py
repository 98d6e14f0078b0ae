"""Runs by their state: MLflow knows five statuses, the studio nine states, and people ask for the studio's.

Where one status stands for several states, our own rows say which runs to take or to leave out; those are the
few that are on their way or went wrong by our fault or out of time.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from apps.accounts.models import Project
from apps.experiments.models import Run
from apps.jobs.states import JobState
from foundation.errors import Invalid

STATES = tuple(JobState.values)
#: State -> (MLflow's status, the states that share it and are not meant).
_BY_STATUS = {
    JobState.QUEUED: ("SCHEDULED", (JobState.STARTING,)),
    JobState.RUNNING: ("RUNNING", (JobState.STARTING, JobState.STOPPING)),
    JobState.SUCCEEDED: ("FINISHED", ()),
    JobState.FAILED: ("FAILED", (JobState.ERRORED,)),
    JobState.CANCELLED: ("KILLED", (JobState.TIMED_OUT,)),
}


@dataclass(frozen=True)
class StateFilter:
    """What to ask MLflow's tables for: a status ("": any), only these ids (None: all), without those."""

    status: str = ""
    only: Collection[str] | None = None
    without: Collection[str] = ()


def by_state(project: Project, state: str) -> StateFilter:
    """The filter of one state of the studio, of an empty word none. Raises Invalid "run.state_unknown"."""
    if not state:
        return StateFilter()
    if state not in STATES:
        raise Invalid(
            "run.state_unknown",
            f"Runs can be listed by state {', '.join(STATES)}; '{state[:40]}' is not one of them.",
            {"field": "state"},
        )
    if state not in _BY_STATUS:
        return StateFilter(only=_ids(project, state))
    status, others = _BY_STATUS[JobState(state)]
    return StateFilter(status, without=[one for other in others for one in _ids(project, other)])


def _ids(project: Project, state: str) -> list[str]:
    found = Run.objects.filter(project=project).in_state(state)
    return [key.hex for key in found.values_list("pk", flat=True)]
