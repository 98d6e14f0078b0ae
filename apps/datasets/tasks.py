"""Reading an upload in the sandbox, and the housekeeping of the bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from apps.datasets import contents, events
from apps.datasets.models import Dataset, DatasetVersion, VersionPart, VersionProfile
from apps.datasets.states import TRANSITIONS, VersionState
from apps.jobs.chores import chore
from apps.jobs.handlers import handles
from apps.jobs.models import Job, JobEvent
from apps.lineage import actions as lineage
from apps.lineage.states import NodeKind
from foundation.clock import now
from foundation.errors import Conflict
from foundation.events import publish
from foundation.tasks import SandboxPlan

GIGABYTE = 1024**3
MEMORY_BYTES = 3 * GIGABYTE
WALL_SECONDS = 2 * 3600
FREE_DISK_BYTES = 2 * GIGABYTE
# Unpacked copy, UTF-8 copy, spool and parts of one upload, in multiples of its size.
DISK_FACTOR = 60


def _version_of(job: Job) -> DatasetVersion:
    return DatasetVersion.objects.select_related("dataset", "project__team").get(pk=UUID(job.spec["version"]))


@handles("datasets.ingest", where="sandbox")
class Ingest:
    """Reads one upload: schema, parts, statistics and preview, or the sentence why it cannot be read."""

    def prepare(self, job: Job) -> SandboxPlan:
        """The upload as the only input. Raises Conflict when the version is not waiting to be read any more."""
        from adapters.storage import get_store

        version = _version_of(job)
        if version.state != VersionState.PENDING or version.job_id != job.pk:
            raise Conflict("dataset.not_pending", f"{version.label} is not waiting to be read any more.")
        upload = get_store().local(version.upload_key)
        return SandboxPlan(
            program="apps.datasets.sandbox.ingest:main",
            payload={
                "filename": version.source_filename,
                "options": version.options,
                "limits": getattr(settings, "DATASET_LIMITS", {}),
            },
            inputs={"upload": str(upload)},
            blame="platform",
            memory_bytes=MEMORY_BYTES,
            wall_seconds=job.timeout_seconds or WALL_SECONDS,
            disk_bytes=FREE_DISK_BYTES + DISK_FACTOR * version.upload_bytes,
        )

    def collect(self, job: Job, result: dict[str, Any], files: Path) -> dict[str, Any]:
        """Copy the parts into the store; the result then names their keys."""
        version = _version_of(job)
        return {**result, "parts": contents.collect_parts(version.project.team_id, result["parts"], files)}

    def complete(self, job: Job, result: dict[str, Any], files: Path) -> None:
        """The version becomes ready, with its manifest, schema and statistics, in the job's own transaction."""
        version = _version_of(job)
        contents.ensure_parts(version.project.team_id, result["parts"], files)
        notes = [str(note) for note in result["notes"]]
        same = _same_content(version, result["digest"])
        if same is not None:
            notes.insert(0, f"The content is the same as that of version {same}.")
        if not TRANSITIONS.move(
            DatasetVersion.objects.filter(pk=version.pk, job=job),
            to=VersionState.READY,
            frm=VersionState.PENDING,
            rows=result["rows"],
            columns=result["columns"],
            bytes=sum(part["bytes"] for part in result["parts"]),
            digest=result["digest"],
            schema=result["schema"],
            source=result["format"],
            notes=notes,
            ready_at=now(),
            updated_at=now(),
            upload_key="",
        ):
            raise Conflict("dataset.not_pending", f"{version.label} is not waiting to be read any more.")
        VersionPart.objects.bulk_create(
            VersionPart(
                version=version,
                position=position,
                key=part["key"],
                rows=part["rows"],
                bytes=part["bytes"],
                sha256=part["sha256"],
            )
            for position, part in enumerate(result["parts"])
        )
        VersionProfile.objects.create(
            version=version,
            columns=contents.read_description(files, "profile.json")["columns"],
            preview=contents.read_description(files, "preview.json"),
        )
        Dataset.objects.filter(pk=version.dataset_id).update(updated_at=now())
        lineage.set_state(kind=NodeKind.DATASET_VERSION, key=version.pk, state=VersionState.READY)
        upload = version.upload_key
        transaction.on_commit(lambda: contents.discard_upload(upload), robust=True)
        publish(
            events.VersionReady(
                project_id=version.project_id,
                dataset_id=version.dataset_id,
                version_id=version.pk,
                number=version.number,
            )
        )

    def ended(self, job: Job) -> None:
        """The version keeps the reason; its upload stays, so that the reading can be tried again."""
        version = _version_of(job)
        moved = TRANSITIONS.move(
            DatasetVersion.objects.filter(pk=version.pk, job=job),
            to=VersionState.FAILED,
            frm=VersionState.PENDING,
            error_code=job.error_code or f"job.{job.state}",
            error_message=job.reason or "The file could not be read.",
            updated_at=now(),
        )
        if not moved:
            return
        lineage.set_state(kind=NodeKind.DATASET_VERSION, key=version.pk, state=VersionState.FAILED)
        transaction.on_commit(lambda: _keep_detail(version.pk, job.pk), robust=True)
        publish(
            events.VersionFailed(
                project_id=version.project_id,
                dataset_id=version.dataset_id,
                version_id=version.pk,
                number=version.number,
                code=job.error_code,
            )
        )


def _same_content(version: DatasetVersion, digest: str) -> int | None:
    """The number of an earlier ready version with equal content."""
    found = DatasetVersion.objects.filter(
        dataset=version.dataset_id, digest=digest, state=VersionState.READY, deleted_at__isnull=True
    ).exclude(pk=version.pk)
    number: int | None = found.order_by("-number").values_list("number", flat=True).first()
    return number


def _keep_detail(version_id: UUID, job_id: UUID) -> None:
    """Copy the detail of a failure (the line, the column) from the job's history."""
    detail = (
        JobEvent.objects.filter(job_id=job_id).order_by("-at", "-id").values_list("detail", flat=True).first()
    )
    known = {key: value for key, value in (detail or {}).items() if key != "code"}
    if known:
        DatasetVersion.objects.filter(pk=version_id, state=VersionState.FAILED).update(error_detail=known)


@chore("datasets.sweep", every=6 * 3600)
def sweep() -> None:
    """Staged files, uploads and parts that a process left behind when it died."""
    from adapters.storage import staging

    staging.sweep()
    contents.sweep_uploads()
    contents.sweep_parts()
