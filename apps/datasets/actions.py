"""Writes: register datasets and versions, try a reading again, describe, trash, restore, purge.

Each is one transaction with its audit row and its lineage, and returns the object. The bytes of an upload are
moved into the store before the transaction and removed again when it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from adapters.storage import get_store
from adapters.storage.staging import StagedFile
from apps.accounts.access import Actor
from apps.accounts.audit import record_audit
from apps.accounts.models import Project
from apps.datasets import contents, events
from apps.datasets.models import Dataset, DatasetVersion
from apps.datasets.sandbox.options import checked_options
from apps.datasets.states import TRANSITIONS, VersionState
from apps.jobs.actions import submit
from apps.jobs.models import Job
from apps.jobs.quotas.checks import check_storage
from apps.lineage import actions as lineage
from apps.lineage.states import NodeKind
from foundation.clock import now
from foundation.errors import Conflict, Invalid
from foundation.events import publish
from foundation.ids import uuid7
from foundation.names import check_name, check_text
from foundation.tasks import UserError

INGEST = "datasets.ingest"
# Words that stand where a dataset's name stands in addresses.
RESERVED = frozenset({"new"})
T = TypeVar("T")


def create_dataset(
    *,
    actor: Actor,
    project: Project,
    name: str,
    staged: StagedFile,
    description: str = "",
    options: Mapping[str, Any] | None = None,
) -> Dataset:
    """A new dataset whose first version is read from the staged file (which is claimed).

    Raises Invalid for a bad name or option, Conflict "dataset.exists" for a name in use; then nothing is made.
    """
    name = _checked_name(name)
    description = check_text(description, field="description").strip()
    chosen = _options(options)
    _refuse_taken(project, name)

    def write(version_id: UUID, key: str) -> Dataset:
        dataset = Dataset.objects.create(
            project=project, created_by=actor.user, name=name, description=description, last_number=1
        )
        version = _make_version(actor, dataset, 1, version_id, key, staged, chosen)
        _audit(actor, project, "dataset.create", dataset, {"filename": staged.filename, "bytes": staged.size})
        put_in_lineage(version)
        return dataset

    return _with_upload(project, staged, write)


def add_version(
    *, actor: Actor, dataset: Dataset, staged: StagedFile, options: Mapping[str, Any] | None = None
) -> DatasetVersion:
    """The next version of a dataset, read from the staged file (which is claimed).

    Equal bytes are allowed: the version says then which earlier one it equals. Raises Invalid for a bad option.
    """
    chosen = _options(options)

    def write(version_id: UUID, key: str) -> DatasetVersion:
        locked = Dataset.objects.select_for_update().get(pk=dataset.pk)
        if locked.deleted_at is not None:
            raise Conflict(
                "dataset.trashed", f"The dataset '{dataset.name}' is in the trash; restore it first."
            )
        number = locked.last_number + 1
        Dataset.objects.filter(pk=dataset.pk).update(last_number=number, updated_at=now())
        version = _make_version(actor, dataset, number, version_id, key, staged, chosen)
        _audit(
            actor, dataset.project, "dataset.add_version", dataset,
            {"version": number, "filename": staged.filename, "bytes": staged.size},
        )  # fmt: skip
        put_in_lineage(version)
        return version

    return _with_upload(dataset.project, staged, write)


@transaction.atomic
def retry_version(
    *, actor: Actor, version: DatasetVersion, options: Mapping[str, Any] | None = None
) -> DatasetVersion:
    """Read the upload of a failed version again, perhaps with other options.

    Raises Conflict "dataset.not_failed" for a version that has not failed, Conflict "dataset.upload_gone" when its
    upload is not kept any more.
    """
    chosen = _options(options if options is not None else version.options)
    if version.state != VersionState.FAILED:
        raise Conflict(
            "dataset.not_failed", f"{version.label} has not failed, so there is nothing to try again."
        )
    if not version.upload_key or not get_store().exists(version.upload_key):
        raise Conflict(
            "dataset.upload_gone", f"The upload of {version.label} is not kept any more; send the file again."
        )
    moved = TRANSITIONS.move(
        DatasetVersion.objects.filter(pk=version.pk),
        to=VersionState.PENDING,
        frm=VersionState.FAILED,
        options=chosen,
        error_code="",
        error_message="",
        error_detail={},
        updated_at=now(),
    )
    if moved:
        job = _submit(actor, version)
        DatasetVersion.objects.filter(pk=version.pk).update(job=job)
        _audit(actor, version.project, "dataset.retry_version", version.dataset, {"version": version.number})
        lineage.set_state(kind=NodeKind.DATASET_VERSION, key=version.pk, state=VersionState.PENDING)
    version.refresh_from_db()
    return version


@transaction.atomic
def update_dataset(
    *, actor: Actor, dataset: Dataset, name: str | None = None, description: str | None = None
) -> Dataset:
    """Rename or describe; what is None stays. Raises Invalid, Conflict "dataset.exists"."""
    changed: dict[str, Any] = {}
    if name is not None and name != dataset.name:
        changed["name"] = _checked_name(name)
        _refuse_taken(dataset.project, name)
    if description is not None:
        changed["description"] = check_text(description, field="description").strip()
    if not changed:
        return dataset
    before = dataset.name
    for key, value in changed.items():
        setattr(dataset, key, value)
    try:
        with transaction.atomic():
            dataset.save(update_fields=[*changed, "updated_at"])
    except IntegrityError as error:
        raise _taken(str(name)) from error
    if "name" in changed:
        for version in dataset.versions.select_related("project"):
            version.dataset = dataset
            put_in_lineage(version)
    _audit(actor, dataset.project, "dataset.update", dataset, {**changed, "was": before})
    return dataset


@transaction.atomic
def describe_version(*, actor: Actor, version: DatasetVersion, description: str) -> DatasetVersion:
    """Say what is particular about a version; its rows never change. Raises Invalid."""
    text = check_text(description, field="description").strip()
    if text != version.description:
        version.description = text
        version.save(update_fields=["description", "updated_at"])
        _audit(actor, version.project, "dataset.update_version", version.dataset, {"version": version.number})
    return version


@transaction.atomic
def trash_dataset(*, actor: Actor, dataset: Dataset) -> Dataset:
    """Move a dataset with its versions to the trash. Runs that used it keep working; new ones cannot use it."""
    if Dataset.objects.filter(pk=dataset.pk, deleted_at__isnull=True).update(deleted_at=now()):
        _set_alive(dataset, alive=False)
        _audit(actor, dataset.project, "dataset.trash", dataset)
        publish(events.DatasetTrashed(project_id=dataset.project_id, dataset_id=dataset.pk))
    dataset.refresh_from_db()
    return dataset


@transaction.atomic
def restore_dataset(*, actor: Actor, dataset: Dataset) -> Dataset:
    """Take a dataset out of the trash. Raises Conflict "dataset.exists" when its name was given to another."""
    if Dataset.objects.alive().filter(project=dataset.project, name=dataset.name).exists():
        raise Conflict(
            "dataset.exists",
            f"The name '{dataset.name}' was given to another dataset meanwhile; rename that one first.",
            {"field": "name"},
        )
    if Dataset.objects.filter(pk=dataset.pk, deleted_at__isnull=False).update(
        deleted_at=None, updated_at=now()
    ):
        _set_alive(dataset, alive=True)
        _audit(actor, dataset.project, "dataset.restore", dataset)
        publish(events.DatasetRestored(project_id=dataset.project_id, dataset_id=dataset.pk))
    dataset.refresh_from_db()
    return dataset


@transaction.atomic
def trash_version(*, actor: Actor, version: DatasetVersion) -> DatasetVersion:
    """Move one version to the trash; "name" then means an older one."""
    if DatasetVersion.objects.filter(pk=version.pk, deleted_at__isnull=True).update(deleted_at=now()):
        lineage.set_alive(kind=NodeKind.DATASET_VERSION, key=version.pk, alive=False)
        _audit(actor, version.project, "dataset.trash_version", version.dataset, {"version": version.number})
    version.refresh_from_db()
    return version


@transaction.atomic
def restore_version(*, actor: Actor, version: DatasetVersion) -> DatasetVersion:
    """Take one version out of the trash."""
    if DatasetVersion.objects.filter(pk=version.pk, deleted_at__isnull=False).update(deleted_at=None):
        lineage.set_alive(kind=NodeKind.DATASET_VERSION, key=version.pk, alive=True)
        _audit(
            actor, version.project, "dataset.restore_version", version.dataset, {"version": version.number}
        )
    version.refresh_from_db()
    return version


def purge_dataset(*, actor: Actor, dataset: Dataset) -> None:
    """Remove a trashed dataset for good, with all bytes that no other version shares.

    Raises Conflict "dataset.not_trashed", or "dataset.in_use" while a run, model or monitor still refers to it.
    """
    team_id = dataset.project.team_id
    with transaction.atomic():
        locked = Dataset.objects.select_for_update().get(pk=dataset.pk)
        if locked.deleted_at is None:
            raise Conflict("dataset.not_trashed", "Only a dataset in the trash can be removed for good.")
        versions = list(dataset.versions.prefetch_related("parts"))
        keys = [part.key for version in versions for part in version.parts.all()]
        uploads = [version.upload_key for version in versions]
        _audit(actor, dataset.project, "dataset.purge", dataset, {"versions": len(versions)})
        try:
            with transaction.atomic():
                locked.delete()
        except ProtectedError as error:
            raise Conflict(
                "dataset.in_use",
                f"The dataset '{dataset.name}' is still what runs or monitors refer to; it stays in the trash.",
            ) from error
    for key in uploads:
        contents.discard_upload(key)
    contents.release_parts(team_id, keys)


def put_in_lineage(version: DatasetVersion) -> None:
    """Make or refresh the node of a version."""
    lineage.put_node(
        project=version.project,
        kind=NodeKind.DATASET_VERSION,
        key=version.pk,
        title=version.label,
        url=version.get_absolute_url(),
        state=version.state,
        name=version.label,
    )
    if version.deleted_at is not None:
        lineage.set_alive(kind=NodeKind.DATASET_VERSION, key=version.pk, alive=False)


def _make_version(
    actor: Actor,
    dataset: Dataset,
    number: int,
    version_id: UUID,
    key: str,
    staged: StagedFile,
    options: dict[str, str],
) -> DatasetVersion:
    version = DatasetVersion.objects.create(
        id=version_id,
        project=dataset.project,
        created_by=actor.user,
        dataset=dataset,
        number=number,
        source_filename=staged.filename,
        upload_digest=staged.sha256,
        upload_bytes=staged.size,
        upload_key=key,
        options=options,
    )
    version.job = _submit(actor, version)
    version.save(update_fields=["job"])
    return version


def _submit(actor: Actor, version: DatasetVersion) -> Job:
    return submit(
        kind=INGEST,
        project=version.project,
        created_by=actor.user,
        spec={"version": version.pk.hex},
        title=f"Read {version.source_filename} as {version.label}",
        subject=("dataset_version", str(version.pk)),
    )


def _with_upload(project: Project, staged: StagedFile, write: Callable[[UUID, str], T]) -> T:
    """Move the staged bytes into the store, write the rows, and take the bytes back out when that fails.

    Raises Forbidden "quota.storage" when the team may not keep so many bytes.
    """
    check_storage(project, staged.size)
    version_id = uuid7()
    key = contents.upload_key(project.pk, version_id)
    get_store().put(staged.path, key, move=True)
    try:
        with transaction.atomic():
            return write(version_id, key)
    except IntegrityError as error:
        contents.discard_upload(key)
        raise Conflict("dataset.exists", "A dataset of that name was made at the same moment.") from error
    except BaseException:
        contents.discard_upload(key)
        raise


def _options(given: Mapping[str, Any] | None) -> dict[str, str]:
    try:
        return checked_options(given or {})
    except UserError as error:
        raise Invalid(error.code, error.message, error.detail) from error


def _checked_name(name: object) -> str:
    name = check_name(name)
    if name in RESERVED:
        raise Invalid(
            "name.reserved",
            f"'{name}' is a word of the studio's own addresses; choose another name.",
            {"field": "name"},
        )
    return name


def _refuse_taken(project: Project, name: str) -> None:
    if Dataset.objects.alive().filter(project=project, name=name).exists():
        raise _taken(name)


def _taken(name: str) -> Conflict:
    return Conflict(
        "dataset.exists", f"There is already a dataset '{name}'; add a version to it, or choose another name.",
        {"field": "name"},
    )  # fmt: skip


def _set_alive(dataset: Dataset, *, alive: bool) -> None:
    versions = dataset.versions.all() if not alive else dataset.versions.filter(deleted_at__isnull=True)
    for key in versions.values_list("pk", flat=True):
        lineage.set_alive(kind=NodeKind.DATASET_VERSION, key=key, alive=alive)


def _audit(
    actor: Actor, project: Project, action: str, dataset: Dataset, detail: dict[str, Any] | None = None
) -> None:
    record_audit(
        actor=actor,
        project=project,
        action=action,
        subject_kind="dataset",
        subject_id=dataset.pk,
        subject_title=dataset.name,
        detail=detail or {},
    )
