"""deploy: let a deployment answer with a version, and wait until it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.urls import reverse

from apps.accounts.states import Role
from apps.deployments.actions import create_deployment, deploy_version, start_deployment
from apps.deployments.models import Deployment, Revision
from apps.deployments.source import parse, resolve
from apps.deployments.states import DeploymentState, RevisionState, Wanted
from apps.jobs.models import Job
from apps.lineage.states import NodeKind as LineageKind
from apps.pipelines.nodes.base import (
    Done,
    Field,
    NodeContext,
    NodeKind,
    Output,
    Pending,
    Step,
    Subject,
    is_literal,
)
from foundation.errors import Conflict, Invalid
from foundation.names import check_name

NOTES = {
    RevisionState.BUILDING: "It is being built.",
    RevisionState.BUILT: "Its process is about to start.",
    RevisionState.STARTING: "Its process is starting.",
}


class Deploy(NodeKind):
    """A new deployment, or the next revision of the one that has the name; the old one answers until then."""

    name = "deploy"
    title = "Deploy"
    help = "Creates a deployment, or changes it to a version, and waits until it answers."
    icon = "deployment"
    role = Role.MAINTAINER
    fields = {
        "deployment": Field("string", "the name of the deployment; made when there is none.", required=True),
        "model": Field(
            "model", 'what it answers with, "churn/3" or "churn@production" (then followed).', required=True
        ),
    }
    outputs = {
        "deployment": Output("deployment", "its name"),
        "revision": Output("integer", "the number of the revision that answers"),
        "model": Output("model", "the version that answers, as churn/3"),
        "url": Output("string", "the path of its prediction address"),
    }

    def faults(self, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for name, check in (("deployment", check_name), ("model", parse)):
            if is_literal(values[name]):
                try:
                    check(values[name])
                except Invalid as error:
                    yield name, error.message

    def start(self, ctx: NodeContext) -> Step:
        name, model = str(ctx.values["deployment"]), str(ctx.values["model"])
        rows = Deployment.objects.alive().filter(project=ctx.project, name=name)
        deployment = rows.select_related("project", "current", "created_by").first()
        if deployment is None:
            deployment = create_deployment(actor=ctx.actor, project=ctx.project, name=name, model=model)
            return _after(_newest(deployment))
        newest = deployment.revisions.select_related("deployment__project", "deployment__current").first()
        source = resolve(ctx.project, model)
        same = newest is not None and newest.model_version_id == source.version_id
        if newest is not None and newest.state == RevisionState.BUILDING and not same:
            return Pending(f"Waits until revision {newest.number} of {name} has been built.")
        if (
            same
            and deployment.model_ref == source.ref
            and newest is not None
            and newest.state != RevisionState.FAILED
        ):
            start_deployment(actor=ctx.actor, deployment=deployment)
            return _after(_newest(deployment))
        deploy_version(actor=ctx.actor, deployment=deployment, model=model)
        start_deployment(actor=ctx.actor, deployment=deployment)
        return _after(_newest(deployment))

    def look(self, ctx: NodeContext) -> Step:
        revision = (
            Revision.objects.filter(pk=ctx.node.subject_id)
            .select_related("deployment__project", "deployment__current")
            .first()
        )
        if revision is None or revision.deployment.deleted_at is not None:
            raise Invalid("pipeline.object_gone", "The deployment is not there any more.")
        return _after(revision)

    def cancel(self, ctx: NodeContext) -> None:
        """A deployment is nobody's to stop but a person's: it goes on."""


def _newest(deployment: Deployment) -> Revision:
    """A deployment has one from its first moment."""
    return deployment.revisions.select_related("deployment__project", "deployment__current").latest("number")


def _after(revision: Revision) -> Step:
    """How far the revision is. Raises Conflict when it will never answer."""
    deployment = revision.deployment
    subject = Subject(
        "revision",
        str(revision.pk),
        f"{deployment.name}, revision {revision.number} ({revision.model_label})",
        reverse("deployments:detail", args=[deployment.project.slug, deployment.name]),
        made=(LineageKind.DEPLOYMENT, deployment.pk),
    )
    gone = revision.state in (RevisionState.DRAINING, RevisionState.RETIRED)
    if revision.state == RevisionState.READY or (gone and revision.ready_at is not None):
        replaced = "" if revision.state == RevisionState.READY else ", and has been replaced since"
        return Done(
            outputs={
                "deployment": deployment.name,
                "revision": revision.number,
                "model": revision.model_label,
                "url": deployment.predict_path,
            },
            said=f"{deployment.name} answers with {revision.model_label}{replaced}.",
            subject=subject,
        )
    if revision.state == RevisionState.FAILED:
        raise Conflict("pipeline.not_deployed", revision.reason or f"{subject.title} did not come up.")
    if revision.state == RevisionState.RETIRED:
        raise Conflict("pipeline.not_deployed", f"{subject.title} was replaced before it answered.")
    if deployment.wanted == Wanted.STOPPED or deployment.state == DeploymentState.FAILED:
        said = (
            deployment.reason or f"{deployment.name} was stopped before revision {revision.number} answered."
        )
        raise Conflict("pipeline.not_deployed", said)
    job = Job.objects.filter(pk=revision.job_id).first() if revision.job_id else None
    return Pending(NOTES.get(RevisionState(revision.state), ""), job=job, subject=subject)


KIND = Deploy()
