"""Job kinds of deployments: build a Bento, read in past events."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from django.db import transaction

from apps.deployments import events
from apps.deployments.feedback import forget_import, known_classes, predicts_numbers
from apps.deployments.models import EventImport, InferenceSegment, Revision
from apps.deployments.segments import segment_key
from apps.deployments.states import IMPORT, REVISION, ImportState, Origin, RevisionState
from apps.jobs.handlers import handles
from apps.jobs.models import Job
from foundation.clock import now
from foundation.errors import Invalid
from foundation.events import publish
from foundation.tasks import SandboxPlan

GIB = 1024**3


def _kept_file(folder: Path, relative: str) -> Path:
    """A regular file that a sandboxed program left, named by its (untrusted) result."""
    path = folder / relative
    inside = path.resolve().is_relative_to(folder.resolve())
    if not inside or path.is_symlink() or not path.is_file():
        raise Invalid(
            "deployments.bad_output", f"The build named a file that it did not make: {relative[:200]}"
        )
    return path


def _drop_upload(record: EventImport) -> None:
    """The uploaded file has served: its events are segments now, or it could not be read."""
    from adapters.storage import get_store

    transaction.on_commit(lambda: get_store().delete(record.upload_key), robust=True)


@handles("deployments.build", where="sandbox")
class Build:
    """A model version becomes a Bento in the object store."""

    def _revision(self, job: Job) -> Revision:
        return Revision.objects.select_related("deployment__project").get(pk=job.spec["revision"])

    def prepare(self, job: Job) -> SandboxPlan:
        """The model's files as inputs, each by itself: the object store may be remote."""
        from adapters.storage import get_store

        revision = self._revision(job)
        store = get_store()
        prefix = str(job.spec["files_prefix"]).rstrip("/") + "/"
        files: dict[str, str] = {}
        inputs: dict[str, str] = {}
        for index, key in enumerate(store.list(prefix)):
            files[f"f{index}"] = key.removeprefix(prefix)
            inputs[f"f{index}"] = str(store.local(key))
        if not files:
            raise Invalid(
                "deployments.no_model",
                f"The files of {revision.model_label} are gone; the version cannot be deployed.",
            )
        return SandboxPlan(
            program="apps.deployments.sandbox.build:main",
            payload={
                "files": files,
                "version": f"r{revision.number}-{revision.pk.hex[:12]}",
                "labels": {
                    "project": revision.deployment.project.slug,
                    "deployment": revision.deployment.name,
                    "model": revision.model_label,
                },
            },
            inputs=inputs,
            memory_bytes=6 * GIB,
        )

    def collect(self, job: Job, result: dict[str, Any], files: Path) -> dict[str, Any]:
        """Copy the Bento into the store under a prefix that belongs to this attempt."""
        from adapters.storage import get_store

        prefix = f"bentos/{job.spec['revision']}/{job.fence}"
        store = get_store()
        for relative in result["files"]:
            store.put(_kept_file(files / "bento", str(relative)), f"{prefix}/{relative}")
        return {"prefix": prefix, "bundle": result["bundle"]}

    def complete(self, job: Job, result: dict[str, Any], files: Path) -> None:
        """The revision can be started; the serving process sees it within a second."""
        REVISION.move(
            Revision.objects.filter(pk=job.spec["revision"]),
            to=RevisionState.BUILT,
            frm=RevisionState.BUILDING,
            bento_prefix=result["prefix"],
            bundle=result["bundle"],
            reason="",
        )

    def ended(self, job: Job) -> None:
        """Keep the sentence; the serving process decides what that means for the deployment."""
        reason = job.reason or f"the build {job.state}"
        REVISION.move(
            Revision.objects.filter(pk=job.spec["revision"]),
            to=RevisionState.FAILED,
            frm=RevisionState.BUILDING,
            reason=reason,
        )


@handles("deployments.import_events", where="sandbox")
class ImportEvents:
    """A file of past inferences becomes segments."""

    def _import(self, job: Job) -> EventImport:
        return EventImport.objects.select_related("deployment").get(pk=job.spec["import"])

    def prepare(self, job: Job) -> SandboxPlan:
        """The upload, and the signature of the newest built revision."""
        from adapters.storage import get_store

        record = self._import(job)
        revision = record.deployment.revisions.exclude(bento_prefix="").order_by("-number").first()
        if revision is None:
            raise Invalid(
                "events.not_built", "The deployment has no built revision to check the events against."
            )
        return SandboxPlan(
            program="apps.deployments.sandbox.import_events:main",
            payload={
                "filename": record.filename,
                "columns": revision.bundle["columns"],
                "classes": known_classes(revision.bundle),
                "numbers": predicts_numbers(revision.bundle),
                "now": now().isoformat(),
            },
            inputs={"file": str(get_store().local(record.upload_key))},
            blame="user",
            memory_bytes=8 * GIB,
        )

    def collect(self, job: Job, result: dict[str, Any], files: Path) -> dict[str, Any]:
        """Copy the segments into the store."""
        from adapters.storage import get_store

        record = self._import(job)
        store = get_store()
        kept = []
        for index, part in enumerate(result["segments"]):
            start = datetime.datetime.fromisoformat(part["start"])
            key = segment_key(record.deployment_id, start, f"{job.pk}-{job.fence}-{index}")
            size = store.put(_kept_file(files, str(part["file"])), key)
            kept.append({**part, "key": key, "bytes": size})
        return {**result, "segments": kept}

    def complete(self, job: Job, result: dict[str, Any], files: Path) -> None:
        """One index row per segment; the import is ready."""
        record = self._import(job)
        rows = [
            InferenceSegment(
                deployment_id=record.deployment_id,
                origin=Origin.IMPORT,
                import_id=record.pk,
                key=part["key"],
                rows=part["rows"],
                bytes=part["bytes"],
                start=datetime.datetime.fromisoformat(part["start"]),
                end=datetime.datetime.fromisoformat(part["end"]),
            )
            for part in result["segments"]
        ]
        start = datetime.datetime.fromisoformat(result["start"])
        end = datetime.datetime.fromisoformat(result["end"])
        if IMPORT.move(
            EventImport.objects.filter(pk=record.pk),
            to=ImportState.READY,
            rows=result["rows"],
            labelled=result["labelled"],
            start=start,
            end=end,
        ):
            InferenceSegment.objects.bulk_create(rows)
            _drop_upload(record)
            publish(
                events.InferencesImported(
                    deployment_id=record.deployment_id, start=start, end=end, rows=int(result["rows"])
                )
            )

    def ended(self, job: Job) -> None:
        """Keep the sentence."""
        record = self._import(job)
        forget_import(record, job.reason or f"the import {job.state}")
        _drop_upload(record)
