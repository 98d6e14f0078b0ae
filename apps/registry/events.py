"""News of the registry for the layers above, delivered after commit."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class AliasMoved:
    """An alias names another version now; version_id and number are None when it was removed."""

    project_id: UUID
    model_id: UUID
    model_name: str
    alias: str
    version_id: UUID | None
    number: int | None


@dataclass(frozen=True)
class PromotionMoved:
    """A promotion waits for an approval, or is over: its row says which."""

    project_id: UUID
    promotion_id: UUID


@dataclass(frozen=True)
class VersionRegistered:
    """A model has a new version."""

    project_id: UUID
    version_id: UUID
