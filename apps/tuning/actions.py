"""Writes that people ask for. Each is atomic and leaves an audit row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.db import IntegrityError, transaction

from apps.accounts.access import Actor
from apps.accounts.audit import record_audit
from apps.accounts.models import Project
from apps.experiments import actions as runs
from apps.experiments import algorithms
from apps.experiments.models import Run
from apps.experiments.spec import DEFAULT_TEST_SIZE, RunSpec
from apps.jobs.actions import request_cancel
from apps.jobs.placement import read_placement
from apps.lineage import actions as lineage
from apps.lineage.states import EdgeKind, NodeKind
from apps.tuning.models import Study, Trial
from apps.tuning.settling import begin_to_stop, best_trial
from apps.tuning.space import space_json
from apps.tuning.spec import PARALLELISM_AT_MOST, TRIALS_AT_MOST, StudySpec, optional_whole
from apps.tuning.states import LIVE, STUDY, Sampler, StudyState, TrialState
from foundation.clock import now
from foundation.errors import Conflict, Invalid
from foundation.names import check_name, check_text

CHANGES = ("name", "description", "n_trials", "parallelism")


def _audit(actor: Actor, study: Study, verb: str, **detail: Any) -> None:
    record_audit(
        actor=actor,
        project=study.project,
        action=f"study.{verb}",
        subject_kind="study",
        subject_id=study.pk,
        subject_title=study.name,
        detail=detail,
    )


def _duplicate(name: str) -> Conflict:
    return Conflict(
        "study.duplicate", f"There is already a study '{name}' in this project.", {"field": "name"}
    )


def draw(study: Study) -> None:
    """Put the study into the lineage graph: its data lead to it."""
    lineage.put_node(
        project=study.project,
        kind=NodeKind.STUDY,
        key=study.pk,
        title=study.name,
        url=f"/p/{study.project.slug}/studies/{study.name}",
        state=study.state,
        name=study.name,
    )
    lineage.link(
        source=(NodeKind.DATASET_VERSION, study.dataset_version_id),
        target=(NodeKind.STUDY, study.pk),
        kind=EdgeKind.SEARCHED_ON,
    )


def create_study(*, actor: Actor, project: Project, spec: StudySpec) -> Study:
    """A study with its run, waiting for the coordinator. Raises Conflict "study.duplicate"."""
    run = spec.run
    try:
        with transaction.atomic():
            opened = runs.open_study_run(
                actor=actor,
                project=project,
                spec=replace(run, name=spec.name, description=spec.description),
                tags={"atelier.study": spec.name},
            )
            study = Study(
                project=project,
                created_by=actor.user,
                name=spec.name,
                description=spec.description,
                experiment=opened.experiment,
                dataset_version=run.version,
                target=run.target,
                task=spec.task,
                algorithm=run.algorithm.name,
                fixed=run.parameters,
                features=run.features,
                test_size=None if run.folds else run.test_size,
                folds=run.folds,
                search_space=space_json(spec.space),
                objectives=[spec.objective],
                sampler=spec.sampler.name,
                sampler_reason=spec.sampler.reason,
                pruner=spec.pruner.name,
                pruner_reason=spec.pruner.reason,
                n_trials=spec.n_trials,
                timeout=spec.timeout,
                trial_timeout=spec.trial_timeout,
                parallelism=spec.parallelism,
                seed=run.seed,
                placement=run.placement.as_json(),
                max_failures=spec.max_failures,
                run=opened,
            )
            study.save(force_insert=True)
            draw(study)
            _audit(
                actor,
                study,
                "create",
                dataset=study.dataset_label,
                algorithm=study.algorithm,
                n_trials=study.n_trials,
            )
    except IntegrityError as error:
        if "study_name_in_project" in str(error):
            raise _duplicate(spec.name) from error
        raise
    return study


def update_study(*, actor: Actor, study: Study, changes: dict[str, Any]) -> Study:
    """Rename, describe; change how many trials there will be or run at a time, also while it works.

    changes: of CHANGES. Raises Invalid, Conflict "study.duplicate", "study.over".
    """
    try:
        with transaction.atomic():
            Study.objects.select_for_update(of=("self",)).get(pk=study.pk)
            study.refresh_from_db(fields=["state", "n_trials", "parallelism"])
            fields = _apply(study, changes)
            if fields:
                study.save(update_fields=[*fields, "updated_at"])
                if "name" in fields:
                    runs.update_run(actor=actor, run=study.run, name=study.name)
                    draw(study)
                _audit(actor, study, "update", fields=sorted(fields))
    except IntegrityError as error:
        if "study_name_in_project" in str(error):
            raise _duplicate(str(changes.get("name"))) from error
        raise
    return study


def _apply(study: Study, changes: dict[str, Any]) -> list[str]:
    fields: list[str] = []
    if "name" in changes and changes["name"] != study.name:
        study.name = check_name(changes["name"])
        if study.name == "new":
            raise Invalid(
                "name.invalid", "'new' is the address of a page; choose another name.", {"field": "name"}
            )
        fields.append("name")
    if "description" in changes:
        study.description = check_text(changes["description"], field="description")
        fields.append("description")
    if changes.get("n_trials") is not None:
        made = study.trials.count()
        wanted = optional_whole(changes, "n_trials", max(1, made), TRIALS_AT_MOST)
        if wanted is not None and wanted != study.n_trials:
            if study.state not in LIVE:
                raise Conflict(
                    "study.over", f"The study '{study.name}' is over; resume it with more trials instead."
                )
            study.n_trials = _within_grid(study, wanted)
            fields.append("n_trials")
    if changes.get("parallelism") is not None:
        study.parallelism = (
            optional_whole(changes, "parallelism", 1, PARALLELISM_AT_MOST) or study.parallelism
        )
        fields.append("parallelism")
    return fields


def _within_grid(study: Study, wanted: int) -> int:
    from adapters.search import grid_size
    from apps.tuning.reading import dimensions_of

    size = grid_size(dimensions_of(study)) if study.sampler == Sampler.GRID else None
    return wanted if size is None else min(wanted, size)


@transaction.atomic
def stop_study(*, actor: Actor, study: Study, cancel: bool = False) -> Study:
    """Begin no further trial. Those at work come to their end, or with `cancel` are cancelled.

    Asking again with `cancel` while it stops cancels what is still at work. Raises Conflict "study.over".
    """
    locked = _lock(study)
    if locked.is_over:
        raise Conflict(
            "study.over", f"The study '{locked.name}' is over: it {_past(locked)}.", {"state": locked.state}
        )
    if begin_to_stop(locked, StudyState.STOPPED, f"Stopped by {actor.label}.") or cancel:
        _audit(actor, locked, "stop", cancel=cancel)
    for trial in locked.trials.filter(state=TrialState.RUNNING).select_related("run__job") if cancel else ():
        try:
            assert trial.run.job is not None
            request_cancel(job=trial.run.job, actor=actor, reason=f"{actor.label} stopped the study.")
        except Conflict:  # it has just come to its end
            continue
    return locked


@transaction.atomic
def resume_study(*, actor: Actor, study: Study, n_trials: int | None = None) -> Study:
    """Go on with a study that is over, up to `n_trials` trials in all (as many as before when left out).

    The time limit and the count of failures begin anew. Raises Conflict "study.live", "study.nothing_left".
    """
    locked = _lock(study)
    if not locked.is_over:
        raise Conflict("study.live", f"The study '{locked.name}' is {locked.state}.", {"state": locked.state})
    made = locked.trials.count()
    wanted = optional_whole({"n_trials": n_trials}, "n_trials", 1, TRIALS_AT_MOST) or locked.n_trials
    wanted = _within_grid(locked, wanted)
    if wanted <= made:
        exhausted = locked.sampler == Sampler.GRID and n_trials is not None and n_trials > made
        sentence = (
            f"All {made} points of the grid were tried."
            if exhausted
            else f"{made} trials are made already; resume with a larger n_trials."
        )
        raise Conflict("study.nothing_left", sentence, {"field": "n_trials", "made": made})
    if locked.experiment.deleted_at is not None:
        raise Conflict(
            "study.experiment_trashed", f"Restore the experiment '{locked.experiment.name}' first."
        )
    STUDY.move(
        Study.objects.filter(pk=locked.pk),
        to=StudyState.QUEUED,
        n_trials=wanted,
        reason="",
        counted_from=made,
        deadline=None,
        finished_at=None,
        updated_at=now(),
    )
    runs.reopen_study_run(locked.run)
    lineage.set_state(kind=NodeKind.STUDY, key=locked.pk, state=StudyState.QUEUED)
    _audit(actor, locked, "resume", n_trials=wanted)
    return _lock(study)


@transaction.atomic
def trash_study(*, actor: Actor, study: Study) -> Study:
    """Move a study with its runs to the trash. Raises Conflict "study.live" while it works."""
    locked = _lock(study)
    if not locked.is_over:
        raise Conflict(
            "study.live",
            f"The study '{locked.name}' is {locked.state}; stop it first.",
            {"state": locked.state},
        )
    runs.trash_family(locked.run)
    locked.deleted_at = locked.run.deleted_at
    locked.save(update_fields=["deleted_at", "updated_at"])
    lineage.set_alive(kind=NodeKind.STUDY, key=locked.pk, alive=False)
    _audit(actor, locked, "trash")
    return locked


def restore_study(*, actor: Actor, study: Study) -> Study:
    """Bring a study back with the runs that went along. Raises Conflict when its name is taken meanwhile, or its
    experiment lies in the trash."""
    if study.experiment.deleted_at is not None:
        raise Conflict("study.experiment_trashed", f"Restore the experiment '{study.experiment.name}' first.")
    try:
        with transaction.atomic():
            runs.restore_family(study.run)
            study.deleted_at = None
            study.save(update_fields=["deleted_at", "updated_at"])
            lineage.set_alive(kind=NodeKind.STUDY, key=study.pk, alive=True)
            _audit(actor, study, "restore")
    except IntegrityError as error:
        if "study_name_in_project" in str(error):
            study.deleted_at = study.run.deleted_at
            raise _duplicate(study.name) from error
        raise
    return study


@transaction.atomic
def train_final(*, actor: Actor, study: Study, trial: Trial | None = None, name: str = "") -> Run:
    """Train the parameters of a trial (the best one when left out) as an ordinary run, with its model and all its
    figures, on the same data. Raises Conflict "study.no_best", "dataset.not_ready" when the data are gone."""
    chosen = trial or best_trial(study)
    if chosen is None or chosen.state != TrialState.COMPLETE:
        raise Conflict(
            "study.no_best",
            "No trial has come to its end yet, so there is nothing to train."
            if chosen is None
            else f"Trial {chosen.number} is {chosen.state}; only a complete one can be trained again.",
        )
    spec = spec_of(study, chosen.parameters)
    final = replace(
        spec,
        name=check_name(name) if name else f"{study.name}-final",
        description=f"The parameters of trial {chosen.number} of the study {study.name}.",
    )
    run = runs.start_run(
        actor=actor,
        project=study.project,
        spec=final,
        tags={"atelier.study": study.name, "atelier.trial": str(chosen.number)},
    )
    lineage.link(source=(NodeKind.STUDY, study.pk), target=(NodeKind.RUN, run.hex), kind=EdgeKind.CHOSEN_BY)
    study.final_run = run
    study.save(update_fields=["final_run", "updated_at"])
    _audit(actor, study, "train_final", trial=chosen.number, run=run.hex)
    return run


def spec_of(study: Study, parameters: dict[str, Any]) -> RunSpec:
    """The run that trains these searched parameters. Raises Invalid where the algorithm is gone."""
    algorithm = algorithms.get(study.algorithm)
    return RunSpec(
        experiment=study.experiment.name,
        version=study.dataset_version,
        target=study.target,
        algorithm=algorithm,
        parameters=algorithm.clean({**study.fixed, **parameters}, study.task),
        task=study.task,
        features=study.features,
        test_size=study.test_size or DEFAULT_TEST_SIZE,
        folds=study.folds,
        seed=study.seed,
        timeout=study.trial_timeout,
        placement=read_placement(study.placement),
    )


def _lock(study: Study) -> Study:
    found = Study.objects.select_for_update(of=("self",)).select_related(
        "project", "experiment", "dataset_version__dataset", "run", "created_by"
    )
    locked: Study = found.get(pk=study.pk)
    return locked


def _past(study: Study) -> str:
    return {StudyState.STOPPED: "was stopped"}.get(StudyState(study.state), study.state)
