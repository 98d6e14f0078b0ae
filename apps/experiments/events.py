"""News of experiments for the layers above, delivered after commit."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class RunFinished:
    """A run of the studio is over; state is one of the terminal states of jobs."""

    run_id: UUID
    project_id: UUID
    state: str


@dataclass(frozen=True)
class RuleApplied:
    """A rule of a run has applied: state is warned or stopped, place its place in Run.rules."""

    run_id: UUID
    project_id: UUID
    place: int
    state: str
    message: str


@dataclass(frozen=True)
class RunAdopted:
    """A stock client made a run, which now has its row."""

    run_id: UUID
    project_id: UUID


@dataclass(frozen=True)
class RunsCompared:
    """Somebody looked at runs side by side."""

    project_id: UUID
    user_id: UUID
