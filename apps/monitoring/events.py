"""News from monitoring."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class ReportFinished:
    """A report has its windows."""

    monitor_id: UUID
    report_id: UUID
    opened: int


@dataclass(frozen=True)
class AlertOpened:
    """A feature drifted in a window for the first time."""

    monitor_id: UUID
    alert_id: UUID
    feature: str
