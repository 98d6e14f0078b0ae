"""Advances studies: tops up their trials, ends them when all is done or nothing goes any more.

A chore of the scheduler, on any node. Everything about one step happens in one transaction under the study's row
lock, and nothing is remembered between two steps: killed at any moment, the next step goes on from the rows.
"""

from __future__ import annotations

import datetime
import logging
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.db import transaction

from adapters.search import Seen, get_search
from apps.accounts.access import Actor, actor_for, role_in_project
from apps.accounts.states import Role
from apps.experiments.actions import start_run
from apps.jobs.quotas import checks
from apps.jobs.states import TERMINAL
from apps.lineage import actions as lineage
from apps.lineage.states import EdgeKind, NodeKind
from apps.tuning.actions import spec_of
from apps.tuning.models import Study, Trial
from apps.tuning.reading import dimensions_of
from apps.tuning.settling import begin_to_stop, failures_in_a_row, finish_study, shared_reason, steps, tell
from apps.tuning.states import LIVE, STUDY, StudyState, TrialState
from foundation.clock import now
from foundation.errors import AtelierError, Unavailable

logger = logging.getLogger(__name__)
TRIAL_KIND = "tuning.trial"
#: Trials let other work go first: a study may have hundreds of them.
TRIAL_PRIORITY = -1


def advance_all() -> int:
    """One step of every live study. Returns how many there are. One that fails does not hold up the others."""
    live = list(Study.objects.filter(state__in=LIVE).values_list("pk", flat=True))
    for key in live:
        try:
            advance(key)
        except Unavailable as error:
            logger.warning("study %s has to wait: %s", key, error)
        except AtelierError as error:
            _give_up(key, error.message)
        except Exception:
            logger.exception("study %s cannot be advanced", key)
    return len(live)


@transaction.atomic
def advance(key: UUID) -> None:
    """One step of one study, unless another node is at it."""
    study = (
        Study.objects.select_for_update(of=("self",), skip_locked=True)
        .select_related("project", "experiment", "dataset_version__dataset", "run", "created_by")
        .filter(pk=key, state__in=LIVE)
        .first()
    )
    if study is None:
        return
    _settle_strays(study)
    working = study.trials.filter(state=TrialState.RUNNING).count()
    if study.state != StudyState.STOPPING and (reason := _hopeless(study)):
        begin_to_stop(study, StudyState.FAILED, reason)
    if study.state == StudyState.STOPPING:
        if not working:
            finish_study(study, StudyState(study.ending), study.reason)
        return
    _go_on(study, working)


def _go_on(study: Study, working: int) -> None:
    made = study.trials.count()
    moment = now()
    late = study.deadline is not None and moment >= study.deadline
    if late and made < study.n_trials:
        reason = f"The time was up after {made} of {study.n_trials} trials."
        begin_to_stop(study, StudyState.COMPLETED, reason)
        if not working:
            finish_study(study, StudyState.COMPLETED, reason)
        return
    if made >= study.n_trials and not working:
        _begin(study)
        finish_study(study, StudyState.COMPLETED, "")
        return
    room = min(study.parallelism - working, study.n_trials - made)
    if room > 0:
        if not _may_start(study):
            return
        _begin(study)
        propose_and_start(study, made, room)


def _may_start(study: Study) -> bool:
    """Whether the team may start work now. Where it may not, the study says so and waits."""
    said = ""
    try:
        checks.check_start(study.project)
    except AtelierError as error:
        said = f"No new trial begins for now. {error.message}"
    if study.reason != said:
        Study.objects.filter(pk=study.pk).update(reason=said, updated_at=now())
        study.reason = said
    return not said


def _begin(study: Study) -> None:
    if study.state != StudyState.QUEUED:
        return
    moment = now()
    deadline = moment + datetime.timedelta(seconds=study.timeout) if study.timeout else None
    STUDY.move(
        Study.objects.filter(pk=study.pk),
        to=StudyState.RUNNING,
        started_at=study.started_at or moment,
        deadline=deadline,
        updated_at=moment,
    )
    study.refresh_from_db(fields=["state", "started_at", "deadline", "updated_at"])
    lineage.set_state(kind=NodeKind.STUDY, key=study.pk, state=study.state)


def propose_and_start(study: Study, made: int, count: int) -> None:
    """The next trials, each proposed with those before it in view."""
    space = dimensions_of(study)
    history = history_of(study)
    actor = actor_for(study.created_by) if study.created_by else Actor()
    for number in range(made, made + count):
        proposed = get_search().propose(
            space,
            maximize=study.maximizes,
            sampler=study.sampler,
            seed=study.seed,
            number=number,
            history=history,
        )
        if proposed is None:
            begin_to_stop(study, StudyState.COMPLETED, f"All {number} points of the grid were tried.")
            return
        start_trial(study, actor, number, proposed)
        history.append(Seen(number, TrialState.RUNNING, proposed))


def start_trial(study: Study, actor: Actor, number: int, parameters: dict[str, Any]) -> Trial:
    """The run with its job, and the trial, or none of them."""
    spec = spec_of(study, parameters)
    yielding = replace(spec.placement, priority=spec.placement.priority + TRIAL_PRIORITY)
    run = start_run(
        actor=actor,
        project=study.project,
        spec=replace(spec, name=f"{study.name}-{number}", placement=yielding),
        kind=TRIAL_KIND,
        parent=study.run,
        title=f"Trial {number} of {study.name}",
        tags={"atelier.study": study.name, "atelier.trial": str(number)},
    )
    trial = Trial.objects.create(study=study, number=number, run=run, parameters=parameters)
    lineage.link(source=(NodeKind.STUDY, study.pk), target=(NodeKind.RUN, run.hex), kind=EdgeKind.TRIED_IN)
    return trial


def history_of(study: Study) -> list[Seen]:
    """All trials as the search engine sees them. Values on the way count only where the end is missing."""
    rows = study.trials.order_by("number").values_list(
        "number", "state", "parameters", "value", "intermediate"
    )
    return [
        Seen(number, state, parameters, value, steps(told) if state == TrialState.PRUNED else {})
        for number, state, parameters, value, told in rows
    ]


def _hopeless(study: Study) -> str:
    """Why no further trial makes sense, or ""."""
    user = study.created_by
    role = role_in_project(actor_for(user), study.project) if user and user.is_active else None
    if role is None or role.rank < Role.CONTRIBUTOR.rank:
        who = user.username if user else "Whoever started it"
        return f"{who} may no longer start work in this project."
    failed = failures_in_a_row(study)
    return shared_reason(failed) if len(failed) >= study.max_failures else ""


def _settle_strays(study: Study) -> None:
    """A trial whose job is over has been told in the same transaction. Should one not be, it counts as failed."""
    stray = study.trials.filter(state=TrialState.RUNNING, run__job__state__in=TERMINAL)
    for trial in stray.select_related("run__job"):
        logger.error("trial %s of study %s was never told its result", trial.number, study.pk)
        job = trial.run.job
        assert job is not None
        tell(trial, TrialState.FAILED, code=job.error_code, reason=job.reason or f"The job {job.state}.")


@transaction.atomic
def _give_up(key: UUID, reason: str) -> None:
    """The next trial cannot even be started: a plug-in or the data are gone."""
    study = Study.objects.select_for_update(of=("self",)).select_related("project", "run").get(pk=key)
    begin_to_stop(study, StudyState.FAILED, f"The next trial cannot be started: {reason}")
