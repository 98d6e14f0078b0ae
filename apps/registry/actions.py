"""Writes about models and versions. Each is atomic, leaves an audit row and lineage, returns the object.

MLflow's rows are written in the same transaction through adapters.tracking.
"""

from __future__ import annotations

import math
from typing import Any

from django.db import IntegrityError, transaction

from adapters.tracking import RunData, VersionData, get_tracking
from apps.accounts.access import Actor
from apps.accounts.audit import record_audit
from apps.accounts.models import Project
from apps.experiments.metric_catalogue import PRIMARY
from apps.experiments.models import Run
from apps.jobs.actions import submit
from apps.lineage import actions as lineage
from apps.lineage.states import EdgeKind, NodeKind
from apps.registry import events
from apps.registry.models import Alias, Model, ModelVersion, Promotion
from apps.registry.states import LIVE, PROTECTED, PromotionState, VersionState
from foundation.clock import now
from foundation.errors import Conflict, Invalid
from foundation.events import publish
from foundation.names import check_name, check_text

DESCRIBE = "registry.describe"


@transaction.atomic
def create_model(*, actor: Actor, project: Project, name: object, description: object = "") -> Model:
    """A new model without versions. Raises Conflict "model.exists", Invalid for a bad name."""
    checked = check_name(name)
    text = check_text(description, field="description")
    try:
        with transaction.atomic():
            model = Model.objects.create(
                project=project, name=checked, description=text, created_by=actor.user
            )
            get_tracking().create_model(project.pk, checked, description=text)
    except (IntegrityError, Conflict) as error:
        raise taken(checked) from error
    audit(actor, model, "model.create")
    return model


def taken(name: str) -> Conflict:
    """The error for a name in use."""
    return Conflict("model.exists", f"There is already a model '{name}' in this project.", {"field": "name"})


@transaction.atomic
def update_model(
    *,
    actor: Actor,
    model: Model,
    name: object = None,
    description: object = None,
    by_client: bool = False,
) -> Model:
    """Rename or describe. A renamed model keeps its versions and aliases; programs that name it must follow.
    by_client: a stock client may use any name that MLflow takes.

    Raises Conflict "model.exists", Invalid for a bad name.
    """
    before, tracking = model.name, get_tracking()
    if description is not None:
        model.description = check_text(description, field="description")
        tracking.describe_model(model.project_id, before, model.description)
    if name is not None and name != before:
        model.name = str(name) if by_client else check_name(name)
    try:
        with transaction.atomic():
            if model.name != before:
                tracking.rename_model(model.project_id, before, model.name)
            model.save(update_fields=["name", "description", "updated_at"])
    except (IntegrityError, Conflict) as error:
        raise taken(model.name) from error
    if model.name != before:
        for version in model.versions.alive():
            put_in_lineage(version)
    audit(actor, model, "model.update", {"before": before})
    return model


@transaction.atomic
def trash_model(*, actor: Actor, model: Model) -> Model:
    """Move a model with all its versions to the trash; its name becomes free.

    Raises Conflict "model.in_use" while `production` names one of its versions.
    """
    if Alias.objects.filter(model=model, name__in=PROTECTED).exists():
        raise in_use(model)
    _forget_promotions(Promotion.objects.filter(version__model=model), "The model was moved to the trash.")
    get_tracking().trash_model(model.project_id, model.name, model.trash_mark)
    model.deleted_at = now()
    model.save(update_fields=["deleted_at", "updated_at"])
    for version in model.versions.all():
        lineage.set_alive(kind=NodeKind.MODEL_VERSION, key=version.pk, alive=False)
    audit(actor, model, "model.trash")
    return model


def in_use(model: Model, version: ModelVersion | None = None) -> Conflict:
    """The error for a model, or one version of it, that an environment stands on."""
    aliases = Alias.objects.filter(model=model, name__in=PROTECTED).select_related("version")
    if version is not None:
        aliases = aliases.filter(version=version)
    held = " and ".join(
        f"'{alias.name}'" if version else f"'{alias.name}' (version {alias.version.number})"
        for alias in aliases
    )
    subject = f"{version.label} holds" if version else f"The model '{model.name}' holds"
    return Conflict(
        "model.in_use",
        f"{subject} {held}: release that alias on the model's page first.",
        {"model": model.name},
    )


@transaction.atomic
def restore_model(*, actor: Actor, model: Model) -> Model:
    """Bring a model back from the trash. Raises Conflict "model.exists" when its name was given away."""
    try:
        with transaction.atomic():
            model.deleted_at = None
            model.save(update_fields=["deleted_at", "updated_at"])
            get_tracking().restore_model(model.project_id, model.trash_mark, model.name)
    except (IntegrityError, Conflict) as error:
        raise taken(model.name) from error
    for version in model.versions.alive():
        lineage.set_alive(kind=NodeKind.MODEL_VERSION, key=version.pk, alive=True)
    audit(actor, model, "model.restore")
    return model


@transaction.atomic
def register_version(
    *, actor: Actor, model: Model, run: Run, logged_model: str | None = None, description: object = ""
) -> ModelVersion:
    """The next version of a model, from what a run logged (its last model unless one is named).

    Raises Conflict "run.not_finished" while the run works, Invalid "run.no_model" when it kept no model.
    """
    text = check_text(description, field="description")
    if not run.is_terminal:
        raise Conflict("run.not_finished", f"The run '{run.name}' is still working; wait until it is over.")
    try:
        data = get_tracking().create_version(
            model.project_id, model.name, run_id=run.hex, model_id=logged_model or None, description=text
        )
    except Invalid as error:
        raise Invalid(
            "run.no_model", f"The run '{run.name}' has kept no such model.", {"field": "run"}
        ) from error
    return record_version(actor=actor, model=model, data=data, run=run, action="model.register")


def record_version(
    *, actor: Actor, model: Model, data: VersionData, run: Run | None, action: str
) -> ModelVersion:
    """Our row of a version that MLflow has. What its run does not tell is read from the MLmodel file by a job."""
    logged = data.source.removeprefix("models:/") if data.source.startswith("models:/m-") else ""
    known = (run.model or {}) if run is not None and (run.model or {}).get("id") == logged else {}
    found = get_tracking().runs([run.hex]).get(run.hex) if run is not None else None
    with transaction.atomic():
        version = ModelVersion.objects.create(
            project=model.project,
            created_by=actor.user,
            model=model,
            number=data.number,
            run=run,
            description=data.description,
            source=data.source,
            prefix=data.key,
            logged_model=logged,
            signature=known.get("signature") or {},
            example=known.get("example") or [],
            classes=known.get("classes"),
            state=VersionState.READY if known.get("signature") else VersionState.PENDING,
            **_from_run(run, found),
        )
        if version.state == VersionState.PENDING:
            version.job = submit(
                kind=DESCRIBE,
                project=model.project,
                created_by=actor.user,
                spec={"version": str(version.pk)},
                title=f"Read the model of {version.label}",
                subject=("model_version", str(version.pk)),
            )
            version.save(update_fields=["job"])
        put_in_lineage(version)
        audit(actor, model, action, {"version": data.number, "run": run.hex if run else None})
        publish(events.VersionRegistered(project_id=model.project_id, version_id=version.pk))
    return version


def _from_run(run: Run | None, data: RunData | None) -> dict[str, Any]:
    """What the run knows: task, target, dataset version and its finite metrics."""
    if run is None:
        return {}
    metrics = {key: value for key, value in (data.metrics if data else {}).items() if math.isfinite(value)}
    primary = run.primary_metric or PRIMARY.get(run.task, "")
    return {
        "task": run.task,
        "target": run.target,
        "dataset_version": run.dataset_version,
        "metrics": metrics,
        "primary_metric": primary if primary in metrics else "",
    }


@transaction.atomic
def describe_version(*, actor: Actor, version: ModelVersion, description: object) -> ModelVersion:
    """Change the description. Raises Invalid."""
    version.description = check_text(description, field="description")
    version.save(update_fields=["description", "updated_at"])
    get_tracking().describe_version(
        version.project_id, version.model.name, version.number, version.description
    )
    audit(actor, version.model, "model.describe_version", {"version": version.number})
    return version


@transaction.atomic
def trash_version(*, actor: Actor, version: ModelVersion) -> ModelVersion:
    """Move one version to the trash. Raises Conflict "model.in_use" while a protected alias names it."""
    if version.aliases.filter(name__in=PROTECTED).exists():
        raise in_use(version.model, version)
    get_tracking().trash_version(version.project_id, version.model.name, version.number)
    version.aliases.all().delete()
    _forget_promotions(version.promotions.all(), "The version was moved to the trash.")
    version.deleted_at = now()
    version.save(update_fields=["deleted_at", "updated_at"])
    lineage.set_alive(kind=NodeKind.MODEL_VERSION, key=version.pk, alive=False)
    audit(actor, version.model, "model.trash_version", {"version": version.number})
    return version


@transaction.atomic
def restore_version(*, actor: Actor, version: ModelVersion) -> ModelVersion:
    """Bring a version back from the trash."""
    get_tracking().restore_version(version.project_id, version.model.name, version.number)
    version.deleted_at = None
    version.save(update_fields=["deleted_at", "updated_at"])
    lineage.set_alive(kind=NodeKind.MODEL_VERSION, key=version.pk, alive=True)
    audit(actor, version.model, "model.restore_version", {"version": version.number})
    return version


def _forget_promotions(promotions: Any, reason: str) -> None:
    promotions.filter(state__in=LIVE).update(state=PromotionState.FAILED, reason=reason)


def put_in_lineage(version: ModelVersion) -> None:
    """Make or refresh the version's node, with its edge from the run; the state is its aliases, if any."""
    names = sorted(version.aliases.values_list("name", flat=True))
    lineage.put_node(
        project=version.project,
        kind=NodeKind.MODEL_VERSION,
        key=version.pk,
        title=version.label + (f" ({', '.join(names)})" if names else ""),
        url=version.url,
        state=version.state,
        name=version.label,
    )
    if version.run_id is not None and version.run is not None:
        lineage.link(
            source=(NodeKind.RUN, version.run.hex),
            target=(NodeKind.MODEL_VERSION, version.pk),
            kind=EdgeKind.REGISTERED_FROM,
        )


def audit(actor: Actor, model: Model, action: str, detail: dict[str, Any] | None = None) -> None:
    """One audit row about a model."""
    record_audit(
        actor=actor,
        project=model.project,
        action=action,
        subject_kind="model",
        subject_id=model.pk,
        subject_title=model.name,
        detail=detail or {},
    )
