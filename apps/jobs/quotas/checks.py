"""Asked before something begins: may the team still do this? A team without limits costs one small query."""

from __future__ import annotations

from apps.accounts.models import Project
from apps.accounts.usage import kept_by
from apps.jobs.models import TeamLimits
from apps.jobs.quotas.use import seconds_to_midnight, team_use
from foundation.clock import iso, now
from foundation.errors import Forbidden, TooMany
from foundation.ui.values import duration, size


def limits_of(project: Project) -> TeamLimits | None:
    """The limits of a project's team, if it has any."""
    return TeamLimits.objects.select_related("team").filter(team=project.team_id).first()


def check_start(project: Project) -> int:
    """Before work is accepted that costs processor time. Returns the weakest isolation tier that may run it.

    Raises TooMany "quota.cpu_seconds" when the day's processor time is used up, Forbidden "quota.storage" when the
    team keeps as many bytes as it may.
    """
    limits = limits_of(project)
    if limits is None:
        return 0
    _check_cpu(limits)
    _check_bytes(limits, 0)
    return limits.minimum_tier


def check_storage(project: Project, adding: int) -> None:
    """Before `adding` bytes are kept for good. Raises Forbidden "quota.storage"."""
    limits = limits_of(project)
    if limits is not None:
        _check_bytes(limits, adding)


def _check_cpu(limits: TeamLimits) -> None:
    allowed = limits.cpu_seconds_per_day
    if allowed is None:
        return
    used = team_use(limits.team_id).cpu_seconds
    if used < allowed:
        return
    if not allowed:
        raise TooMany(
            "quota.cpu_seconds",
            f"The team {limits.team.name} may use no processor time; an administrator of the studio can allow some.",
            {"team": limits.team.slug, "limit": 0, "used": round(used, 1)},
            retry_after=3600,
        )
    moment = now()
    left = seconds_to_midnight(moment)
    raise TooMany(
        "quota.cpu_seconds",
        f"The team {limits.team.name} has used {duration(used)} of the {duration(allowed)} of processor time "
        f"that it has a day. It can start work again at midnight UTC, in {duration(left)}.",
        {
            "team": limits.team.slug,
            "limit": allowed,
            "used": round(used, 1),
            "seconds_left": left,
            "at": iso(moment),
        },
        retry_after=left,
    )


def _check_bytes(limits: TeamLimits, adding: int) -> None:
    allowed = limits.storage_bytes
    if allowed is None:
        return
    used = kept_by(limits.team)
    if used + adding <= allowed and (adding or used < allowed):
        return
    more = f", and {size(adding)} would be added" if adding else ""
    raise Forbidden(
        "quota.storage",
        f"The team {limits.team.name} keeps {size(used)} of the {size(allowed)} that it may{more}. "
        "Delete what is not needed, or ask an administrator for more.",
        {"team": limits.team.slug, "limit": allowed, "used": used, "adding": adding},
    )
