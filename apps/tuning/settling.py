"""How trials and studies come to their end: each of them once, by compare-and-set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from adapters.tracking import get_tracking
from apps.experiments.actions import close_study_run
from apps.jobs.states import JobState
from apps.lineage import actions as lineage
from apps.lineage.states import NodeKind
from apps.tuning import events
from apps.tuning.models import Study, Trial
from apps.tuning.states import STUDY, TOLD, TRIAL, StudyState, TrialState
from foundation.clock import now
from foundation.events import publish

STATE_TAG = "atelier.trial_state"
CANCELLED = "job.cancelled"
_RUN_STATES = {
    StudyState.COMPLETED: JobState.SUCCEEDED,
    StudyState.STOPPED: JobState.CANCELLED,
    StudyState.FAILED: JobState.FAILED,
}


def tell(trial: Trial, state: str, *, value: float | None = None, code: str = "", reason: str = "") -> bool:
    """Record a trial's result, in the transaction that ends its job. False when it was told before."""
    told = TRIAL.move(
        Trial.objects.filter(pk=trial.pk),
        to=state,
        value=value,
        error_code=code,
        reason=reason,
        told_at=now(),
        updated_at=now(),
    )
    if told:
        get_tracking().set_tags(trial.run.hex, {STATE_TAG: str(state)})
        publish(
            events.TrialFinished(
                study_id=trial.study_id,
                project_id=trial.run.project_id,
                number=trial.number,
                state=str(state),
            )
        )
    return told


def best_trial(study: Study) -> Trial | None:
    """The complete trial with the best value; among equals the earliest."""
    order = "-value" if study.maximizes else "value"
    found = study.trials.filter(state=TrialState.COMPLETE).order_by(order, "number")
    trial: Trial | None = found.select_related("run", "study").first()
    return trial


def begin_to_stop(study: Study, ending: StudyState, reason: str) -> bool:
    """No further trial. The study ends as `ending` when those at work are over. False when it stops already."""
    changed = STUDY.move(
        Study.objects.filter(pk=study.pk),
        to=StudyState.STOPPING,
        ending=ending,
        reason=reason,
        updated_at=now(),
    )
    if changed:
        study.refresh_from_db(fields=["state", "ending", "reason", "updated_at"])
        lineage.set_state(kind=NodeKind.STUDY, key=study.pk, state=study.state)
    return changed


def finish_study(study: Study, state: StudyState, reason: str) -> bool:
    """The study is over; its run carries the best of it. False when somebody else was quicker."""
    moment = now()
    if not STUDY.move(
        Study.objects.filter(pk=study.pk),
        to=state,
        ending="",
        reason=reason,
        finished_at=moment,
        updated_at=moment,
    ):
        return False
    study.refresh_from_db(fields=["state", "ending", "reason", "finished_at", "updated_at"])
    best = best_trial(study)
    metrics = {study.metric: best.value} if best and best.value is not None else {}
    close_study_run(study.run, _RUN_STATES[state], metrics=metrics, tags=_tags(best))
    lineage.set_state(kind=NodeKind.STUDY, key=study.pk, state=study.state)
    publish(events.StudyFinished(study_id=study.pk, project_id=study.project_id, state=study.state))
    return True


def _tags(best: Trial | None) -> dict[str, str]:
    if best is None:
        return {}
    chosen = {f"best.{name}": str(value) for name, value in best.parameters.items()}
    return {"atelier.best_trial": str(best.number), "atelier.best_run": best.run.hex, **chosen}


def failures_in_a_row(study: Study) -> list[Trial]:
    """The failed trials since the last good one, newest first. Cancelled ones are nobody's fault: left out."""
    told = study.trials.filter(state__in=TOLD, number__gte=study.counted_from)
    found: list[Trial] = []
    for trial in told.exclude(error_code=CANCELLED).order_by("-told_at", "-number")[: study.max_failures]:
        if trial.state != TrialState.FAILED:
            break
        found.append(trial)
    return found


def shared_reason(failed: list[Trial]) -> str:
    """What the failures have in common, in words."""
    reasons = {trial.reason for trial in failed}
    if len(reasons) == 1:
        return f"{len(failed)} trials failed one after the other, all for the same reason: {failed[0].reason}"
    return (
        f"{len(failed)} trials failed one after the other, for {len(reasons)} different reasons; "
        f"the last one: {failed[0].reason}"
    )


def is_value(value: Any) -> bool:
    """Whether a trial may have it as its result."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def steps(intermediate: Mapping[str, float]) -> dict[int, float]:
    """JSON's keys are text; steps are numbers."""
    return {int(step): value for step, value in intermediate.items()}
