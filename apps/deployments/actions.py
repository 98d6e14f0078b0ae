"""Writes that people and the registry's news ask for. Each is atomic and leaves an audit row."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max

from apps.accounts.access import Actor
from apps.accounts.audit import record_audit
from apps.accounts.models import Project
from apps.deployments import events
from apps.deployments.models import Deployment, Revision
from apps.deployments.source import Source, resolve
from apps.deployments.states import DEPLOYMENT, REVISION, DeploymentState, RevisionState, Wanted
from apps.jobs.actions import submit
from apps.lineage import actions as lineage
from apps.lineage.states import EdgeKind, NodeKind
from foundation.clock import now
from foundation.errors import Conflict, Invalid
from foundation.events import publish
from foundation.names import check_name, check_text

BUILD_TIMEOUT = 900


def _audit(actor: Actor, deployment: Deployment, verb: str, **detail: Any) -> None:
    record_audit(
        actor=actor,
        project=deployment.project,
        action=f"deployment.{verb}",
        subject_kind="deployment",
        subject_id=deployment.pk,
        subject_title=deployment.name,
        detail=detail,
    )


def page_path(deployment: Deployment) -> str:
    """The path of the deployment's page."""
    return f"/p/{deployment.project.slug}/deployments/{deployment.name}"


def _put_node(deployment: Deployment) -> None:
    lineage.put_node(
        project=deployment.project,
        kind=NodeKind.DEPLOYMENT,
        key=deployment.pk,
        title=deployment.name,
        url=page_path(deployment),
        state=deployment.state,
        name=deployment.name,
    )


def _duplicate(name: str) -> Conflict:
    return Conflict(
        "deployment.duplicate", f"There is already a deployment '{name}' in this project.", {"name": name}
    )


def _check_free(name: str) -> str:
    """The name, when it is one and no page has its address. Raises Invalid."""
    if check_name(name) == "new":
        raise Invalid(
            "name.invalid", "'new' is the address of a page; choose another name.", {"field": "name"}
        )
    return name


def create_deployment(
    *, actor: Actor, project: Project, name: str, model: str, description: str = ""
) -> Deployment:
    """Deploy a model version ("churn/3") or whatever an alias names ("churn@production", then followed).

    Returns the deployment in state *starting*; its first revision is being built by a job. Raises Invalid for
    a bad name, NotFound "model.…" for an unknown model, version or alias, Conflict "deployment.duplicate".
    """
    _check_free(name)
    source = resolve(project, model)
    try:
        with transaction.atomic():
            deployment = Deployment.objects.create(
                project=project,
                created_by=actor.user,
                name=name,
                description=check_text(description, field="description"),
                model_ref=source.ref,
                model_name=source.model_name,
                alias=source.alias,
            )
            _put_node(deployment)
            _audit(actor, deployment, "create", model=source.ref, version=source.label)
            _add_revision(actor=actor, deployment=deployment, source=source)
            publish(events.DeploymentCreated(deployment_id=deployment.pk))
    except IntegrityError as error:
        if "deployment_name_in_project" in str(error):
            raise _duplicate(name) from error
        raise
    return deployment


def _add_revision(*, actor: Actor, deployment: Deployment, source: Source) -> Revision:
    """A new revision and the job that builds it. The deployment row is locked while its number is taken."""
    Deployment.objects.select_for_update().get(pk=deployment.pk)
    number = (deployment.revisions.aggregate(n=Max("number"))["n"] or 0) + 1
    revision = Revision.objects.create(
        deployment=deployment,
        number=number,
        model_name=source.model_name,
        model_version=source.number,
        model_version_id=source.version_id,
        created_by=actor.user,
    )
    job = submit(
        kind="deployments.build",
        project=deployment.project,
        created_by=actor.user or deployment.created_by,
        spec={"revision": str(revision.pk), "files_prefix": source.prefix},
        title=f"Build revision {number} of {deployment.name} ({source.label})",
        subject=("deployment", str(deployment.pk)),
        timeout=BUILD_TIMEOUT,
    )
    Revision.objects.filter(pk=revision.pk).update(job_id=job.pk)
    revision.job_id = job.pk
    lineage.link(
        source=(NodeKind.MODEL_VERSION, source.version_id),
        target=(NodeKind.DEPLOYMENT, deployment.pk),
        kind=EdgeKind.SERVES,
    )
    return revision


@transaction.atomic
def deploy_version(*, actor: Actor, deployment: Deployment, model: str) -> Revision:
    """Change a deployment to another version (or alias) of any model of the project, blue/green: the revision
    that answers now goes on until the new one has been built, started and checked."""
    source = resolve(deployment.project, model)
    newest = deployment.revisions.first()
    if newest is not None and newest.state == RevisionState.BUILDING:
        raise Conflict(
            "deployment.building",
            f"Revision {newest.number} ({newest.model_label}) is still being built; wait for it to end.",
            {"revision": newest.number},
        )
    Deployment.objects.filter(pk=deployment.pk).update(
        model_ref=source.ref, model_name=source.model_name, alias=source.alias, updated_at=now()
    )
    deployment.refresh_from_db()
    revision = _add_revision(actor=actor, deployment=deployment, source=source)
    _audit(actor, deployment, "revise", model=source.ref, version=source.label, revision=revision.number)
    return revision


@transaction.atomic
def follow_alias(*, actor: Actor, deployment: Deployment) -> Revision | None:
    """The alias that the deployment follows has moved: deploy what it names now. None when that is what the
    newest revision already has. Safe to repeat."""
    if not deployment.alias:
        return None
    locked = Deployment.objects.select_for_update().select_related("project").get(pk=deployment.pk)
    source = resolve(locked.project, locked.model_ref)
    newest = locked.revisions.first()
    if newest is not None and newest.model_version_id == source.version_id:
        return None
    revision = _add_revision(actor=actor, deployment=locked, source=source)
    _audit(actor, locked, "follow", model=source.ref, version=source.label, revision=revision.number)
    return revision


@transaction.atomic
def stop_deployment(*, actor: Actor, deployment: Deployment) -> Deployment:
    """Take it off the air: open requests end, further ones get 503. Stopping twice changes nothing."""
    rows = Deployment.objects.filter(pk=deployment.pk)
    if rows.filter(wanted=Wanted.RUNNING).update(wanted=Wanted.STOPPED, updated_at=now()):
        DEPLOYMENT.move(rows, to=DeploymentState.STOPPING, reason="", state_changed_at=now())
        _audit(actor, deployment, "stop")
    deployment.refresh_from_db()
    lineage.set_state(kind=NodeKind.DEPLOYMENT, key=deployment.pk, state=deployment.state)
    return deployment


@transaction.atomic
def start_deployment(*, actor: Actor, deployment: Deployment) -> Deployment:
    """Bring it back (also after it failed, with its newest model version). Starting twice changes nothing."""
    rows = Deployment.objects.filter(pk=deployment.pk)
    idle = deployment.wanted == Wanted.STOPPED or deployment.state == DeploymentState.FAILED
    if idle and DEPLOYMENT.move(
        rows,
        to=DeploymentState.STARTING,
        frm=[DeploymentState.STOPPED, DeploymentState.STOPPING, DeploymentState.FAILED],
        wanted=Wanted.RUNNING,
        reason="",
        restarts=0,
        state_changed_at=now(),
    ):
        _audit(actor, deployment, "start")
        _revive(actor, deployment)
    deployment.refresh_from_db()
    lineage.set_state(kind=NodeKind.DEPLOYMENT, key=deployment.pk, state=deployment.state)
    return deployment


def _revive(actor: Actor, deployment: Deployment) -> None:
    """Give a failed newest revision another try: its Bento again, or a new build when there is none."""
    newest = deployment.revisions.first()
    if newest is None or newest.state != RevisionState.FAILED:
        return
    if newest.bento_prefix:
        REVISION.move(
            Revision.objects.filter(pk=newest.pk), to=RevisionState.BUILT, frm=RevisionState.FAILED, reason=""
        )
    else:
        _add_revision(
            actor=actor, deployment=deployment, source=resolve(deployment.project, deployment.model_ref)
        )


@transaction.atomic
def trash_deployment(*, actor: Actor, deployment: Deployment) -> None:
    """Move it to the trash: it stops answering; its inferences stay until it is purged."""
    if Deployment.objects.filter(pk=deployment.pk, deleted_at__isnull=True).update(
        deleted_at=now(), wanted=Wanted.STOPPED
    ):
        DEPLOYMENT.move(
            Deployment.objects.filter(pk=deployment.pk),
            to=DeploymentState.STOPPING,
            reason="",
            state_changed_at=now(),
        )
        lineage.set_alive(kind=NodeKind.DEPLOYMENT, key=deployment.pk, alive=False)
        _audit(actor, deployment, "trash")


def restore_deployment(*, actor: Actor, deployment: Deployment) -> Deployment:
    """Take it out of the trash, stopped. Raises Conflict when its name was given away meanwhile."""
    try:
        with transaction.atomic():
            Deployment.objects.filter(pk=deployment.pk).update(deleted_at=None)
            lineage.set_alive(kind=NodeKind.DEPLOYMENT, key=deployment.pk, alive=True)
            _audit(actor, deployment, "restore")
    except IntegrityError as error:
        raise _duplicate(deployment.name) from error
    deployment.refresh_from_db()
    return deployment


def update_deployment(
    *, actor: Actor, deployment: Deployment, name: str | None = None, description: str | None = None
) -> Deployment:
    """Rename (its address changes with it) or describe; what is None stays."""
    changed: dict[str, Any] = {}
    if name is not None and name != deployment.name:
        changed["name"] = _check_free(name)
    if description is not None:
        changed["description"] = check_text(description, field="description")
    if not changed:
        return deployment
    try:
        with transaction.atomic():
            Deployment.objects.filter(pk=deployment.pk).update(**changed, updated_at=now())
            deployment.refresh_from_db()
            _put_node(deployment)
            _audit(actor, deployment, "update", **changed)
    except IntegrityError as error:
        raise _duplicate(str(name)) from error
    return deployment


@transaction.atomic
def change_deployment(
    *,
    actor: Actor,
    deployment: Deployment,
    name: str | None = None,
    description: str | None = None,
    model: str | None = None,
) -> Deployment:
    """Rename, describe, or deploy another version, all or nothing; what is None stays."""
    updated = update_deployment(actor=actor, deployment=deployment, name=name, description=description)
    if model is not None:
        deploy_version(actor=actor, deployment=updated, model=model)
        updated.refresh_from_db()
    return updated
