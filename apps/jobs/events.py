"""Events of jobs, published on commit in the process that moved the job (they may be lost; rows are not)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass


@dataclass(frozen=True)
class JobMoved:
    """A job entered `state`. Terminal work that must not be lost belongs in handlers' complete() and ended()."""

    job_id: uuid.UUID
    project_id: uuid.UUID | None
    kind: str
    state: str
    fence: int
    subject_kind: str
    subject_id: str


@dataclass(frozen=True)
class ScheduleStopped:
    """A schedule switched itself off. user_id: in whose name it acted."""

    schedule_id: uuid.UUID
    project_id: uuid.UUID
    user_id: uuid.UUID | None
    reason: str
