"""register: the model of a run becomes the next version of a registered model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from apps.experiments.access import get_visible_run
from apps.pipelines.nodes.base import Done, Field, NodeContext, NodeKind, Output, Pending, Step, is_literal
from apps.pipelines.nodes.finding import RELATIONS, version_subject
from apps.registry.access import get_model
from apps.registry.actions import create_model, register_version
from apps.registry.models import ModelVersion
from apps.registry.states import VersionState
from foundation.errors import Conflict, Invalid, NotFound
from foundation.names import check_name


class Register(NodeKind):
    """A model that does not exist yet is made."""

    name = "register"
    title = "Register"
    help = "Makes the model of a run the next version of a registered model."
    icon = "model"
    fields = {
        "model": Field("string", "the name of the registered model; made when there is none.", required=True),
        "run": Field("run", "the run that kept the model.", required=True),
        "description": Field("string", "what this version is."),
    }
    outputs = {
        "model": Output("model", "the version, as churn/3"),
        "name": Output("string", "the name of the model"),
        "version": Output("integer", "the number of the version"),
    }

    def faults(self, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if is_literal(values["model"]):
            try:
                check_name(values["model"], field="model")
            except Invalid as error:
                yield "model", error.message

    def start(self, ctx: NodeContext) -> Step:
        run = get_visible_run(ctx.actor, ctx.project, ctx.values["run"])
        name = str(ctx.values["model"])
        try:
            model = get_model(ctx.project, name)
        except NotFound:
            model = create_model(actor=ctx.actor, project=ctx.project, name=name)
        version = register_version(
            actor=ctx.actor, model=model, run=run, description=ctx.values.get("description") or ""
        )
        return self._after(version)

    def look(self, ctx: NodeContext) -> Step:
        found = ModelVersion.objects.select_related(*RELATIONS).filter(pk=ctx.node.subject_id).first()
        if found is None or found.deleted_at is not None:
            raise Conflict("pipeline.object_gone", "The version is not there any more.")
        return self._after(found)

    @staticmethod
    def _after(version: ModelVersion) -> Step:
        subject = version_subject(version)
        if version.state == VersionState.PENDING:
            return Pending("Its model file is being read.", job=version.job, subject=subject)
        if version.state == VersionState.FAILED:
            raise Invalid("pipeline.not_registered", version.reason or f"{version.label} cannot be read.")
        return Done(
            outputs={"model": version.label, "name": version.model.name, "version": version.number},
            said=f"Registered as {version.label}.",
            subject=subject,
        )


KIND = Register()
