"""Datasets and versions as the REST API shows them."""

from __future__ import annotations

from typing import Any

from apps.datasets.models import DatasetVersion, VersionProfile
from apps.datasets.queries import DatasetSummary, error_of
from foundation.clock import iso


def version_json(version: DatasetVersion) -> dict[str, Any]:
    """A version, its dataset loaded."""
    return {
        "id": str(version.pk),
        "dataset": version.dataset.name,
        "number": version.number,
        "description": version.description,
        "state": version.state,
        "digest": version.digest or None,
        "rows": version.rows,
        "columns": version.columns,
        "bytes": version.bytes,
        "schema": version.schema,
        "error": error_of(version),
        "job": str(version.job_id) if version.job_id else None,
        "upload": {
            "filename": version.source_filename, "bytes": version.upload_bytes, "digest": version.upload_digest
        },
        "format": version.source,
        "options": version.options,
        "notes": version.notes,
        "created_by": version.created_by.username if version.created_by else None,
        "created_at": iso(version.created_at),
        "updated_at": iso(version.updated_at),
        "trashed_at": iso(version.deleted_at),
        "ready_at": iso(version.ready_at),
        "url": version.get_absolute_url(),
    }  # fmt: skip


def dataset_json(summary: DatasetSummary) -> dict[str, Any]:
    """A dataset with its newest version."""
    dataset, latest = summary.dataset, summary.latest
    return {
        "id": str(dataset.pk),
        "name": dataset.name,
        "description": dataset.description,
        "versions": summary.versions,
        "latest": version_json(latest) if latest is not None else None,
        "ready": summary.ready.number if summary.ready is not None else None,
        "job": str(latest.job_id) if latest is not None and latest.job_id else None,
        "created_by": dataset.created_by.username if dataset.created_by else None,
        "created_at": iso(dataset.created_at),
        "updated_at": iso(dataset.updated_at),
        "trashed_at": iso(dataset.deleted_at),
        "url": dataset.get_absolute_url(),
    }


def profile_json(version: DatasetVersion, profile: VersionProfile | None) -> dict[str, Any]:
    """The statistics of a version."""
    return {
        "dataset": version.dataset.name,
        "version": version.number,
        "rows": version.rows,
        "columns": profile.columns if profile is not None else [],
    }
