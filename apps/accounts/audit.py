"""The audit trail: one row per change of meaning, in the transaction of the change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apps.accounts.access import Actor
from apps.accounts.models import AuditEvent, Project, Team


def record_audit(
    *,
    actor: Actor,
    action: str,
    project: Project | None = None,
    team: Team | None = None,
    subject_kind: str = "",
    subject_id: object = "",
    subject_title: str = "",
    detail: dict[str, Any] | None = None,
) -> AuditEvent:
    """Write who did what. `action` reads "<kind>.<verb>" (dataset.create); detail holds names and numbers,
    never secrets or data."""
    row = audit_row(
        actor=actor,
        action=action,
        project=project,
        team=team,
        subject_kind=subject_kind,
        subject_id=subject_id,
        subject_title=subject_title,
        detail=detail,
    )
    row.save(force_insert=True)
    return row


def record_audits(rows: Iterable[AuditEvent]) -> None:
    """Write several rows of `audit_row` at once."""
    AuditEvent.objects.bulk_create(rows)


def audit_row(
    *,
    actor: Actor,
    action: str,
    project: Project | None = None,
    team: Team | None = None,
    subject_kind: str = "",
    subject_id: object = "",
    subject_title: str = "",
    detail: dict[str, Any] | None = None,
) -> AuditEvent:
    """The row that says who did what, not yet written."""
    return AuditEvent(
        user=actor.user,
        actor_label=actor.label[:160],
        token_id=actor.token_id,
        team_id=project.team_id if project is not None else (team.pk if team is not None else None),
        project=project,
        action=action,
        subject_kind=subject_kind,
        subject_id=str(subject_id)[:64],
        subject_title=subject_title[:200],
        detail=detail or {},
        request_id=actor.request_id[:64],
        address=actor.address[:64],
    )
