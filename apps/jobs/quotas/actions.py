"""Writes: set and lift the limits of a team. Only the studio's staff does that, in the admin."""

from __future__ import annotations

from django.db import transaction

from apps.accounts.access import Actor
from apps.accounts.audit import record_audit
from apps.accounts.models import Team
from apps.jobs.models import TeamLimits

FIELDS = ("concurrent_jobs", "cpu_seconds_per_day", "storage_bytes", "minimum_tier")


@transaction.atomic
def set_limits(
    *,
    actor: Actor,
    team: Team,
    concurrent_jobs: int | None,
    cpu_seconds_per_day: int | None,
    storage_bytes: int | None,
    minimum_tier: int,
) -> TeamLimits:
    """Replace the limits of a team (None = no limit). What waits and runs is measured by them at once; only the
    isolation tier counts for jobs that are submitted from now on."""
    Team.objects.select_for_update().get(pk=team.pk)
    wanted = {
        "concurrent_jobs": concurrent_jobs,
        "cpu_seconds_per_day": cpu_seconds_per_day,
        "storage_bytes": storage_bytes,
        "minimum_tier": minimum_tier,
    }
    before = TeamLimits.objects.filter(team=team).values(*FIELDS).first()
    limits, _ = TeamLimits.objects.update_or_create(team=team, defaults=wanted)
    if before != wanted:
        _audit(actor, team, "team.limits", {"before": before or {}, "after": wanted})
    return limits


@transaction.atomic
def lift_limits(*, actor: Actor, team: Team) -> None:
    """Remove all limits of a team."""
    limits = TeamLimits.objects.filter(team=team)
    before = limits.values(*FIELDS).first()
    if before is not None:
        limits.delete()
        _audit(actor, team, "team.limits", {"before": before, "after": {}})


def _audit(actor: Actor, team: Team, action: str, detail: dict[str, object]) -> None:
    record_audit(
        actor=actor,
        team=team,
        action=action,
        subject_kind="team",
        subject_id=team.pk,
        subject_title=team.slug,
        detail=detail,
    )
