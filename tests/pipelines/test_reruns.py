"""Repeating a run: what is taken over, and what is done again; versions; limits."""

from __future__ import annotations

from typing import Any

import pytest

from apps.experiments.models import Run
from apps.pipelines import actions, new_run
from apps.pipelines.models import PipelineRun
from foundation.errors import AtelierError, Conflict, TooMany
from tests.pipelines.conftest import CHECK, GOOD, KEEP, TRAIN, Plant, definition
from tests.support.datasets import ready_version

pytestmark = pytest.mark.django_db
NEVER = {**GOOD, "with": {"left": "${train.metrics.accuracy}", "operator": ">", "right": "${train.task}"}}


def failed(plant: Plant, *nodes: dict[str, Any]) -> Any:
    """A run whose condition cannot be computed."""
    run = plant.start(plant.pipeline(*nodes))
    plant.look(run)
    plant.trained(run, accuracy=0.9)
    plant.look(run)
    assert run.state == "failed"
    return run


def again(plant: Plant, run: Any, **how: Any) -> Any:
    return actions.rerun(actor=plant.people.actor("maintainer"), run=run, **how)


def test_what_succeeded_is_taken_over_and_the_rest_done_again(plant: Plant) -> None:
    run = failed(plant, CHECK, TRAIN, NEVER, KEEP)
    repeated = again(plant, run)
    assert plant.states(repeated) == {
        "check": "reused",
        "train": "reused",
        "good": "waiting",
        "keep": "waiting",
    }
    assert (repeated.created_by, repeated.rerun_of) == (plant.people.maintainer, run)
    plant.look(repeated)
    assert plant.states(repeated)["good"] == "failed"
    assert Run.objects.count() == 1
    third = again(plant, repeated)
    assert plant.node(third, "train").reused_from.pipeline_run == run


def test_from_the_start_everything_is_done_anew_with_the_same_parameters(plant: Plant) -> None:
    run = failed(plant, CHECK, TRAIN, NEVER, KEEP)
    repeated = again(plant, run, since="start")
    assert set(plant.states(repeated).values()) == {"waiting"}
    assert repeated.parameters == run.parameters


def test_a_corrected_definition_reuses_what_is_written_as_it_was(plant: Plant) -> None:
    run = failed(plant, CHECK, TRAIN, NEVER, KEEP)
    pipeline = run.pipeline
    actions.update_pipeline(
        actor=plant.people.actor("contributor"),
        pipeline=pipeline,
        definition=definition(CHECK, TRAIN, GOOD, KEEP),
    )
    repeated = again(plant, run, latest=True)
    assert repeated.version.number == 2
    assert plant.states(repeated)["train"] == "reused"
    assert set(plant.look(repeated).values()) == {"reused", "succeeded"}
    assert again(plant, run).version.number == 1


def test_a_change_upstream_makes_everything_behind_it_new(plant: Plant) -> None:
    run = failed(plant, CHECK, TRAIN, NEVER, KEEP)
    other = {**CHECK, "with": {"dataset": "churn", "rows_at_least": 2}}
    actions.update_pipeline(
        actor=plant.people.actor("contributor"),
        pipeline=run.pipeline,
        definition=definition(other, TRAIN, GOOD, KEEP),
    )
    assert set(plant.states(again(plant, run, latest=True)).values()) == {"waiting"}


def test_nothing_failed_is_a_conflict(plant: Plant) -> None:
    run = plant.start(plant.pipeline(CHECK))
    plant.look(run)
    with pytest.raises(Conflict) as caught:
        again(plant, run)
    assert caught.value.code == "pipeline.nothing_failed"
    assert again(plant, run, since="start").number == 2


def test_a_dataset_parameter_is_fixed_to_the_newest_version_also_for_the_re_run(plant: Plant) -> None:
    check = {**CHECK, "with": {"dataset": "${parameters.data}"}}
    parameters = {"data": {"type": "dataset", "default": "churn"}}
    run = plant.start(plant.pipeline(check, parameters=parameters))
    assert run.parameters == {"data": "churn@1"}
    ready_version(plant.people, b"a,b\n" + b"1,2\n" * 20)
    plant.look(run)
    assert plant.node(run, "check").outputs["dataset"] == "churn@1"
    assert again(plant, run, since="start").parameters == {"data": "churn@1"}


def test_a_run_keeps_its_version_when_the_definition_changes(plant: Plant) -> None:
    pipeline = plant.pipeline(CHECK, TRAIN)
    run = plant.start(pipeline)
    actions.update_pipeline(
        actor=plant.people.actor("contributor"), pipeline=pipeline, definition=definition(CHECK)
    )
    assert plant.look(run)["train"] == "running"
    assert list(plant.states(plant.start(pipeline))) == ["check"]


def test_too_many_waiting_runs_are_refused(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_run, "MOST_WAITING", 2)
    pipeline = plant.pipeline(CHECK)
    plant.start(pipeline)
    plant.start(pipeline)
    with pytest.raises(TooMany):
        plant.start(pipeline)
    assert PipelineRun.objects.count() == 2


@pytest.mark.parametrize(("who", "code"), [("viewer", "role.too_small"), ("stranger", "role.too_small")])
def test_who_may_not_start_a_run_cannot(plant: Plant, who: str, code: str) -> None:
    with pytest.raises(AtelierError) as caught:
        plant.start(plant.pipeline(CHECK), by=who)
    assert caught.value.code == code


def test_a_job_s_token_gives_its_run_no_more_than_jobs_may(plant: Plant) -> None:
    from apps.accounts.access import Actor
    from foundation.ids import uuid7

    serve = {"name": "serve", "kind": "deploy", "with": {"deployment": "a", "model": "a/1"}}
    job = Actor(user=plant.people.owner, job_id=uuid7())
    run = actions.start_pipeline_run(actor=job, pipeline=plant.pipeline(serve))
    assert plant.look(run)["serve"] == "failed"
    assert "needs the role maintainer" in plant.node(run, "serve").reason
