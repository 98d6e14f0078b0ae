"""What a team may use and uses, for its page and the API."""

from __future__ import annotations

from dataclasses import dataclass

from apps.accounts.models import Team
from apps.accounts.usage import BYTES, COUNT, SECONDS, Allowance, kept_by
from apps.jobs.models import TeamLimits
from apps.jobs.quotas.use import team_use


@dataclass(frozen=True)
class Standing:
    """A team's limits beside what it uses; limits is None when it has none."""

    limits: TeamLimits | None
    jobs: int
    cpu_seconds: float
    stored: int


def standing_of(team: Team) -> Standing:
    """What is allowed and used right now."""
    used = team_use(team)
    return Standing(TeamLimits.objects.filter(team=team).first(), used.jobs, used.cpu_seconds, kept_by(team))


def allowances(team: Team) -> list[Allowance]:
    """The limits that a team has, for its page."""
    limits = TeamLimits.objects.filter(team=team).first()
    if limits is None:
        return []
    used = team_use(team)
    found = []
    if limits.concurrent_jobs is not None:
        found.append(Allowance("Jobs at once", used.jobs, limits.concurrent_jobs, COUNT, "further jobs wait"))
    if limits.cpu_seconds_per_day is not None:
        note = "since midnight UTC; then no new work begins before the next day"
        found.append(
            Allowance("Processor time today", used.cpu_seconds, limits.cpu_seconds_per_day, SECONDS, note)
        )
    if limits.storage_bytes is not None:
        note = "then uploads and new work are refused"
        found.append(Allowance("Stored", kept_by(team), limits.storage_bytes, BYTES, note))
    return found
