"""The coordinator: exactly n trials, each told once, whatever happens in between."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from adapters.search import use_search
from adapters.search.fake import FakeSearch
from apps.accounts.models import Membership
from apps.experiments.actions import cancel_run, trash_experiment, trash_run
from apps.experiments.models import Run
from apps.jobs import attempts
from apps.jobs.actions import request_cancel
from apps.jobs.attempts import Ending
from apps.jobs.models import Job
from apps.jobs.reaper import reap
from apps.jobs.states import JobState, Outcome
from apps.lineage.models import Edge, Node
from apps.tuning import coordinator
from apps.tuning.coordinator import advance_all
from apps.tuning.models import Study, Trial
from apps.tuning.settling import tell
from foundation.clock import now
from foundation.errors import Conflict
from tests.support.people import People
from tests.tuning.studies import with_trials

pytestmark = pytest.mark.django_db
Made = Callable[..., Study]
Step = Callable[[Study], Study]

RESULT: dict[str, Any] = {
    "task": "classification",
    "parameters": {},
    "primary_metric": "accuracy",
    "features": {"kinds": {}, "left_out": {}},
    "rows": {},
    "figures": [],
    "environment": {},
    "model": None,
}


def claimed(trial: Trial) -> Job:
    """A worker has the trial's job."""
    job = attempts.claim(job_id=trial.run.job_id, worker="w", tier=9, lease_seconds=60)
    assert job is not None
    assert attempts.mark_running(job_id=job.pk, fence=job.fence)
    return job


def end(trial: Trial, value: float | None = None, **ending: Any) -> Trial:
    """The trial's job comes to its end: with a value, or as told."""
    job = claimed(trial)
    if value is not None:
        ending = {"outcome": Outcome.SUCCEEDED, "result": RESULT | {"metrics": {"accuracy": value}}}
    assert attempts.finish(job_id=job.pk, fence=job.fence, ending=Ending(**ending))
    return Trial.objects.select_related("run__job").get(pk=trial.pk)


def fail(trial: Trial, reason: str = "The target has one class.") -> Trial:
    return end(trial, outcome=Outcome.FAILED, reason=reason, error_code="target.one_class")


def working(study: Study) -> list[Trial]:
    return list(study.trials.filter(state="running").select_related("run__job").order_by("number"))


@pytest.fixture
def study(made_study: Made, fake_search: FakeSearch) -> Study:
    """One that makes five trials, two at a time."""
    return made_study(n_trials=5, parallelism=2)


def test_it_tops_up_to_the_parallelism_and_ends_with_exactly_n_trials(
    study: Study, advance: Step, fake_tracking: Any
) -> None:
    seen = []
    while advance(study).is_live:
        at_work = working(study)
        assert len(at_work) <= 2
        seen.append(len(at_work))
        end(at_work[0], 0.5 + at_work[0].number / 10)
    assert seen == [2, 2, 2, 2, 1]
    assert (study.state, study.reason) == ("completed", "")
    trials = list(study.trials.all())
    assert [(t.number, t.state, t.value) for t in trials] == [
        (n, "complete", pytest.approx(0.5 + n / 10)) for n in range(5)
    ]
    run = Run.objects.get(pk=study.run_id)
    data = fake_tracking.runs([run.hex])[run.hex]
    assert (run.state, data.status) == ("succeeded", "FINISHED")
    assert data.metrics == {"accuracy": 0.9}
    assert data.tags["atelier.best_trial"] == "4"
    assert data.tags["best.max_depth"] == str(trials[4].parameters["max_depth"])
    assert advance_all() == 0


def test_a_trial_is_a_run_nested_under_the_studys(study: Study, advance: Step, fake_tracking: Any) -> None:
    advance(study)
    trial = working(study)[1]
    run = Run.objects.with_relations().get(pk=trial.run_id)
    assert (run.parent_id, run.name, run.job.kind) == (study.run_id, "forest-1", "tuning.trial")
    assert run.job.priority < 0, "people's own work goes first"
    tags = fake_tracking.runs([run.hex])[run.hex].tags
    assert tags["mlflow.parentRunId"] == study.run.hex
    assert tags["atelier.trial"] == "1"
    assert run.parameters.items() >= trial.parameters.items()
    assert Edge.objects.filter(source__kind="study", target__key=run.hex, kind="tried_in").exists()
    assert not Edge.objects.filter(source__kind="dataset_version", target__key=run.hex).exists()
    end(trial, 0.5)
    assert fake_tracking.runs([run.hex])[run.hex].tags["atelier.trial_state"] == "complete"


def test_a_result_is_told_once(study: Study, advance: Step) -> None:
    advance(study)
    trial = end(working(study)[0], 0.5)
    assert not tell(trial, "failed", reason="late")
    assert not tell(trial, "complete", value=0.9)
    assert Trial.objects.get(pk=trial.pk).value == 0.5


def test_a_pruned_trial_is_a_run_that_succeeded_without_a_model(
    study: Study, advance: Step, fake_tracking: Any
) -> None:
    advance(study)
    result = RESULT | {"pruned": 3, "reason": "Pruned at step 3.", "metrics": {}}
    trial = end(working(study)[0], outcome=Outcome.SUCCEEDED, result=result)
    assert (trial.state, trial.value, trial.reason) == ("pruned", None, "Pruned at step 3.")
    assert (trial.run.state, trial.run.model) == ("succeeded", None)
    data = fake_tracking.runs([trial.run.hex])[trial.run.hex]
    assert (data.status, data.tags["atelier.trial_state"]) == ("FINISHED", "pruned")


def test_a_trial_without_its_objective_fails_with_that_sentence(study: Study, advance: Step) -> None:
    advance(study)
    result = RESULT | {"metrics": {"f1_macro": 0.5}}
    trial = end(working(study)[0], outcome=Outcome.SUCCEEDED, result=result)
    assert (trial.state, trial.error_code, trial.run.state) == (
        "failed",
        "study.objective_missing",
        "failed",
    )
    assert "without its objective accuracy" in trial.reason


def test_a_lost_attempt_keeps_its_trial_and_reports_anew(study: Study, advance: Step) -> None:
    from apps.tuning.tasks import RunTrial

    advance(study)
    trial = working(study)[0]
    job = claimed(trial)
    Trial.objects.filter(pk=trial.pk).update(intermediate={"1": 0.4})
    Job.objects.filter(pk=job.pk).update(lease_expires_at=now() - datetime.timedelta(hours=1))
    assert reap() == 1
    trial.refresh_from_db()
    assert (trial.state, Job.objects.get(pk=job.pk).state) == ("running", "queued")
    advance(study)
    assert study.trials.count() == 2, "it is still the same trial"
    Job.objects.filter(pk=job.pk).update(not_before=None)
    again = claimed(trial)
    plan = RunTrial().prepare(again)
    trial.refresh_from_db()
    assert trial.intermediate == {}
    assert plan.program == "apps.tuning.sandbox.trial:main"
    assert plan.payload["trial"]["metric"] == "accuracy"
    assert plan.env["ATELIER_REPORT_URL"].endswith(f"/api/v1/projects/shop/trials/{trial.run.hex}/reports")
    assert attempts.finish(job_id=job.pk, fence=job.fence, ending=Ending(Outcome.FAILED)) is None, "stale"


def test_nothing_is_half_made_when_a_trial_cannot_be_written(
    study: Study, advance: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Trial.objects.create
    monkeypatch.setattr(coordinator.Trial.objects, "create", lambda **_: 1 / 0)
    advance(study)
    assert (study.state, Job.objects.count(), Run.objects.exclude(pk=study.run_id).count()) == (
        "queued",
        0,
        0,
    )
    monkeypatch.setattr(coordinator.Trial.objects, "create", made)
    assert advance(study).state == "running"
    assert study.trials.count() == 2


def test_failures_in_a_row_end_the_study_with_their_shared_reason(
    made_study: Made, advance: Step, fake_search: Any
) -> None:
    study = made_study(max_failures=3, parallelism=1)
    advance(study)
    fail(working(study)[0])
    advance(study)
    end(working(study)[0], 0.5)
    for _ in range(2):
        advance(study)
        fail(working(study)[0])
    assert advance(study).state == "running", "two in a row since the last good one"
    fail(working(study)[0])
    assert advance(study).state == "failed"
    assert study.reason == (
        "3 trials failed one after the other, all for the same reason: The target has one class."
    )
    assert Run.objects.get(pk=study.run_id).state == "failed"
    assert study.trials.count() == 5


def test_different_reasons_are_counted_and_the_last_is_said(
    made_study: Made, advance: Step, fake_search: Any
) -> None:
    study = advance(made_study(max_failures=2, parallelism=2))
    one, two = working(study)
    fail(one, "Too few rows.")
    fail(two, "Diverged.")
    advance(study)
    assert "for 2 different reasons; the last one: Diverged." in study.reason


def test_a_cancelled_trial_is_no_failure_of_the_space_and_the_study_goes_on(
    people: People, made_study: Made, advance: Step, fake_search: Any
) -> None:
    actor = people.actor("contributor")
    study = advance(made_study(max_failures=1, parallelism=1, n_trials=3))
    cancel_run(actor=actor, run=working(study)[0].run)
    assert advance(study).state == "running"
    trial = working(study)[0]
    job = claimed(trial)
    request_cancel(job=trial.run.job, actor=actor)
    attempts.finish(job_id=job.pk, fence=job.fence, ending=Ending(Outcome.CANCELLED, "Cancelled."))
    advance(study)
    end(working(study)[0], 0.5)
    assert advance(study).state == "completed"
    assert [(t.state, t.error_code) for t in study.trials.all()] == [
        ("failed", "job.cancelled"),
        ("failed", "job.cancelled"),
        ("complete", ""),
    ]
    trash_run(actor=actor, run=Run.objects.get(trial__number=2))


def test_no_trial_begins_after_the_time_is_up(made_study: Made, advance: Step, fake_search: Any) -> None:
    study = advance(made_study(timeout=60, n_trials=9, parallelism=2))
    assert study.deadline is not None
    Study.objects.filter(pk=study.pk).update(deadline=now() - datetime.timedelta(seconds=1))
    first, second = working(study)
    end(first, 0.5)
    assert advance(study).state == "stopping"
    end(second, 0.6)
    assert advance(study).state == "completed"
    assert study.reason == "The time was up after 2 of 9 trials."


def test_it_ends_when_whoever_started_it_may_not_work_here_any_more(
    people: People, made_study: Made, advance: Step, fake_search: Any
) -> None:
    study = made_study()
    Membership.objects.filter(user=people.contributor).delete()
    advance(study)
    assert advance(study).state == "failed"
    assert study.reason == "contributor may no longer start work in this project."
    assert study.trials.count() == 0


def test_it_ends_when_the_next_trial_cannot_even_be_started(study: Study, advance: Step) -> None:
    Study.objects.filter(pk=study.pk).update(algorithm="gone")
    advance(study)
    assert advance(study).state == "failed"
    assert "The next trial cannot be started: There is no algorithm 'gone'" in study.reason


def test_a_broken_study_does_not_hold_up_the_others(
    made_study: Made, advance: Step, fake_search: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = made_study(name="bad"), made_study(name="good")
    real = coordinator._go_on
    monkeypatch.setattr(
        coordinator, "_go_on", lambda study, working: 1 / 0 if study.name == "bad" else real(study, working)
    )
    advance(good)
    assert (good.state, Study.objects.get(pk=bad.pk).state) == ("running", "queued")


def test_its_experiment_stays_while_it_lives(people: People, study: Study) -> None:
    with pytest.raises(Conflict) as caught:
        trash_experiment(actor=people.actor("contributor"), experiment=study.experiment)
    assert caught.value.code in ("experiment.busy", "experiment.default")


def test_a_stray_trial_whose_job_is_over_counts_as_failed(study: Study, advance: Step) -> None:
    advance(study)
    trial = working(study)[0]
    Job.objects.filter(pk=trial.run.job_id).update(
        state=JobState.ERRORED, reason="Our bug.", finished_at=now()
    )
    advance(study)
    trial.refresh_from_db()
    assert (trial.state, trial.reason) == ("failed", "Our bug.")


def test_without_a_live_study_a_step_is_one_query(
    made_study: Made, django_assert_num_queries: Any, fake_search: Any
) -> None:
    with_trials(made_study(n_trials=1), 0.5)
    with django_assert_num_queries(1):
        advance_all()


def test_the_same_seed_gives_the_same_parameters(made_study: Made, advance: Step) -> None:
    """With Optuna itself, one trial at a time; values are a function of the parameters."""
    found = []
    for name in ("one", "two"):
        study = made_study(name=name, parallelism=1, n_trials=14, seed=11, pruner="none")
        while advance(study).is_live:
            (trial,) = working(study)
            end(trial, trial.parameters["max_depth"] / 20)
        found.append([t.parameters for t in study.trials.all()])
    assert found[0] == found[1]
    assert len({str(p) for p in found[0]}) > 10


@pytest.mark.django_db(transaction=True)
def test_two_coordinators_at_once_make_no_trial_twice(made_study: Made) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from django.db import connection

    study = made_study(n_trials=6, parallelism=6)

    def step(_: int) -> None:
        try:
            advance_all()
        finally:
            connection.close()

    with use_search(FakeSearch()), ThreadPoolExecutor(4) as pool:
        list(pool.map(step, range(8)))
    assert sorted(study.trials.values_list("number", flat=True)) == list(range(6))
    assert Job.objects.filter(kind="tuning.trial").count() == 6
    assert Node.objects.filter(kind="study").count() == 1
    assert not transaction.get_connection().in_atomic_block


@pytest.mark.django_db(transaction=True)
def test_the_whole_way_with_real_trainings(
    made_study: Made, advance: Step, worker: Callable[[Trial], Trial], fake_search: Any, fake_tracking: Any
) -> None:
    """Jobs need transactions of their own: the heart writes from another thread."""
    study = made_study(
        algorithm="linear", search_space={"C": {}}, folds=3, n_trials=3, parallelism=1, experiment="whole"
    )
    told = []
    while advance(study).is_live:
        told.append(worker(working(study)[0]))
    assert [(t.state, list(t.intermediate)) for t in told] == [("complete", ["1", "2", "3"])] * 3
    best = max(told, key=lambda t: (t.value, -t.number))
    kept = {t.number for t in told if t.run.model}
    assert best.number in kept
    assert 0 in kept, "the first one had nothing to be compared with"
    assert best.value == pytest.approx(fake_tracking.runs([best.run.hex])[best.run.hex].metrics["accuracy"])
    assert (study.state, Run.objects.get(pk=study.run_id).state) == ("completed", "succeeded")
