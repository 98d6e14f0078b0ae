"""promote: ask that an alias names a version, and wait for checks and approval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

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
from apps.pipelines.nodes.finding import find_version
from apps.registry.models import Promotion
from apps.registry.promoting import reject, request_promotion
from apps.registry.states import PROTECTED, PromotionState
from foundation.errors import AtelierError, Conflict, Invalid

WORDS = {
    PromotionState.REFUSED: "The checks refused it",
    PromotionState.REJECTED: "It was rejected",
    PromotionState.FAILED: "It could not be promoted",
}


class Promote(NodeKind):
    """A version that holds the alias already is done at once."""

    name = "promote"
    title = "Promote"
    help = "Asks that staging or production names a version; waits for the checks and the approval."
    icon = "alias"
    fields = {
        "model": Field("model", 'the version, such as "churn/3".', required=True),
        "to": Field("string", '"staging" or "production".', required=True),
        "comment": Field("string", "what whoever approves should know."),
    }
    outputs = {
        "model": Output("model", "the version that holds the alias now, as churn/3"),
        "alias": Output("string", "staging or production"),
        "promotion": Output(
            "promotion", "the id of the promotion; null when the version held the alias already"
        ),
    }

    def faults(self, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if is_literal(values["to"]) and values["to"] not in PROTECTED:
            yield "to", f"A version is promoted to {' or '.join(PROTECTED)}."

    def start(self, ctx: NodeContext) -> Step:
        version = find_version(ctx.project, ctx.values["model"])
        alias = str(ctx.values["to"])
        comment = ctx.values.get("comment") or f"Asked for by the pipeline run {ctx.run.label}."
        try:
            promotion = request_promotion(actor=ctx.actor, version=version, to=alias, comment=comment)
        except Conflict as error:
            if error.code != "promotion.holds_already":
                raise
            return Done(
                outputs={"model": version.label, "alias": alias, "promotion": None},
                said=error.message,
                subject=Subject("model_version", str(version.pk), version.label, version.url),
            )
        return Pending(
            "The checks are running.",
            job=promotion.job,
            subject=Subject("promotion", str(promotion.pk), f"{version.label} to {alias}", version.url),
        )

    def look(self, ctx: NodeContext) -> Step:
        promotion = (
            Promotion.objects.filter(pk=ctx.node.subject_id)
            .select_related("version__model", "decided_by")
            .first()
        )
        if promotion is None:
            raise Invalid("pipeline.object_gone", "The promotion is not there any more.")
        if promotion.state == PromotionState.CHECKING:
            return Pending("The checks are running.")
        if promotion.state == PromotionState.AWAITING_APPROVAL:
            return Pending("Waits for the approval of a maintainer.")
        if promotion.state == PromotionState.APPLIED:
            label = promotion.version.label
            return Done(
                outputs={"model": label, "alias": promotion.alias, "promotion": str(promotion.pk)},
                said=f"{label} holds '{promotion.alias}'.",
            )
        why = promotion.reason.rstrip(".")
        raise Conflict(
            "pipeline.not_promoted", f"{WORDS[PromotionState(promotion.state)]}{f': {why}' if why else ''}."
        )

    def cancel(self, ctx: NodeContext) -> None:
        """A request that waits for somebody is withdrawn."""
        super().cancel(ctx)
        waiting = (
            Promotion.objects.filter(pk=ctx.node.subject_id, state=PromotionState.AWAITING_APPROVAL)
            .select_related("version__model", "project", "created_by")
            .first()
            if ctx.node.subject_kind == "promotion"
            else None
        )
        if waiting is not None:
            try:
                reject(
                    actor=ctx.actor,
                    promotion=waiting,
                    comment=f"The pipeline run {ctx.run.label} was stopped.",
                )
            except AtelierError:
                return  # decided in this moment, or the person may not any more: it stays for the maintainers


KIND = Promote()
