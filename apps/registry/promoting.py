"""Promotions: ask, check, approve or reject, move the alias.

Every step is a compare-and-set on the promotion's state; moving the alias happens in one transaction with
MLflow's row, its history, audit and lineage, under a lock on the model.
"""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction

from adapters.tracking import get_tracking
from apps.accounts.access import SYSTEM, Actor, check_role, require_user, role_in_project
from apps.accounts.queries import people_of
from apps.accounts.states import Role
from apps.jobs.actions import submit
from apps.registry import events
from apps.registry.actions import audit, put_in_lineage
from apps.registry.models import Alias, AliasMove, Model, ModelVersion, Promotion
from apps.registry.states import (
    NEEDS_APPROVAL,
    PROMOTION,
    PROTECTED,
    CheckState,
    MovedBy,
    PromotionState,
    VersionState,
)
from foundation.clock import now
from foundation.errors import Conflict, Forbidden, Invalid
from foundation.events import publish
from foundation.names import check_text

CHECK = "registry.check"


def holder_of(model: Model, alias: str) -> ModelVersion | None:
    """The version that the alias names now."""
    found = Alias.objects.filter(model=model, name=alias).select_related("version__model").first()
    return found.version if found else None


@transaction.atomic
def request_promotion(*, actor: Actor, version: ModelVersion, to: object, comment: object = "") -> Promotion:
    """Ask that `to` ("staging" or "production") names this version; the checks begin at once.

    Raises Invalid for another alias, Conflict when the version holds it already, is being promoted to it, or
    is not ready.
    """
    if to not in PROTECTED:
        raise Invalid(
            "promotion.alias", f"A version is promoted to {' or '.join(PROTECTED)}.", {"field": "to"}
        )
    alias, text = str(to), check_text(comment, field="comment")
    if version.state != VersionState.READY:
        raise Conflict(
            "promotion.not_ready",
            f"{version.label} is not ready: {version.reason or 'its model file is still being read'}",
            {"state": version.state},
        )
    holder = holder_of(version.model, alias)
    if holder is not None and holder.pk == version.pk:
        raise Conflict("promotion.holds_already", f"{version.label} holds '{alias}' already.")
    try:
        with transaction.atomic():
            promotion = Promotion.objects.create(
                project=version.project,
                version=version,
                alias=alias,
                comment=text,
                holder=holder,
                created_by=actor.user,
            )
    except IntegrityError as error:
        raise Conflict(
            "promotion.running", f"{version.label} is being promoted to '{alias}' already."
        ) from error
    promotion.job = submit(
        kind=CHECK,
        project=version.project,
        created_by=actor.user,
        spec={"promotion": str(promotion.pk)},
        title=f"Check {version.label} for {alias}",
        subject=("promotion", str(promotion.pk)),
    )
    promotion.save(update_fields=["job", "updated_at"])
    audit(actor, version.model, "model.promote", {"version": version.number, "alias": alias})
    return promotion


def finish_checks(*, promotion: Promotion, checks: list[dict[str, Any]]) -> None:
    """The checks have run: refuse, wait for an approval, or move the alias. Runs inside a transaction: the
    model is locked, so that of two promotions that end together the second sees what the first has moved."""
    Model.objects.select_for_update().get(pk=promotion.version.model_id)
    failed = [check for check in checks if check["state"] == CheckState.FAILED]
    rows = Promotion.objects.filter(pk=promotion.pk)
    told: dict[str, Any] = {"checks": checks, "checked_at": now(), "updated_at": now()}
    if failed:
        sentence = " ".join(str(check["message"]) for check in failed)
        if PROMOTION.move(
            rows, to=PromotionState.REFUSED, frm=PromotionState.CHECKING, reason=sentence, **told
        ):
            audit(SYSTEM, promotion.version.model, "model.promotion_refused", _detail(promotion))
    elif _outdated(promotion):
        PROMOTION.move(
            rows, to=PromotionState.FAILED, frm=PromotionState.CHECKING, reason=_overtaken(promotion), **told
        )
    elif promotion.alias in NEEDS_APPROVAL:
        PROMOTION.move(rows, to=PromotionState.AWAITING_APPROVAL, frm=PromotionState.CHECKING, **told)
    elif PROMOTION.move(rows, to=PromotionState.APPLIED, frm=PromotionState.CHECKING, **told):
        _apply(promotion, actor=Actor(user=promotion.created_by))
    _moved(promotion)


def fail_checks(*, promotion: Promotion, reason: str) -> None:
    """The checks could not run (the job failed, was cancelled or lost). The alias stays where it is."""
    if PROMOTION.move(
        Promotion.objects.filter(pk=promotion.pk),
        to=PromotionState.FAILED,
        frm=PromotionState.CHECKING,
        reason=reason or "The checks could not run.",
    ):
        _moved(promotion)


@transaction.atomic
def approve(*, actor: Actor, promotion: Promotion, comment: object = "") -> Promotion:
    """A maintainer approves: the alias moves. Not one's own promotion while the team has another maintainer.

    Raises Forbidden below maintainer or for one's own, Conflict when it does not wait for anybody (any more).
    """
    user = require_user(actor)
    check_role(role_in_project(actor, promotion.project), Role.MAINTAINER)
    text = check_text(comment, field="comment")
    if promotion.created_by_id == user.pk and has_other_maintainer(promotion):
        raise Forbidden(
            "promotion.own",
            "This is your own promotion, and the team has another maintainer: one of them approves it.",
        )
    Model.objects.select_for_update().get(pk=promotion.version.model_id)
    if _outdated(promotion):
        moved = PROMOTION.move(
            Promotion.objects.filter(pk=promotion.pk),
            to=PromotionState.FAILED,
            frm=PromotionState.AWAITING_APPROVAL,
            reason=_overtaken(promotion),
        )
        _moved(promotion)
        if moved:
            return promotion
    if not PROMOTION.move(
        Promotion.objects.filter(pk=promotion.pk),
        to=PromotionState.APPLIED,
        frm=PromotionState.AWAITING_APPROVAL,
        decided_by=user,
        decided_at=now(),
        decision=text,
        updated_at=now(),
    ):
        raise _not_waiting(promotion)
    _apply(promotion, actor=actor)
    return _moved(promotion)


@transaction.atomic
def reject(*, actor: Actor, promotion: Promotion, comment: object = "") -> Promotion:
    """A maintainer, or whoever asked for it, says no: the alias stays. Raises Forbidden, Conflict."""
    user = require_user(actor)
    if promotion.created_by_id != user.pk:
        check_role(role_in_project(actor, promotion.project), Role.MAINTAINER)
    text = check_text(comment, field="comment")
    if not PROMOTION.move(
        Promotion.objects.filter(pk=promotion.pk),
        to=PromotionState.REJECTED,
        frm=PromotionState.AWAITING_APPROVAL,
        decided_by=user,
        decided_at=now(),
        decision=text,
        reason=text or f"Rejected by {user.label}.",
        updated_at=now(),
    ):
        raise _not_waiting(promotion)
    audit(actor, promotion.version.model, "model.promotion_rejected", _detail(promotion))
    return _moved(promotion)


@transaction.atomic
def release_alias(*, actor: Actor, model: Model, alias: str) -> None:
    """Take a protected alias away from the version that holds it: nothing holds it then.

    Raises Invalid for another alias, Conflict when nothing holds it, Forbidden below maintainer.
    """
    check_role(role_in_project(actor, model.project), Role.MAINTAINER)
    if alias not in PROTECTED:
        raise Invalid(
            "promotion.alias", f"Only {' and '.join(PROTECTED)} are released here.", {"field": "alias"}
        )
    Model.objects.select_for_update().get(pk=model.pk)
    before = holder_of(model, alias)
    if before is None:
        raise Conflict("promotion.not_held", f"No version of '{model.name}' holds '{alias}'.")
    get_tracking().delete_alias(model.project_id, model.name, alias)
    record_move(model=model, alias=alias, version=None, actor=actor, moved_by=MovedBy.STUDIO)
    audit(actor, model, "model.release_alias", {"alias": alias, "version": before.number})


def has_other_maintainer(promotion: Promotion) -> bool:
    """Whether the project has an active maintainer or owner besides the one who asked."""
    people = people_of(promotion.project, role=Role.MAINTAINER).filter(is_service=False)
    asked_by = promotion.created_by_id
    return (people.exclude(pk=asked_by) if asked_by else people).exists()


def _apply(promotion: Promotion, *, actor: Actor) -> None:
    version = promotion.version
    model = Model.objects.select_for_update().select_related("project").get(pk=version.model_id)
    get_tracking().set_alias(model.project_id, model.name, promotion.alias, version.number)
    record_move(
        model=model,
        alias=promotion.alias,
        version=version,
        actor=actor,
        moved_by=MovedBy.PROMOTION,
        promotion=promotion,
    )
    for other in Promotion.objects.filter(version__model=model, alias=promotion.alias).exclude(
        pk=promotion.pk
    ):
        if PROMOTION.move(
            Promotion.objects.filter(pk=other.pk),
            to=PromotionState.FAILED,
            frm=PromotionState.AWAITING_APPROVAL,
            reason=_overtaken(other),
        ):
            _moved(other)
    audit(actor, model, "model.alias_moved", _detail(promotion))


def record_move(
    *,
    model: Model,
    alias: str,
    version: ModelVersion | None,
    actor: Actor,
    moved_by: str,
    promotion: Promotion | None = None,
) -> None:
    """Mirror an alias that MLflow's table has (or, with None, has no more): our row, history, lineage, event."""
    before = holder_of(model, alias)
    if version is None:
        Alias.objects.filter(model=model, name=alias).delete()
    else:
        Alias.objects.update_or_create(model=model, name=alias, defaults={"version": version})
    AliasMove.objects.create(
        model=model,
        alias=alias,
        version=version,
        before=before,
        promotion=promotion,
        user=actor.user,
        moved_by=moved_by,
    )
    for touched in (before, version):
        if touched is not None:
            put_in_lineage(ModelVersion.objects.select_related("model", "project", "run").get(pk=touched.pk))
    publish(
        events.AliasMoved(
            project_id=model.project_id,
            model_id=model.pk,
            model_name=model.name,
            alias=alias,
            version_id=version.pk if version else None,
            number=version.number if version else None,
        )
    )


def _moved(promotion: Promotion) -> Promotion:
    """The row as it stands now, and the news of it."""
    promotion.refresh_from_db()
    publish(events.PromotionMoved(project_id=promotion.project_id, promotion_id=promotion.pk))
    return promotion


def _outdated(promotion: Promotion) -> bool:
    """Whether another version holds the alias now than the one the checks compared with."""
    present = holder_of(promotion.version.model, promotion.alias)
    return (present.pk if present else None) != promotion.holder_id


def _overtaken(promotion: Promotion) -> str:
    return (
        f"Another version took or left '{promotion.alias}' meanwhile. Ask again, so that the checks compare"
        " with the version that holds it now."
    )


def _detail(promotion: Promotion) -> dict[str, Any]:
    return {
        "version": promotion.version.number,
        "alias": promotion.alias,
        "promotion": str(promotion.pk),
        "before": promotion.holder.number if promotion.holder else None,
    }


def _not_waiting(promotion: Promotion) -> Conflict:
    promotion.refresh_from_db()
    return Conflict(
        "promotion.not_waiting",
        f"This promotion does not wait for an approval: it is {promotion.get_state_display().lower()}.",
        {"state": promotion.state},
    )
