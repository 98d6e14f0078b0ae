"""News from pipelines, delivered after commit."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class PipelineRunStarted:
    """A run of a pipeline left the queue."""

    project_id: UUID
    pipeline_id: UUID
    run_id: UUID


@dataclass(frozen=True)
class PipelineRunFinished:
    """A run of a pipeline is over; state is succeeded, failed or cancelled."""

    project_id: UUID
    pipeline_id: UUID
    run_id: UUID
    state: str
