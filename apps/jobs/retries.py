"""Whether an attempt that has ended is tried again, when, and what becomes of a job that is not.

Two budgets: `infra_retries_left` for attempts that were lost (nobody's code was at fault), `user_retries_left` for
failed ones, where somebody asked for that. Each backs off by its own count. What a draining worker gives back costs
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, F, OuterRef

from apps.jobs.models import Job, Worker
from apps.jobs.states import Outcome

if TYPE_CHECKING:
    from apps.jobs.attempts import Ending

# A job that took two different workers down with it is not given a third.
POISON_WORKERS = 2
WORKER_LOST = "job.worker_lost"
# Before the first, second and every further repetition, in seconds.
BACKOFF_SECONDS = (5, 30, 120)


@dataclass(frozen=True)
class Again:
    """An attempt is repeated: `budget` are the changed fields of the job, `delay` seconds it waits."""

    budget: dict[str, Any] = field(default_factory=dict)
    delay: float = 0.0


def try_again(job: Job, ending: Ending) -> Again | None:
    """How the job goes on after an attempt that is closed already; None when it is over.

    Asked under the job's row lock.
    """
    if job.cancel_requested_at is not None:
        return None
    if ending.outcome == Outcome.LOST and not ending.charged:
        return Again()
    if ending.outcome == Outcome.LOST and job.infra_retries_left > 0 and not is_poisonous(job):
        repeats = job.attempts.filter(outcome=Outcome.LOST, charged=True).count()
        # When a worker went away for the first time, nothing suggests that it would happen again.
        at_once = ending.error_code == WORKER_LOST and repeats <= 1
        return Again(
            {"infra_retries_left": F("infra_retries_left") - 1}, 0.0 if at_once else backoff(repeats)
        )
    if ending.outcome == Outcome.FAILED and job.user_retries_left > 0:
        repeats = job.attempts.filter(outcome=Outcome.FAILED).count()
        return Again({"user_retries_left": F("user_retries_left") - 1}, backoff(repeats))
    return None


def backoff(repeats: int) -> float:
    """Seconds to wait after so many attempts that ended alike (the last one included)."""
    return BACKOFF_SECONDS[min(max(repeats, 1), len(BACKOFF_SECONDS)) - 1]


def is_poisonous(job: Job) -> bool:
    """Whether workers have died of it. One that gave a sign of life after its attempt was given up (a database or a
    network that was away, a machine that slept) was not killed by the job."""
    lived_on = Worker.objects.filter(name=OuterRef("worker"), heartbeat_at__gt=OuterRef("finished_at"))
    lost = job.attempts.filter(outcome=Outcome.LOST, error_code=WORKER_LOST).exclude(Exists(lived_on))
    return lost.values("worker").distinct().order_by().count() >= POISON_WORKERS


def final(job: Job, ending: Ending) -> Ending:
    """An attempt may be lost, a job may not: out of retries it ends as errored."""
    if ending.outcome != Outcome.LOST:
        return ending
    if is_poisonous(job):
        sentence = (
            f"{POISON_WORKERS} different workers went away while they ran this job, so it is not tried again."
        )
        return replace(ending, outcome=Outcome.ERRORED, reason=sentence, error_code="job.poison")
    sentence = f"{ending.reason} No retries are left."
    return replace(ending, outcome=Outcome.ERRORED, reason=sentence, error_code="job.lost")
