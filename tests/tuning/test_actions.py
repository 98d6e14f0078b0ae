"""Studies as people ask for them: what is refused, what is chosen, stop, resume, change, trash, final run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.accounts.models import AuditEvent
from apps.experiments.actions import cancel_run, trash_run
from apps.experiments.models import Run
from apps.jobs.models import Job
from apps.lineage.models import Edge, Node
from apps.tuning import actions
from apps.tuning.models import Study, Trial
from foundation.errors import AtelierError, Conflict, Invalid
from tests.experiments.conftest import build_version, iris
from tests.support.people import People
from tests.tuning.studies import with_trials

pytestmark = pytest.mark.django_db
Made = Callable[..., Study]
Step = Callable[[Study], Study]


def test_a_new_study_waits_with_its_run_its_edge_and_its_audit_row(
    people: People, made_study: Made, table: Any, fake_tracking: Any
) -> None:
    study = made_study(description="Why not.", parameters={"bootstrap": False})
    assert (study.state, study.task, study.metric, study.maximizes) == (
        "queued",
        "classification",
        "accuracy",
        True,
    )
    assert study.fixed == {"bootstrap": False}
    assert study.search_space["max_depth"]["high"] == 12
    run = study.run
    assert (run.source, run.state, run.job) == ("study", "running", None)
    data = fake_tracking.runs([run.hex])[run.hex]
    assert (data.status, data.tags["atelier.study"]) == ("RUNNING", "forest")
    assert Edge.objects.filter(
        source__kind="dataset_version", target__kind="study", target__key=str(study.pk)
    ).exists()
    assert not Node.objects.filter(kind="run", key=run.hex).exists()
    assert AuditEvent.objects.filter(action="study.create", subject_id=str(study.pk)).count() == 1
    assert Job.objects.count() == 0, "a study holds no slot"


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"search_space": {}}, "study.space", "empty"),
        ({"search_space": {"max_depth": {"low": 9, "high": 2}}}, "study.space", "low 9 is above high 2"),
        ({"search_space": {"depth": {}}}, "study.space", "no parameter 'depth'"),
        ({"algorithm": "mlp", "search_space": {"alpha": {"low": 0, "log": True}}}, "study.space", "alpha"),
        ({"parameters": {"max_depth": 3}}, "study.space", "both fixed and searched"),
        ({"parameters": {"bootstrap": "maybe"}}, "parameter.invalid", "bootstrap"),
        ({"objectives": [{"metric": "rmse"}]}, "study.objective", "No trial would ever log 'rmse'"),
        ({"objectives": []}, "", ""),
        ({"objectives": "accuracy"}, "study.objective", "list"),
        ({"objectives": [{"metric": "accuracy"}, {"metric": "f1"}]}, "study.objective", "exactly one"),
        ({"objectives": [{"metric": "accuracy", "direction": "up"}]}, "study.objective", "maximize or"),
        ({"sampler": "magic"}, "study.sampler", "Known are: auto, tpe"),
        ({"sampler": "grid", "search_space": {"n_estimators": {}}}, "", ""),
        ({"algorithm": "mlp", "search_space": {"alpha": {}}, "sampler": "grid"}, "study.sampler", "alpha"),
        ({"pruner": "cut"}, "study.pruner", "Known are: auto, none"),
        (
            {"algorithm": "linear", "search_space": {"C": {}}, "pruner": "median"},
            "study.pruner",
            "reports nothing before its end",
        ),
        ({"n_trials": 0}, "study.out_of_range", "'n_trials'"),
        ({"n_trials": 6000}, "study.out_of_range", "from 1 to 5000"),
        ({"n_trials": "many"}, "study.out_of_range", "'n_trials'"),
        ({"parallelism": 65}, "study.out_of_range", "'parallelism'"),
        ({"timeout": -1}, "study.out_of_range", "'timeout'"),
        ({"max_failures": True}, "study.out_of_range", "'max_failures'"),
        ({"seed": -1}, "run.out_of_range", "'seed'"),
        ({"target": "nothing"}, "target.unknown", "no column"),
        ({"name": "new"}, "name.invalid", "address of a page"),
        ({"name": "a b"}, "name.invalid", "letters"),
        ({"colour": "red"}, "study.unknown_field", "'colour'"),
        ({"task": "regression"}, "target.not_numeric", "numbers"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_exists(
    made_study: Made, changes: dict[str, Any], code: str, words: str
) -> None:
    if not code:
        assert made_study(**changes).state == "queued"
        return
    with pytest.raises(Invalid) as caught:
        made_study(**changes)
    assert caught.value.code == code
    assert words in caught.value.message
    assert (Study.objects.count(), Run.objects.count()) == (0, 0)


def test_two_studies_cannot_have_one_name_and_the_second_leaves_nothing(made_study: Made) -> None:
    made_study()
    with pytest.raises(Conflict, match="already a study"):
        made_study()
    assert Run.objects.count() == 1


def test_the_task_of_a_whole_numbered_target_is_that_of_the_training(
    people: People, store: Any, tmp_path: Any, made_study: Made
) -> None:
    from apps.datasets.models import VersionProfile

    frame = iris().assign(lonely=range(150))
    version = build_version(people, store, tmp_path, "flowers", frame)
    columns = [
        {
            "name": "target",
            "distinct": 3,
            "distinct_exact": True,
            "top": [{"value": v, "count": 50} for v in (0, 1, 2)],
        },
        {"name": "lonely", "distinct": 150, "distinct_exact": True, "top": []},
    ]
    VersionProfile.objects.create(version=version, columns=columns)
    free: dict[str, Any] = {"dataset": "flowers", "objectives": None}
    assert made_study(name="a", target="target", **free).metric == "accuracy"
    assert made_study(name="b", target="lonely", **free).metric == "rmse"
    assert made_study(name="c", target="sepal length (cm)", **free).task == "regression"
    with pytest.raises(Invalid, match="needs two classes, and 'target' has 3"):
        made_study(name="d", target="target", dataset="flowers", objectives=[{"metric": "f1"}])


@pytest.mark.parametrize(
    ("changes", "sampler", "pruner", "words"),
    [
        ({}, "tpe", "median", "first 10 are random"),
        ({"n_trials": 10}, "random", "median", "too few to learn"),
        ({"n_trials": 4}, "random", "none", "too few to tell"),
        ({"search_space": {"max_features": {}, "bootstrap": {}}}, "grid", "median", "only 6 points"),
        ({"algorithm": "linear", "search_space": {"C": {}}}, "tpe", "none", "reports nothing before its end"),
        ({"algorithm": "linear", "search_space": {"C": {}}, "folds": 4}, "tpe", "median", "Every fold"),
        ({"sampler": "random", "pruner": "halving"}, "random", "halving", ""),
    ],
)
def test_auto_chooses_and_says_why(
    made_study: Made, changes: dict[str, Any], sampler: str, pruner: str, words: str
) -> None:
    study = made_study(**changes)
    assert (study.sampler, study.pruner) == (sampler, pruner)
    assert words in study.sampler_reason + study.pruner_reason
    if not words:
        assert (study.sampler_reason, study.pruner_reason) == ("", "")
    if sampler == "grid":
        assert study.n_trials == 6


def test_a_study_is_stopped_at_once_when_nothing_works(
    people: People, made_study: Made, advance: Step
) -> None:
    study = actions.stop_study(actor=people.actor("contributor"), study=made_study())
    assert study.state == "stopping"
    assert advance(study).state == "stopped"
    assert study.reason == "Stopped by contributor."
    assert Run.objects.get(pk=study.run_id).state == "cancelled"
    with pytest.raises(Conflict) as caught:
        actions.stop_study(actor=people.actor("contributor"), study=study)
    assert caught.value.code == "study.over"


def test_trials_at_work_come_to_their_end_or_are_cancelled(
    people: People, made_study: Made, advance: Step, fake_search: Any
) -> None:
    actor = people.actor("contributor")
    study = advance(made_study(parallelism=3))
    actions.stop_study(actor=actor, study=study)
    assert advance(study).state == "stopping"
    assert study.trials.filter(state="running").count() == 3
    actions.stop_study(actor=actor, study=study, cancel=True)
    assert [t.error_code for t in study.trials.all()] == ["job.cancelled"] * 3
    assert advance(study).state == "stopped"
    assert study.trials.count() == 3


def test_a_stopped_study_is_resumed_and_a_complete_one_with_more_trials(
    people: People, made_study: Made, advance: Step, fake_search: Any
) -> None:
    actor = people.actor("contributor")
    study = with_trials(made_study(n_trials=4), 0.5, 0.6, state="stopped")
    resumed = actions.resume_study(actor=actor, study=study)
    assert (resumed.state, resumed.reason, resumed.counted_from) == ("queued", "", 2)
    assert Run.objects.get(pk=study.run_id).state == "running"
    advance(study)
    assert sorted(study.trials.values_list("number", flat=True)) == [0, 1, 2, 3]
    with pytest.raises(Conflict) as caught:
        actions.resume_study(actor=actor, study=study)
    assert caught.value.code == "study.live"
    done = with_trials(made_study(name="b", n_trials=2), 0.5, 0.6)
    for wanted in (None, 2):
        with pytest.raises(Conflict) as caught:
            actions.resume_study(actor=actor, study=done, n_trials=wanted)
        assert caught.value.code == "study.nothing_left"
    assert actions.resume_study(actor=actor, study=done, n_trials=5).n_trials == 5
    grid = made_study(name="c", search_space={"max_features": {}})
    grid = with_trials(grid, *range(grid.n_trials))
    with pytest.raises(Conflict, match="points of the grid were tried"):
        actions.resume_study(actor=actor, study=grid, n_trials=50)


def test_a_study_is_renamed_and_its_numbers_change_while_it_works(people: People, made_study: Made) -> None:
    actor = people.actor("contributor")
    study = with_trials(made_study(), 0.5, 0.6, "running")
    actions.update_study(
        actor=actor,
        study=study,
        changes={"name": "wood", "n_trials": 3, "parallelism": 4, "description": "x"},
    )
    study = Study.objects.get(pk=study.pk)
    assert (study.name, study.n_trials, study.parallelism, study.run.name) == ("wood", 3, 4, "wood")
    assert Node.objects.get(kind="study").url.endswith("/studies/wood")
    for changes in ({"n_trials": 2}, {"parallelism": 0}, {"name": "a/b"}):
        with pytest.raises(Invalid):
            actions.update_study(actor=actor, study=study, changes=changes)
    made_study(name="other")
    with pytest.raises(Conflict) as caught:
        actions.update_study(actor=actor, study=study, changes={"name": "other"})
    assert caught.value.code == "study.duplicate"


def test_the_trash_takes_the_runs_along_and_gives_back_what_it_took(
    people: People, made_study: Made, fake_tracking: Any
) -> None:
    actor = people.actor("contributor")
    study = with_trials(made_study(), 0.5, 0.6, 0.7, state="running")
    with pytest.raises(Conflict) as caught:
        actions.trash_study(actor=actor, study=study)
    assert caught.value.code == "study.live"
    Study.objects.filter(pk=study.pk).update(state="stopped")
    Job.objects.update(state="succeeded", finished_at="2026-01-01T00:00:00Z")
    first, second, _ = (trial.run for trial in study.trials.select_related("run__job", "run__parent"))
    trash_run(actor=actor, run=Run.objects.get(pk=first.pk))
    trashed = actions.trash_study(actor=actor, study=study)
    assert Run.objects.alive().count() == 0
    assert fake_tracking.runs([second.hex])[second.hex].deleted
    made_study(name="forest")
    with pytest.raises(Conflict) as caught:
        actions.restore_study(actor=actor, study=trashed)
    assert caught.value.code == "study.duplicate"
    assert Run.objects.alive().count() == 1, "nothing half restored"
    Study.objects.filter(deleted_at=None).update(name="elsewhere")
    actions.restore_study(actor=actor, study=Study.objects.trashed().get())
    assert set(Run.objects.trashed()) == {first}
    assert not fake_tracking.runs([second.hex])[second.hex].deleted


def test_the_best_parameters_are_trained_as_an_ordinary_run(people: People, made_study: Made) -> None:
    actor = people.actor("contributor")
    study = made_study(parameters={"bootstrap": False})
    with pytest.raises(Conflict) as caught:
        actions.train_final(actor=actor, study=study)
    assert caught.value.code == "study.no_best"
    study = with_trials(study, 0.5, 0.9, 0.7, "pruned")
    run = actions.train_final(actor=actor, study=study)
    best = study.trials.get(number=1)
    assert (run.job.kind, run.parent, run.name) == ("experiments.train", None, "forest-final")
    assert run.parameters.items() >= {**best.parameters, "bootstrap": False}.items()
    assert Study.objects.get(pk=study.pk).final_run_id == run.pk
    assert Edge.objects.filter(source__kind="study", target__key=run.hex, kind="chosen_by").exists()
    third = actions.train_final(actor=actor, study=study, trial=study.trials.get(number=2), name="third")
    assert third.parameters["max_depth"] == study.trials.get(number=2).parameters["max_depth"]
    with pytest.raises(Conflict):
        actions.train_final(actor=actor, study=study, trial=study.trials.get(number=3))


def test_the_studys_own_run_is_neither_cancelled_nor_trashed_by_itself(
    people: People, made_study: Made
) -> None:
    run = made_study().run
    assert not run.is_cancellable
    for act in (cancel_run, trash_run):
        with pytest.raises(AtelierError) as caught:
            act(actor=people.actor("contributor"), run=run)
        assert caught.value.code == "run.of_study"


def test_of_equal_trials_the_earliest_is_the_best_and_minimizing_turns_it_round(made_study: Made) -> None:
    from apps.tuning.queries import best_trials, studies_of
    from apps.tuning.settling import best_trial

    one = with_trials(made_study(), 0.5, 0.9, 0.9, "failed")
    two = with_trials(made_study(name="b", objectives=[{"metric": "log_loss"}]), 0.5, 0.2, "pruned", 0.2)
    three = made_study(name="c")
    found = list(studies_of(one.project))
    best = {s.name: t.number for s in found if (t := best_trials(found).get(s.pk))}
    assert best == {"forest": 1, "b": 1}
    assert [getattr(best_trial(s), "number", None) for s in (one, two, three)] == [1, 1, None]
    assert {s.name: (s.n_complete, s.n_pruned, s.n_failed, s.n_running) for s in found} == {
        "forest": (3, 0, 1, 0),
        "b": (3, 1, 0, 0),
        "c": (0, 0, 0, 0),
    }
    assert Trial.objects.count() == 8


def test_trials_have_an_experiment_of_their_own_unless_one_is_named(made_study: Made) -> None:
    assert made_study().experiment.name == "forest"
    assert made_study(name="second", experiment="shared").experiment.name == "shared"
