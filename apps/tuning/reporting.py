"""What a trial at work tells the studio, and what it hears of the others. The decision to end it is its own: the
program in the sandbox asks the search engine, so that neither web nor worker ever imports it."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from adapters.search import needed_steps
from apps.accounts.access import Actor
from apps.experiments import algorithms
from apps.tuning.choosing import first_step, steps_of
from apps.tuning.models import Study, Trial
from apps.tuning.settling import best_trial, is_value, steps
from apps.tuning.states import Pruner, TrialState
from foundation.errors import Conflict, Forbidden, Invalid

#: More values than this are a mistake of the reporter.
STEPS_AT_MOST = 1000
STEP_AT_MOST = 10**9


def report_url(trial: Trial, tracking_uri: str) -> str:
    """Where a trial reports: the studio as its child reaches it."""
    base, project = tracking_uri.removesuffix("/mlflow").rsplit("/p/", 1)
    return f"{base}/api/v1/projects/{project}/trials/{trial.run.hex}/reports"


def trial_payload(trial: Trial) -> dict[str, Any]:
    """What the program is told of its study."""
    study = trial.study
    algorithm = algorithms.get(study.algorithm)
    return {
        "number": trial.number,
        "metric": study.metric,
        "maximize": study.maximizes,
        "pruner": study.pruner,
        "steps": steps_of(algorithm, study.folds),
        "first": first_step(algorithm, study.folds),
    }


def check_reporter(actor: Actor, trial: Trial) -> None:
    """Only the job that runs the trial reports for it. Raises Forbidden."""
    job = trial.run.job
    if job is None or actor.job_id != job.pk or actor.fence != job.fence:
        raise Forbidden("trial.not_yours", "Only the job that runs a trial reports for it.")


def record_report(*, trial: Trial, step: object, value: object) -> dict[str, Any]:
    """Keep a value on the way and answer what the pruner needs: the peers' values, and the best result so far.

    Without a step nothing is kept: the program only asks. Raises Invalid "trial.report", Conflict "trial.over".
    """
    if not is_value(value):
        raise Invalid("trial.report", "The value must be a finite number.", {"field": "value"})
    number: int | None = None
    if step is not None:
        if not isinstance(step, int) or isinstance(step, bool) or not 1 <= step <= STEP_AT_MOST:
            raise Invalid("trial.report", "The step must be a whole number from 1.", {"field": "step"})
        number = step
        _keep(trial, step, float(value))  # type: ignore[arg-type]  # checked above
    best = best_trial(trial.study)
    return {
        "peers": peers_of(trial, number) if number is not None else [],
        "best": best.value if best else None,
    }


@transaction.atomic
def _keep(trial: Trial, step: int, value: float) -> None:
    locked = Trial.objects.select_for_update().get(pk=trial.pk)
    if locked.state != TrialState.RUNNING:
        raise Conflict("trial.over", f"Trial {trial.number} is over: {locked.state}.")
    if len(locked.intermediate) >= STEPS_AT_MOST and str(step) not in locked.intermediate:
        raise Invalid(
            "trial.report", f"A trial may report at {STEPS_AT_MOST} steps at most.", {"field": "step"}
        )
    locked.intermediate[str(step)] = value
    locked.save(update_fields=["intermediate", "updated_at"])


def peers_of(trial: Trial, step: int) -> list[dict[str, Any]]:
    """The other trials with those of their values that the pruner compares at this step."""
    study: Study = trial.study
    if study.pruner == Pruner.NONE:
        return []
    first = trial_payload(trial)["first"]
    others = study.trials.exclude(pk=trial.pk).exclude(state=TrialState.FAILED)
    if study.pruner == Pruner.MEDIAN:
        others = others.filter(state=TrialState.COMPLETE)
    found = []
    for number, state, value, told in others.values_list("number", "state", "value", "intermediate"):
        seen = steps(told)
        wanted = needed_steps(study.pruner, seen, step, first)
        found.append(
            {
                "number": number,
                "state": state,
                "value": value,
                "intermediate": {str(s): seen[s] for s in wanted},
            }
        )
    return found
