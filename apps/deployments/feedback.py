"""Writes about inferences that were made: labels told later, and past events from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from apps.accounts.access import Actor
from apps.accounts.audit import record_audit
from apps.deployments.inferences import known_ids
from apps.deployments.models import Deployment, EventImport, InferenceLabel, Revision
from apps.deployments.states import ImportState
from apps.jobs.actions import submit
from apps.jobs.models import Job
from apps.jobs.quotas.checks import check_storage
from foundation.clock import now
from foundation.errors import Conflict, Invalid, TooLarge

MAX_LABELS = 10_000
IMPORT_TIMEOUT = 3600


def add_labels(*, actor: Actor, deployment: Deployment, labels: Any) -> int:
    """Tell the true values of inferences: [{"inference_id", "value"}]. A later label replaces an earlier one.

    Returns how many were stored. Raises Invalid "labels.invalid" or "labels.unknown" naming the entry: then
    none is stored; TooLarge beyond MAX_LABELS.
    """
    if not isinstance(labels, list) or not labels:
        raise Invalid(
            "labels.invalid", 'Send {"labels": [{"inference_id": …, "value": …}, …]} with at least one.'
        )
    if len(labels) > MAX_LABELS:
        raise TooLarge(
            "labels.too_many", f"{MAX_LABELS:,} labels are allowed in one request.", {"limit": MAX_LABELS}
        )
    bundle = deployment.current.bundle if deployment.current else _newest_bundle(deployment)
    classes, numbers = known_classes(bundle), predicts_numbers(bundle)
    wanted: dict[UUID, Any] = {}
    for index, entry in enumerate(labels):
        inference, value = _read_entry(index, entry)
        wanted[inference] = _fit_number(index, value) if numbers else _fit_class(index, value, classes)
    known = known_ids(deployment, set(wanted))
    for index, entry in enumerate(labels):
        if UUID(str(entry["inference_id"])) not in known:
            raise Invalid(
                "labels.unknown",
                f"Label {index}: this deployment has no inference {entry['inference_id']}.",
                {"index": index},
            )
    moment = now()
    rows = [
        InferenceLabel(
            deployment=deployment, inference_id=key, value=value, created_by=actor.user, updated_at=moment
        )
        for key, value in wanted.items()
    ]
    InferenceLabel.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["deployment", "inference_id"],
        update_fields=["value", "created_by", "updated_at"],
    )
    return len(rows)


def _read_entry(index: int, entry: Any) -> tuple[UUID, Any]:
    if not isinstance(entry, dict) or set(entry) != {"inference_id", "value"}:
        raise Invalid(
            "labels.invalid", f"Label {index} needs exactly inference_id and value.", {"index": index}
        )
    try:
        inference = UUID(str(entry["inference_id"]))
    except ValueError:
        raise Invalid(
            "labels.invalid", f"Label {index}: the inference_id is not a UUID.", {"index": index}
        ) from None
    value = entry["value"]
    fits = isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))
    if not fits or (isinstance(value, str) and ("\x00" in value or len(value) > 1000)):
        raise Invalid(
            "labels.invalid",
            f"Label {index}: the value must be text, a number, true or false.",
            {"index": index},
        )
    return inference, value


def known_classes(bundle: dict[str, Any]) -> list[Any]:
    """The classes of a classifier's bundle; none for any other model."""
    return list(bundle.get("classes", [])) if bundle.get("task") == "classification" else []


def predicts_numbers(bundle: dict[str, Any]) -> bool:
    """Whether the model answers its own input example with numbers and knows no classes."""
    answers = bundle.get("golden", {}).get("answer", {}).get("predictions", [])
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in answers)
    return bool(answers) and numbers and not known_classes(bundle)


def _fit_class(index: int, value: Any, classes: Sequence[Any]) -> Any:
    """The class that the value names (1 and "1" are the same), or the value itself when classes are unknown."""
    if not classes:
        return value
    for known in classes:
        if known == value or str(known) == str(value):
            return known
    listed = ", ".join(str(known) for known in classes[:10])
    raise Invalid(
        "labels.invalid",
        f"Label {index}: {str(value)[:60]!r} is not one of the model's classes ({listed}).",
        {"index": index},
    )


def _fit_number(index: int, value: Any) -> Any:
    """The value, when it is a number, as the predictions of the model are."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Invalid(
            "labels.invalid",
            f"Label {index}: the model predicts numbers; {str(value)[:60]!r} is none.",
            {"index": index},
        )
    return value


def _newest_bundle(deployment: Deployment) -> dict[str, Any]:
    bundle = (
        Revision.objects.filter(deployment=deployment)
        .exclude(bento_prefix="")
        .order_by("-number")
        .values_list("bundle", flat=True)
        .first()
    )
    return dict(bundle or {})


def import_events(*, actor: Actor, deployment: Deployment, staged: Any) -> tuple[EventImport, Job]:
    """Take a staged upload (adapters.storage StagedFile) of past inferences; a job reads it in.

    Raises Conflict "events.not_built" while no revision has been built (its signature checks the columns) and
    "events.duplicate" when the same bytes were imported before, Forbidden "quota.storage".
    """
    from adapters.storage import get_store

    bundle = _newest_bundle(deployment)
    if not bundle:
        raise Conflict(
            "events.not_built",
            "The deployment has no built revision yet, so the columns of the events cannot be checked; wait for it.",
        )
    check_storage(deployment.project, staged.size)
    key = f"deployments/{deployment.pk.hex}/uploads/{staged.id}"
    with transaction.atomic():
        try:
            with transaction.atomic():
                record = EventImport.objects.create(
                    deployment=deployment,
                    created_by=actor.user,
                    filename=staged.filename[:200],
                    sha256=staged.sha256,
                    size=staged.size,
                    upload_key=key,
                )
        except IntegrityError as error:
            raise Conflict(
                "events.duplicate", f"A file with the same content as {staged.filename} was imported before."
            ) from error
        get_store().put(staged.path, key, move=True)
        job = submit(
            kind="deployments.import_events",
            project=deployment.project,
            created_by=actor.user,
            spec={"import": str(record.pk)},
            title=f"Import {staged.filename} into {deployment.name}",
            subject=("deployment", str(deployment.pk)),
            timeout=IMPORT_TIMEOUT,
        )
        EventImport.objects.filter(pk=record.pk).update(job_id=job.pk)
        record.job_id = job.pk
        record_audit(
            actor=actor,
            project=deployment.project,
            action="deployment.import",
            subject_kind="deployment",
            subject_id=deployment.pk,
            subject_title=deployment.name,
            detail={"filename": staged.filename, "bytes": staged.size},
        )
    return record, job


def forget_import(record: EventImport, reason: str) -> None:
    """An import ended without success: keep the sentence, so that the same file may be sent again."""
    EventImport.objects.filter(pk=record.pk, state=ImportState.IMPORTING).update(
        state=ImportState.FAILED, reason=reason
    )
