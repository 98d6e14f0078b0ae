"""What stock clients do in MLflow's registry, brought into the studio: new models and versions, aliases,
renames and deletions. All idempotent: news may come twice, or late."""

from __future__ import annotations

import re
import uuid

from django.db import IntegrityError, transaction
from django.db.models import Max

from adapters.tracking import get_tracking
from apps.accounts.access import SYSTEM, Actor
from apps.accounts.models import Project
from apps.experiments.adoption import adopt_run
from apps.experiments.models import Run
from apps.registry import actions
from apps.registry.models import Model, ModelVersion
from apps.registry.promoting import record_move
from apps.registry.states import PROTECTED, MovedBy
from foundation.clock import now
from foundation.errors import Forbidden, NotFound

_RUN_ID = re.compile(r"[0-9a-f]{32}")


def adopt_model(
    *,
    actor: Actor,
    project: Project,
    name: str,
    version: int | None = None,
    run_id: str | None = None,
) -> Model:
    """Give a model that a client registered its row, and all of its versions that have none yet theirs."""
    model = _model(actor, project, name)
    known = set(ModelVersion.objects.filter(model=model).values_list("number", flat=True))
    for data in reversed(get_tracking().versions(project.pk, name)):
        if data.number in known or data.deleted:
            continue
        try:
            with transaction.atomic():
                actions.record_version(
                    actor=actor,
                    model=model,
                    data=data,
                    run=_run(actor, project, data.run_id),
                    action="model.adopt_version",
                )
        except IntegrityError:
            continue  # another process was quicker
    return model


def adopt_missing(project: Project) -> None:
    """Adopt what stock clients registered while nobody could take note of it (news that was lost)."""
    ours = dict(
        Model.objects.alive()
        .filter(project=project)
        .annotate(newest=Max("versions__number"))
        .values_list("name", "newest")
    )
    for name, theirs in get_tracking().models(project.pk).items():
        if name not in ours or (ours[name] or 0) < theirs.newest:
            adopt_model(actor=SYSTEM, project=project, name=name)


def _model(actor: Actor, project: Project, name: str) -> Model:
    found = Model.objects.alive().filter(project=project, name=name).select_related("project").first()
    if found is not None:
        model: Model = found
        return model
    try:
        with transaction.atomic():
            theirs = get_tracking().models(project.pk).get(name)
            text = theirs.description if theirs else ""
            model = Model.objects.create(project=project, name=name, description=text, created_by=actor.user)
            actions.audit(actor, model, "model.adopt")
    except IntegrityError:
        model = Model.objects.alive().select_related("project").get(project=project, name=name)
    return model


def _run(actor: Actor, project: Project, run_id: str) -> Run | None:
    if not _RUN_ID.fullmatch(run_id):
        return None
    run: Run | None = Run.objects.filter(project=project, pk=uuid.UUID(run_id)).first()
    if run is not None:
        return run
    try:
        return adopt_run(actor=actor, project=project, run_id=run_id)
    except NotFound:
        return None


@transaction.atomic
def observe_model(*, actor: Actor, project: Project, name: str) -> None:
    """Mirror the aliases that a client moved, and the descriptions it wrote."""
    model = Model.objects.alive().filter(project=project, name=name).select_related("project").first()
    if model is None:
        return
    Model.objects.select_for_update().get(pk=model.pk)
    _mirror_descriptions(actor, model)
    theirs = get_tracking().aliases(project.pk, name)
    ours = {alias.name: alias.version.number for alias in model.aliases.select_related("version")}
    versions = {version.number: version for version in model.versions.alive()}
    for alias in sorted(theirs.keys() | ours.keys()):
        number = theirs.get(alias)
        if number != ours.get(alias) and (number is None or number in versions):
            record_move(
                model=model,
                alias=alias,
                version=versions.get(number) if number is not None else None,
                actor=actor,
                moved_by=MovedBy.CLIENT,
            )


def _mirror_descriptions(actor: Actor, model: Model) -> None:
    tracking = get_tracking()
    theirs = tracking.models(model.project_id).get(model.name)
    if theirs is not None and theirs.description != model.description:
        Model.objects.filter(pk=model.pk).update(description=theirs.description, updated_at=now())
        actions.audit(actor, model, "model.update", {"before": model.name})
    described = {data.number: data.description for data in tracking.versions(model.project_id, model.name)}
    for version in model.versions.alive():
        text = described.get(version.number, version.description)
        if text != version.description:
            ModelVersion.objects.filter(pk=version.pk).update(description=text, updated_at=now())
            actions.audit(actor, model, "model.describe_version", {"version": version.number})


@transaction.atomic
def change_by_client(
    *,
    actor: Actor,
    project: Project,
    name: str,
    version: int | None = None,
    new_name: str | None = None,
) -> bool:
    """A client renames a model, or deletes it or one version of it: the studio does it, deleting into the
    trash. False for a model that the studio does not know (MLflow then does what was asked).

    Raises Forbidden "model.protected" where a protected alias stands on it, NotFound for an unknown version.
    """
    found = Model.objects.alive().filter(project=project, name=name).select_related("project").first()
    if found is None:
        return False
    model: Model = found
    if new_name is not None:
        _refuse_protected(model, None)
        actions.update_model(actor=actor, model=model, name=new_name, by_client=True)
    elif version is None:
        _refuse_protected(model, None)
        actions.trash_model(actor=actor, model=model)
    else:
        wanted = model.versions.alive().filter(number=version).select_related("model", "project").first()
        if wanted is None:
            raise NotFound(
                "model.version_not_found", f"Model Version (name={name}, version={version}) not found"
            )
        _refuse_protected(model, wanted)
        actions.trash_version(actor=actor, version=wanted)
    return True


def _refuse_protected(model: Model, version: ModelVersion | None) -> None:
    held = model.aliases.filter(name__in=PROTECTED)
    if version is not None:
        held = held.filter(version=version)
    names = sorted(held.values_list("name", flat=True))
    if names:
        raise Forbidden(
            "model.protected",
            f"{model.name} holds {' and '.join(names)}, which only a promotion moves: release it on"
            f" {model.url} first.",
        )
