"""News of this app, published on commit."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class VersionReady:
    """A version can be used from now on."""

    project_id: UUID
    dataset_id: UUID
    version_id: UUID
    number: int


@dataclass(frozen=True)
class VersionFailed:
    """An upload could not be read."""

    project_id: UUID
    dataset_id: UUID
    version_id: UUID
    number: int
    code: str


@dataclass(frozen=True)
class DatasetTrashed:
    """A dataset went to the trash with all its versions."""

    project_id: UUID
    dataset_id: UUID


@dataclass(frozen=True)
class DatasetRestored:
    """A dataset came back from the trash."""

    project_id: UUID
    dataset_id: UUID
