"""News from deployments."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class DeploymentCreated:
    """A deployment exists; its first revision is being built."""

    deployment_id: UUID


@dataclass(frozen=True)
class RevisionReady:
    """A revision answers now."""

    deployment_id: UUID
    revision_id: UUID
    number: int


@dataclass(frozen=True)
class InferencesImported:
    """Past events were read in; times in UTC, both inclusive."""

    deployment_id: UUID
    start: datetime.datetime
    end: datetime.datetime
    rows: int


@dataclass(frozen=True)
class DeploymentBroke:
    """A deployment failed, or answers but is degraded."""

    deployment_id: UUID
    state: str
    reason: str
