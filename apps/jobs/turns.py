"""Whose turn it is: the next jobs that a worker may take.

Between projects the turn goes to the one that has used least: seconds in which it held slots, half of which is
forgotten every ten minutes, and what it holds now. Within a project the higher priority goes first, then the
older job. So ten thousand trials of one project, however urgent it calls them, do not hold up another's only run.
Jobs of a team that holds as many as it may, or that has used its processor time of the day, are passed over.

The query walks the index jobs_by_turn from project to project and looks at the first jobs of each: it costs what
the number of projects with waiting work costs, and not what the number of waiting jobs would.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from apps.jobs import nodes
from apps.jobs.capacity import Capacity
from apps.jobs.models import Job, ProjectUse, TeamLimits
from apps.jobs.placement import NO_BOUND, Needs, fits, room_of, total_of
from apps.jobs.quotas.use import DECAYED, HALF_LIFE, STUDIO, TODAY
from apps.jobs.states import ACTIVE

LOOK_AHEAD = 10
#: So many jobs of each project are looked at: some may be taken by others meanwhile.
OF_EACH = 4
#: A job that has just begun counts as if it had held its slot for so many seconds.
BEGUN = 1.0
#: Seconds that a job waits for enough to be left before one worker keeps its room for it.
PATIENCE = 60.0
_JOB, _LIMITS, _USE = (model._meta.db_table for model in (Job, TeamLimits, ProjectUse))

_FIRST = """
  SELECT j.id, j.priority, j.queued_at, j.resources FROM {job} j
  WHERE j.state = 'queued' AND j.queue = t.queue AND j.project_id {same}
    AND (j.not_before IS NULL OR j.not_before <= now()) AND j.minimum_tier <= %(tier)s
    AND (j.place = 'platform' OR NOT t.spent)
    AND (%(overdue)s = 0 OR j.queued_at <= now() - make_interval(secs => %(overdue)s))
    AND (j.resources = '{{}}'::jsonb OR (
      coalesce((j.resources->>'cpus')::float8, 0) <= %(cpus)s
      AND coalesce((j.resources->>'memory_bytes')::float8, 0) <= %(memory)s
      AND coalesce((j.resources->>'gpus')::float8, 0) <= %(gpus)s))
  ORDER BY j.priority DESC, j.queued_at LIMIT %(each)s
"""
_NEXT = f"""
WITH RECURSIVE wanted AS (SELECT unnest(%(queues)s::text[])::varchar AS queue),
heads (queue, project_id) AS (
  SELECT w.queue, (SELECT j.project_id FROM {_JOB} j WHERE j.state = 'queued' AND j.queue = w.queue
    AND j.project_id IS NOT NULL ORDER BY j.project_id LIMIT 1) FROM wanted w
  UNION ALL
  SELECT h.queue, (SELECT j.project_id FROM {_JOB} j WHERE j.state = 'queued' AND j.queue = h.queue
    AND j.project_id > h.project_id ORDER BY j.project_id LIMIT 1) FROM heads h WHERE h.project_id IS NOT NULL
),
held AS (
  SELECT coalesce(j.project_id, %(studio)s) AS owner, count(*) AS jobs,
    sum((extract(epoch FROM now() - coalesce(j.started_at, now())) + %(begun)s)
        * greatest(1, coalesce((j.resources->>'cpus')::float8, 1))) AS seconds,
    sum(coalesce((j.progress->>'cpu_seconds')::float8, 0)) AS cpu
  FROM {_JOB} j WHERE j.state IN ('starting', 'running', 'stopping') GROUP BY 1
),
limited AS (
  SELECT l.team_id, l.concurrent_jobs IS NOT NULL AS counted,
    coalesce(coalesce(sum(h.jobs), 0) >= l.concurrent_jobs, false) AS fully,
    coalesce(coalesce(sum(h.cpu), 0) + coalesce(sum(u.cpu_seconds), 0) >= l.cpu_seconds_per_day, false) AS spent
  FROM {_LIMITS} l JOIN accounts_project p ON p.team_id = l.team_id
  LEFT JOIN held h ON h.owner = p.id LEFT JOIN {_USE} u ON u.owner = p.id AND u.day = {TODAY}
  WHERE l.concurrent_jobs IS NOT NULL OR l.cpu_seconds_per_day IS NOT NULL
  GROUP BY l.team_id, l.concurrent_jobs, l.cpu_seconds_per_day
),
turn AS (
  SELECT h.queue, h.project_id, coalesce(l.spent, false) AS spent,
    CASE WHEN l.counted THEN p.team_id END AS team_id,
    coalesce({DECAYED.format("u")}, 0) + coalesce(held.seconds, 0) AS used
  FROM heads h JOIN accounts_project p ON p.id = h.project_id
  LEFT JOIN limited l ON l.team_id = p.team_id LEFT JOIN held ON held.owner = h.project_id
  LEFT JOIN {_USE} u ON u.owner = h.project_id
  WHERE NOT coalesce(l.fully, false)
),
studio AS (
  SELECT w.queue, false AS spent, coalesce(
    (SELECT {DECAYED.format("u")} FROM {_USE} u WHERE u.owner = %(studio)s), 0)
    + coalesce((SELECT seconds FROM held WHERE owner = %(studio)s), 0) AS used
  FROM wanted w
)
SELECT id, team_id, resources FROM (
  SELECT j.*, t.team_id, t.used FROM turn t, LATERAL ({_FIRST.format(job=_JOB, same="= t.project_id")}) j
  UNION ALL
  SELECT j.*, NULL, t.used FROM studio t, LATERAL ({_FIRST.format(job=_JOB, same="IS NULL")}) j
) found ORDER BY used, priority DESC, queued_at LIMIT %(limit)s
"""
_HELD_BY_TEAM = f"""
SELECT count(*) FROM {_JOB} j JOIN accounts_project p ON p.id = j.project_id
WHERE j.state IN ('starting', 'running', 'stopping') AND p.team_id = %s
"""


@dataclass(frozen=True)
class Candidate:
    """A job that may be taken now. team: whose number of jobs is limited, to be asked again when it is claimed."""

    job_id: UUID
    needs: Needs
    team: UUID | None = None

    def admitted(self) -> bool:
        """Whether the team may hold one more. To be asked in the transaction that claims the job: it keeps others
        from claiming for the same team until that is over, so that two workers never take the same last place."""
        if self.team is None:
            return True
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"jobs {self.team}"])
            limit = (
                TeamLimits.objects.filter(team=self.team).values_list("concurrent_jobs", flat=True).first()
            )
            if limit is None:
                return True
            cursor.execute(_HELD_BY_TEAM, [self.team])
            return bool(cursor.fetchone()[0] < limit)


def next_jobs(
    *, queues: Sequence[str], tier: int, room: Needs = NO_BOUND, overdue: float = 0.0, limit: int = LOOK_AHEAD
) -> list[Candidate]:
    """The jobs that a worker serving `queues` at isolation `tier` with `room` left may take, best first.

    overdue: only such as have waited for so many seconds.
    """
    if not queues:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            _NEXT,
            {
                "queues": list(queues),
                "tier": tier,
                "cpus": room.cpus,
                "memory": room.memory_bytes,
                "gpus": room.gpus,
                "overdue": float(overdue),
                "each": OF_EACH,
                "limit": limit,
                "half": HALF_LIFE,
                "begun": BEGUN,
                "studio": STUDIO,
            },
        )
        rows = cursor.fetchall()
    return [Candidate(pk, Needs.of(_read(resources)), team) for pk, team, resources in rows]


def next_for(
    *, queues: Sequence[str], tier: int, capacity: Capacity, worker: str, overdue: float = 0.0
) -> list[Candidate]:
    """The same for a worker, with what it has left.

    A large job would wait for ever while small ones take whatever is given back. One that has waited for PATIENCE
    therefore has the room of one worker kept for it: of the first by name that is large enough.
    """
    room = capacity.room()
    found = next_jobs(queues=queues, tier=tier, room=room, overdue=overdue)
    if room == capacity.total or not any(one.needs for one in found):
        return found
    patient = next_jobs(queues=queues, tier=tier, room=capacity.total, overdue=PATIENCE)
    large = [one.needs for one in patient if not fits(one.needs, room)]
    if any(_first_for(needs, queues, tier) == worker for needs in large):
        return [one for one in found if not one.needs]
    return found


def _first_for(needs: Needs, queues: Sequence[str], tier: int) -> str:
    names = [
        one.name
        for one in nodes.living().filter(tier__gte=tier)
        if set(queues) & set(one.queues) and fits(needs, total_of(one.resources))
    ]
    return min(names, default="")


def overlooked(overdue: float) -> list[tuple[UUID, str]]:
    """(id, queue) of jobs that have waited for so many seconds although a living worker has a slot and room for
    them: at most as many as there are such slots."""
    held: dict[str, list[Needs]] = defaultdict(list)
    for name, resources in Job.objects.filter(state__in=ACTIVE).values_list("worker", "resources"):
        held[name].append(Needs.of(resources or {}))
    found: dict[UUID, None] = {}
    for worker in nodes.living():
        mine = held[worker.name]
        free = worker.slots - len(mine)
        if free > 0:
            room = room_of(worker.resources, mine)
            ready = next_jobs(queues=worker.queues, tier=worker.tier, room=room, overdue=overdue, limit=free)
            found |= dict.fromkeys(one.job_id for one in ready)
    return list(Job.objects.filter(pk__in=found).values_list("pk", "queue"))


def _read(resources: object) -> dict[str, object]:
    found = json.loads(resources) if isinstance(resources, str) else resources
    return found if isinstance(found, dict) else {}
