"""The coordinator: order, outputs, conditions, failures, cancelling, roles, exactly once."""

from __future__ import annotations

from typing import Any

import pytest

from apps.experiments.models import Run
from apps.jobs.models import Job
from apps.pipelines import actions, coordinator
from apps.pipelines import nodes as kinds
from apps.pipelines.models import PipelineRun
from apps.registry.models import ModelVersion
from foundation.errors import Unavailable
from tests.pipelines.conftest import CHECK, GOOD, KEEP, TRAIN, Plant

pytestmark = pytest.mark.django_db
BAD_CHECK = {"name": "big", "kind": "dataset_check", "with": {"dataset": "churn", "rows_at_least": 1000}}


def flow(plant: Plant) -> Any:
    return plant.pipeline(CHECK, TRAIN, GOOD, KEEP)


def test_a_run_goes_from_a_check_to_a_registered_version(plant: Plant) -> None:
    run = plant.start(flow(plant))
    assert run.state == "queued"
    states = plant.look(run)
    assert states == {"check": "succeeded", "train": "running", "good": "waiting", "keep": "waiting"}
    assert run.state == "running"
    plant.trained(run, accuracy=0.9)
    assert set(plant.look(run).values()) == {"succeeded"}
    assert (run.state, run.reason) == ("succeeded", "")
    assert run.finished_at is not None
    version = ModelVersion.objects.get()
    assert plant.node(run, "keep").outputs == {"model": "churn/1", "name": "churn", "version": 1}
    assert plant.node(run, "train").inputs["dataset"] == "churn@1"
    assert version.run == Run.objects.get()
    assert version.created_by == plant.people.contributor


def test_nodes_behind_a_condition_that_does_not_hold_are_skipped_with_the_reason(plant: Plant) -> None:
    run = plant.start(flow(plant), least=0.95)
    plant.look(run)
    plant.trained(run, accuracy=0.9)
    states = plant.look(run)
    assert states["keep"] == "skipped"
    assert "0.9 is below 0.95" in plant.node(run, "keep").reason
    assert run.state == "succeeded"
    assert "'good' does not hold, so 'keep' was skipped" in run.reason
    assert not ModelVersion.objects.exists()


def test_a_failure_skips_what_needs_it_and_the_rest_goes_on(plant: Plant) -> None:
    last = {"name": "last", "kind": "condition", "needs": ["big"], "with": {"all": [GOOD["with"]]}}
    run = plant.start(plant.pipeline(CHECK, BAD_CHECK, TRAIN, last))
    states = plant.look(run)
    assert states == {"check": "succeeded", "big": "failed", "train": "running", "last": "skipped"}
    assert run.state == "running"
    plant.trained(run, accuracy=0.9)
    assert plant.look(run)["train"] == "succeeded"
    assert run.state == "failed"
    assert run.reason.startswith("'big' failed: churn@1: it has 5 rows, at least 1,000 are asked for")
    assert plant.node(run, "last").reason == "It needs 'big', which failed."


def test_independent_nodes_run_beside_each_other(plant: Plant) -> None:
    other = {**TRAIN, "name": "other"}
    run = plant.start(plant.pipeline(CHECK, TRAIN, other))
    assert plant.look(run) == {"check": "succeeded", "train": "running", "other": "running"}
    assert Job.objects.filter(kind="experiments.train").count() == 2


def test_a_failed_training_fails_the_node_with_its_own_sentence(plant: Plant) -> None:
    run = plant.start(flow(plant))
    plant.look(run)
    plant.end(plant.node(run, "train").job, "failed", "The loss is not finite.")
    plant.look(run)
    assert plant.node(run, "train").reason == "The loss is not finite."
    assert run.state == "failed"


def test_a_training_cancelled_elsewhere_is_told_as_such(plant: Plant) -> None:
    from apps.jobs.actions import request_cancel

    run = plant.start(flow(plant))
    plant.look(run)
    request_cancel(job=plant.node(run, "train").job, actor=plant.people.actor("maintainer"))
    states = plant.look(run)
    assert (states["train"], states["good"], run.state) == ("cancelled", "skipped", "failed")
    assert run.reason == "'train' was cancelled: Cancelled by maintainer."


def test_a_node_with_retries_is_tried_again(plant: Plant) -> None:
    run = plant.start(plant.pipeline(CHECK, {**TRAIN, "retries": 1}))
    plant.look(run)
    plant.end(plant.node(run, "train").job, "failed", "Bad luck.")
    assert plant.look(run)["train"] == "running"
    node = plant.node(run, "train")
    assert node.attempt == 2
    plant.end(node.job, "failed", "Bad luck again.")
    assert plant.look(run)["train"] == "failed"
    assert Run.objects.count() == 2


def test_a_node_that_takes_too_long_is_stopped(plant: Plant) -> None:
    from datetime import timedelta

    from foundation.clock import now

    run = plant.start(plant.pipeline(CHECK, {**TRAIN, "timeout": 60}))
    plant.look(run)
    run.nodes.filter(name="train").update(started_at=now() - timedelta(seconds=61))
    assert plant.look(run)["train"] == "failed"
    assert plant.node(run, "train").reason == "It took longer than the 60 s that it may."
    assert plant.node(run, "train").job.state == "cancelled"


def test_cancelling_stops_what_runs_and_starts_nothing_more(plant: Plant) -> None:
    run = plant.start(flow(plant))
    plant.look(run)
    actions.cancel_pipeline_run(actor=plant.people.actor("viewer"), run=run)
    assert run.state == "stopping"
    states = plant.look(run)
    assert states == {"check": "succeeded", "train": "cancelled", "good": "cancelled", "keep": "cancelled"}
    assert (run.state, run.reason) == ("cancelled", "Cancelled by viewer.")
    assert plant.node(run, "train").job.state == "cancelled"


def test_cancelling_waits_for_a_job_that_a_worker_holds(plant: Plant) -> None:
    from apps.jobs import attempts
    from apps.jobs.states import Outcome

    run = plant.start(flow(plant))
    plant.look(run)
    job = plant.node(run, "train").job
    held = attempts.claim(job_id=job.pk, worker="test", tier=0, lease_seconds=60)
    attempts.mark_running(job_id=job.pk, fence=held.fence)
    actions.cancel_pipeline_run(actor=plant.people.actor("contributor"), run=run)
    assert plant.look(run)["train"] == "running"
    assert run.state == "stopping"
    attempts.finish(job_id=job.pk, fence=held.fence, ending=attempts.Ending(Outcome.CANCELLED))
    assert plant.look(run)["train"] == "cancelled"
    assert run.state == "cancelled"


def test_a_contributor_s_pipeline_cannot_deploy(plant: Plant) -> None:
    node = {"name": "serve", "kind": "deploy", "with": {"deployment": "churn", "model": "churn/1"}}
    run = plant.start(plant.pipeline(node))
    assert plant.look(run)["serve"] == "failed"
    assert "needs the role maintainer; contributor, who started the run, is contributor" in run.reason


@pytest.mark.parametrize("how", ["deactivated", "removed"])
def test_a_run_ends_when_its_person_is_off_boarded(plant: Plant, how: str) -> None:
    run = plant.start(flow(plant))
    plant.look(run)
    person = plant.people.contributor
    if how == "deactivated":
        type(person).objects.filter(pk=person.pk).update(is_active=False)
    else:
        person.memberships.all().delete()
    states = plant.look(run)
    assert states["train"] == "cancelled"
    assert run.state == "failed"
    assert "contributor" in run.reason
    assert "any more" in run.reason


def test_a_waiting_run_of_somebody_who_left_fails_without_starting_anything(plant: Plant) -> None:
    run = plant.start(flow(plant))
    plant.people.contributor.memberships.all().delete()
    assert set(plant.look(run).values()) == {"cancelled"}
    assert run.state == "failed"
    assert not Run.objects.exists()


def test_concurrency_one_lets_the_second_run_wait(plant: Plant) -> None:
    pipeline = plant.pipeline(CHECK, TRAIN, concurrency=1)
    first, second = plant.start(pipeline), plant.start(pipeline)
    plant.look(first)
    assert plant.look(second) == {"check": "waiting", "train": "waiting"}
    assert (first.state, second.state) == ("running", "queued")
    plant.trained(first, accuracy=0.9)
    plant.look(first)
    assert plant.look(second)["train"] == "running"


def test_a_component_that_is_down_is_waited_for(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(ctx: Any) -> Any:
        raise Unavailable("tracking.unavailable", "MLflow does not answer.")

    run = plant.start(flow(plant))
    with monkeypatch.context() as patch:
        patch.setattr(kinds.get("run"), "start", away)
        assert plant.look(run)["train"] == "waiting"
        assert plant.node(run, "train").note == "Is tried again: MLflow does not answer."
    assert plant.look(run)["train"] == "running"


def test_our_own_bug_ends_the_node_after_a_few_looks_and_never_hangs_the_run(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(ctx: Any) -> Any:
        raise ZeroDivisionError

    run = plant.start(flow(plant))
    monkeypatch.setattr(kinds.get("run"), "start", stumble)
    for _ in range(coordinator.MOST_FAULTS - 1):
        assert plant.look(run)["train"] == "waiting"
    assert plant.look(run)["train"] == "failed"
    assert "our side" in plant.node(run, "train").reason
    assert run.state == "failed"


def test_a_start_is_all_or_nothing(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the job and the node's row, neither is there; the next look starts it once."""
    run = plant.start(flow(plant))
    with monkeypatch.context() as patch:

        def die(*args: Any, **kwargs: Any) -> None:
            raise MemoryError

        patch.setattr(coordinator._Look, "_record", die)
        assert plant.look(run)["check"] == "waiting"
    with monkeypatch.context() as patch:
        original = coordinator._Look._move

        def die_at_train(self: Any, node: Any, to: Any, **fields: Any) -> None:
            if node.name == "train":
                raise MemoryError
            original(self, node, to, **fields)

        patch.setattr(coordinator._Look, "_move", die_at_train)
        assert plant.look(run)["train"] == "waiting"
        assert not Run.objects.exists()
        assert not Job.objects.filter(kind="experiments.train").exists()
    plant.look(run)
    plant.look(run)
    assert Run.objects.count() == 1
    assert Job.objects.filter(kind="experiments.train").count() == 1


def test_looking_costs_one_query_when_nothing_is_live(plant: Plant, django_assert_num_queries: Any) -> None:
    flow(plant)
    with django_assert_num_queries(1):
        coordinator.advance_all()


def test_lineage_leads_from_the_data_through_the_run_to_what_it_made(plant: Plant) -> None:
    from apps.lineage.models import Edge

    run = plant.start(flow(plant))
    plant.look(run)
    plant.trained(run, accuracy=0.9)
    plant.look(run)
    edges = {
        (edge.source.kind, edge.target.kind, edge.kind)
        for edge in Edge.objects.select_related("source", "target")
    }
    assert ("dataset_version", "pipeline_run", "read_by") in edges
    assert ("pipeline_run", "run", "made") in edges
    assert ("pipeline_run", "model_version", "made") in edges


def test_a_run_that_only_waits_for_its_jobs_costs_nothing_between_thorough_looks(
    plant: Plant, django_assert_num_queries: Any
) -> None:
    pipeline = plant.pipeline(CHECK, TRAIN, concurrency=1)
    run, queued = plant.start(pipeline), plant.start(pipeline)
    plant.start(pipeline)
    plant.look(run)
    with django_assert_num_queries(1):
        assert PipelineRun.objects.filter(coordinator.something_happened(), state="running").count() == 0
    assert coordinator.advance_all(thorough=False) == 1  # the oldest that waits
    plant.trained(run, accuracy=0.9)
    assert coordinator.advance_all(thorough=False) == 2
    run.refresh_from_db()
    queued.refresh_from_db()
    assert (run.state, queued.state) == ("succeeded", "running")
