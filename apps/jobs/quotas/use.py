"""What projects and teams use of the workers: kept up to date at the end of each attempt, and read by turns.

One row a project and not a sum over attempts: a team may have a hundred thousand of them a day, and the question is
asked before every single start.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from apps.accounts.models import Team
from apps.jobs.models import Job, JobAttempt, ProjectUse

#: Seconds after which half of what was used is forgotten.
HALF_LIFE = 600.0
#: Who has the work that belongs to no project.
STUDIO = UUID(int=0)
_USE, _ATTEMPT = ProjectUse._meta.db_table, JobAttempt._meta.db_table

# An exponent that is not bounded would end in PostgreSQL's "value out of range: underflow".
DECAYED = "{0}.recent * power(0.5, least(greatest(extract(epoch FROM now() - {0}.at), 0) / %(half)s, 60))"
TODAY = "(now() AT TIME ZONE 'UTC')::date"
_SPEND = f"""
INSERT INTO {_USE} (owner, recent, at, day, cpu_seconds)
SELECT %(owner)s, greatest(extract(epoch FROM now() - a.started_at), 0) * %(weight)s, now(), {TODAY}, %(cpu)s
FROM {_ATTEMPT} a WHERE a.job_id = %(job)s AND a.number = %(fence)s
ON CONFLICT (owner) DO UPDATE SET
  recent = {DECAYED.format(_USE)} + excluded.recent,
  at = greatest({_USE}.at, excluded.at),
  cpu_seconds = excluded.cpu_seconds + CASE WHEN {_USE}.day = excluded.day THEN {_USE}.cpu_seconds ELSE 0 END,
  day = excluded.day
"""
_TEAM = f"""
SELECT coalesce(h.jobs, 0), coalesce(h.cpu, 0) + coalesce(s.cpu, 0) FROM
  (SELECT count(*) AS jobs, sum(coalesce((j.progress->>'cpu_seconds')::float8, 0)) AS cpu
   FROM {Job._meta.db_table} j JOIN accounts_project p ON p.id = j.project_id
   WHERE j.state IN ('starting', 'running', 'stopping') AND p.team_id = %(team)s) h,
  (SELECT sum(u.cpu_seconds) AS cpu FROM {_USE} u JOIN accounts_project p ON p.id = u.owner
   WHERE p.team_id = %(team)s AND u.day = {TODAY}) s
"""


@dataclass(frozen=True)
class TeamUse:
    """jobs: that workers hold for the team now; cpu_seconds: of attempts that ended today (UTC) or run."""

    jobs: int
    cpu_seconds: float


def cpu_so_far(job: Job, measured: float | None) -> float:
    """Processor seconds of an attempt that ends: as measured, else as it last told."""
    told = (job.progress or {}).get("cpu_seconds")
    found = measured if measured is not None else told
    return float(found) if isinstance(found, int | float) else 0.0


def spend(job: Job, cpu_seconds: float) -> None:
    """Charge an attempt (job.fence) that has just ended to its project.

    The last statement of its transaction: the row is shared by all attempts of the project, and whoever locked it
    and then waited for another row could wait for somebody who waits for this one.
    """
    weight = max(1.0, float((job.resources or {}).get("cpus") or 0))
    with connection.cursor() as cursor:
        cursor.execute(
            _SPEND,
            {
                "owner": job.project_id or STUDIO,
                "weight": weight,
                "cpu": cpu_seconds,
                "job": job.pk,
                "fence": job.fence,
                "half": HALF_LIFE,
            },
        )


def team_use(team: Team | UUID) -> TeamUse:
    """What a team uses right now and has used today, in one query."""
    with connection.cursor() as cursor:
        cursor.execute(_TEAM, {"team": team.pk if isinstance(team, Team) else team})
        jobs, cpu = cursor.fetchone()
    return TeamUse(int(jobs), float(cpu))


def seconds_to_midnight(moment: datetime.datetime) -> int:
    """Until the next day (UTC) begins."""
    tomorrow = (moment + datetime.timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return max(1, int((tomorrow - moment).total_seconds()) + 1)
