"""News of studies for the layers above, delivered after commit."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class StudyFinished:
    """A study is over; state is stopped, completed or failed."""

    study_id: UUID
    project_id: UUID
    state: str


@dataclass(frozen=True)
class TrialFinished:
    """A trial was told its result; state is complete, pruned or failed."""

    study_id: UUID
    project_id: UUID
    number: int
    state: str
