"""Reads that span relations: lists with their newest version, resolution of names, parts for a sandbox."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from apps.accounts.models import Project
from apps.datasets.models import Dataset, DatasetVersion, VersionProfile
from apps.datasets.states import VersionState

ORDERS = ("name", "created_at", "updated_at")


@dataclass
class DatasetSummary:
    """A dataset as lists show it. latest: its newest version whatever its state; ready: the newest usable one."""

    dataset: Dataset
    versions: int = 0
    latest: DatasetVersion | None = None
    ready: DatasetVersion | None = None

    @property
    def rows(self) -> int | None:
        """Of the newest usable version."""
        return self.ready.rows if self.ready is not None else None

    @property
    def columns(self) -> int | None:
        """Of the newest usable version."""
        return self.ready.columns if self.ready is not None else None

    @property
    def bytes(self) -> int | None:
        """Of the newest usable version."""
        return self.ready.bytes if self.ready is not None else None


def datasets_of(project: Project, *, q: str = "", trashed: bool = False) -> QuerySet[Dataset]:
    """Datasets of a project. `q` searches names and descriptions."""
    found: QuerySet[Dataset] = Dataset.objects.filter(project=project, deleted_at__isnull=not trashed)
    text = q.replace("\x00", "").strip()
    if text:
        found = found.filter(Q(name__icontains=text) | Q(description__icontains=text))
    return found.select_related("created_by", "project")


def count_datasets(project: Project) -> int:
    """How many datasets are not in the trash."""
    return int(Dataset.objects.alive().filter(project=project).count())


def summaries(datasets: Iterable[Dataset]) -> list[DatasetSummary]:
    """Each dataset with its versions counted and its newest ones: three queries however many there are."""
    found = {dataset.pk: DatasetSummary(dataset) for dataset in datasets}
    alive = DatasetVersion.objects.filter(dataset__in=found, deleted_at__isnull=True)
    for key, count in alive.order_by().values_list("dataset").annotate(n=Count("pk")):
        found[key].versions = count
    newest = (
        alive.select_related("created_by", "project", "job")
        .order_by("dataset_id", "-number")
        .distinct("dataset_id")
    )
    for version in newest:
        summary = found[version.dataset_id]
        version.dataset = summary.dataset
        summary.latest = version
    waiting = [
        key for key, s in found.items() if s.latest is not None and s.latest.state != VersionState.READY
    ]
    for version in newest.filter(state=VersionState.READY, dataset__in=waiting) if waiting else []:
        version.dataset = found[version.dataset_id].dataset
        found[version.dataset_id].ready = version
    for summary in found.values():
        if summary.ready is None and summary.latest is not None and summary.latest.is_ready:
            summary.ready = summary.latest
    return list(found.values())


def summary_of(dataset: Dataset) -> DatasetSummary:
    """One dataset as lists show it."""
    return summaries([dataset])[0]


def versions_of(dataset: Dataset, *, trashed: bool = False) -> QuerySet[DatasetVersion]:
    """The versions of a dataset, newest first."""
    found = DatasetVersion.objects.filter(dataset=dataset, deleted_at__isnull=not trashed)
    return found.select_related("created_by", "project", "dataset", "job")


def profile_of(version: DatasetVersion) -> VersionProfile | None:
    """Statistics and preview of a ready version, None for any other."""
    found: VersionProfile | None = VersionProfile.objects.filter(version=version).first()
    return found


def recent_versions(project: Project, limit: int = 5) -> list[DatasetVersion]:
    """The newest versions of a project, for its home page."""
    found = DatasetVersion.objects.filter(
        project=project, deleted_at__isnull=True, dataset__deleted_at__isnull=True
    ).select_related("dataset", "project", "created_by")
    return list(found.order_by("-created_at")[:limit])


def ready_versions(project: Project) -> QuerySet[DatasetVersion]:
    """All versions that a run may use, newest first."""
    found = DatasetVersion.objects.filter(
        project=project, state=VersionState.READY, deleted_at__isnull=True, dataset__deleted_at__isnull=True
    )
    return found.select_related("dataset", "project").order_by("-created_at")


def version_inputs(version: DatasetVersion) -> dict[str, str]:
    """The Parquet parts for SandboxPlan.inputs: name -> local path; sorted names are in the order of rows."""
    return version.local_parts()


def version_by_id(version_id: UUID | str) -> DatasetVersion | None:
    """A version by its id, for events and jobs (requests go through access)."""
    found: DatasetVersion | None = (
        DatasetVersion.objects.select_related("dataset", "project").filter(pk=version_id).first()
    )
    return found


def error_of(version: DatasetVersion) -> dict[str, Any] | None:
    """Why a version failed, in the error's shape, None for any other."""
    if version.state != VersionState.FAILED:
        return None
    return {"code": version.error_code, "message": version.error_message, "detail": version.error_detail}
