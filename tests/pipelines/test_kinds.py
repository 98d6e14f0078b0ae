"""What each kind of node does with the objects of the studio."""

from __future__ import annotations

from typing import Any

import pytest

from apps.accounts.models import Project
from apps.deployments.models import Deployment, Revision
from apps.jobs.models import Job
from apps.pipelines import actions
from apps.pipelines.nodes.condition import judge
from apps.registry.actions import create_model
from apps.registry.models import Promotion
from apps.registry.promoting import approve, finish_checks, reject
from apps.tuning.models import Study
from foundation.errors import Invalid, NotFound
from tests.pipelines.conftest import CHECK, TRAIN, Plant
from tests.support.datasets import CHURN, ready_version, register, run_inline
from tests.support.people import People

pytestmark = pytest.mark.django_db
KEEP = {"name": "keep", "kind": "register", "with": {"model": "churn", "run": "${train.run}"}}
PROMOTE = {"name": "promote", "kind": "promote", "with": {"model": "${keep.model}", "to": "production"}}
SERVE = {"name": "serve", "kind": "deploy", "with": {"deployment": "live", "model": "${keep.model}"}}
PASSED = [{"name": "loads", "title": "Loads", "state": "passed", "message": "It loads."}]


def checked(plant: Plant, **wanted: Any) -> Any:
    """The node of a run that checks churn."""
    node = {**CHECK, "with": {"dataset": "churn", **wanted}}
    run = plant.start(plant.pipeline(node, name=f"p{Job.objects.count()}-{len(wanted)}"))
    plant.look(run)
    return plant.node(run, "check")


# ── dataset_check ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_check_gives_the_version_and_its_numbers(plant: Plant) -> None:
    node = checked(plant, rows_at_least=5, rows_at_most=5, columns=["age"], missing_at_most=0.2)
    assert node.state == "succeeded", node.reason
    assert node.outputs == {"dataset": "churn@1", "rows": 5, "columns": 5, "missing": pytest.approx(0.2)}
    assert node.subject_url.endswith("/datasets/churn/versions/1") or "churn" in node.subject_url


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"rows_at_least": 6}, "it has 5 rows, at least 6 are asked for"),
        ({"rows_at_most": 4}, "it has 5 rows, at most 4 are allowed"),
        ({"columns": ["age", "size"]}, "it has no column 'size'"),
        ({"missing_at_most": 0.1}, "20.0% of 'income' is missing, at most 10.0% may be"),
        ({"missing_at_most": {"size": 0.1}}, "it has no column 'size'"),
    ],
)
def test_a_check_says_what_is_wrong(plant: Plant, wanted: dict[str, Any], sentence: str) -> None:
    node = checked(plant, **wanted)
    assert node.state == "failed"
    assert node.reason.startswith("churn@1: ")
    assert sentence in node.reason


def test_a_check_compares_schemas(plant: Plant) -> None:
    ready_version(
        plant.people, CHURN.replace(b"age,", b"years,").replace(b"true", b"7").replace(b"false", b"8")
    )
    node = checked(plant, same_schema_as="churn@1")
    assert node.state == "failed"
    for part in ("no column 'age'", "a column 'years'", "'member' is integer, in churn@1 it is boolean"):
        assert part in node.reason


def test_a_version_that_is_being_read_is_waited_for(plant: Plant) -> None:
    fresh = register(plant.people, name="fresh")
    node = {**CHECK, "with": {"dataset": "fresh"}}
    run = plant.start(plant.pipeline(node))
    assert plant.look(run)["check"] == "running"
    assert plant.node(run, "check").note == "Waits until fresh@1 has been read."
    run_inline(fresh.versions.get().job)
    assert plant.look(run)["check"] == "succeeded"
    assert plant.node(run, "check").attempt == 1


def test_an_unknown_dataset_fails_with_the_sentence(plant: Plant) -> None:
    assert "no dataset 'nothing'" in checked(plant, dataset="nothing").reason


# ── evaluate ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_evaluation_is_a_job_whose_answer_becomes_outputs(plant: Plant) -> None:
    evaluate = {
        "name": "judge",
        "kind": "evaluate",
        "with": {"run": "${train.run}", "dataset": "churn", "against": "churn@production"},
    }
    run = plant.start(plant.pipeline(CHECK, TRAIN, evaluate))
    plant.look(run)
    plant.trained(run, accuracy=0.9)
    assert plant.look(run)["judge"] == "running"
    job = plant.node(run, "judge").job
    assert job.kind == "pipelines.evaluate"
    assert job.spec["against"] is None
    assert job.spec["judged"]["prefix"].startswith("mlflow/")
    answer = {
        "metrics": {"accuracy": 0.7},
        "against": None,
        "rows": 5,
        "dataset": "churn@1",
        "seen": True,
        "task": "classification",
        "primary_metric": "accuracy",
    }
    plant.end(job, result=answer)
    assert plant.look(run)["judge"] == "succeeded"
    assert plant.node(run, "judge").outputs["metrics"] == {"accuracy": 0.7}
    assert (
        "accuracy 0.7 on 5 rows. The model was trained on this very version" in plant.node(run, "judge").note
    )


def test_an_evaluation_of_a_model_without_files_fails_with_the_sentence(plant: Plant) -> None:
    evaluate = {"name": "judge", "kind": "evaluate", "with": {"run": "${train.run}", "dataset": "churn"}}
    run = plant.start(plant.pipeline(CHECK, TRAIN, evaluate))
    plant.look(run)
    plant.trained(run, accuracy=0.9)
    plant.look(run)
    run_inline(plant.node(run, "judge").job)
    assert plant.look(run)["judge"] == "failed"
    assert "are not there (any more)" in plant.node(run, "judge").reason


def test_a_run_that_kept_no_model_cannot_be_judged(plant: Plant) -> None:
    evaluate = {"name": "judge", "kind": "evaluate", "with": {"run": "${train.run}", "dataset": "churn"}}
    run = plant.start(plant.pipeline(CHECK, TRAIN, evaluate))
    plant.look(run)
    plant.trained(run, accuracy=0.9, model=False)
    assert plant.look(run)["judge"] == "failed"
    assert "has kept no model" in plant.node(run, "judge").reason


# ── condition ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("values", "holds", "said"),
    [
        ({"left": 2, "operator": ">", "right": 1}, True, "2 > 1 holds."),
        ({"left": 0.5, "operator": ">=", "right": 0.75}, False, "0.5 is below 0.75."),
        ({"left": "a", "operator": "==", "right": "a"}, True, "'a' == 'a' holds."),
        ({"left": True, "operator": "!=", "right": True}, False, "True is equal to True."),
        ({"all": [{"left": 1, "operator": "<", "right": 2}, {"left": 3, "operator": "<", "right": 2}]}, False, "3 is not below 2."),
        ({"any": [{"left": 1, "operator": "<", "right": 2}, {"left": 3, "operator": "<", "right": 2}]}, True, "1 < 2 holds."),
        ({"metric": "accuracy", "of": {"accuracy": 0.9}, "better_than": None}, True, "There is nothing to beat yet."),
        ({"metric": "accuracy", "of": {"accuracy": 0.9}, "better_than": {"accuracy": 0.9}}, False, "not better than 0.9"),
        ({"metric": "rmse", "of": {"rmse": 1.0}, "better_than": {"rmse": 2.0}, "by": 0.5}, True, "is better than 2 by at least 0.5"),
    ],
)  # fmt: skip
def test_a_condition_compares(values: dict[str, Any], holds: bool, said: str) -> None:
    verdict = judge(values, Project())
    assert verdict.holds is holds
    assert said in verdict.said


def test_an_alias_that_nothing_holds_is_beaten_by_anybody(people: People) -> None:
    create_model(actor=people.actor("contributor"), project=people.project, name="churn")
    values = {"metric": "accuracy", "of": {"accuracy": 0.9}, "better_than": "churn@production"}
    assert judge(values, people.project).said == (
        "There is nothing to beat yet: no version holds churn@production."
    )
    with pytest.raises(NotFound):
        judge({**values, "better_than": "chrun@production"}, people.project)


@pytest.mark.parametrize(
    "values",
    [
        {"left": 1, "operator": ">", "right": "a"},
        {"left": None, "operator": ">", "right": 1},
        {"left": True, "operator": "<", "right": 2},
        {"left": 1, "operator": "=>", "right": 2},
        {"metric": "accuracy", "of": {}, "better_than": {"accuracy": 1}},
        {"metric": "strange", "of": {"strange": 1}, "better_than": {"strange": 1}},
    ],
)
def test_what_cannot_be_compared_is_a_sentence(values: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        judge(values, Project())


# ── promote ──────────────────────────────────────────────────────────────────────────────────────────────────────


def promoted(plant: Plant) -> Any:
    """A run whose promotion to production waits for an approval."""
    run = plant.start(plant.pipeline(CHECK, TRAIN, KEEP, PROMOTE))
    plant.look(run)
    plant.trained(run, accuracy=0.9)
    assert plant.look(run)["promote"] == "running"
    plant.end(plant.node(run, "promote").job, result={"checks": PASSED})
    plant.look(run)
    assert plant.node(run, "promote").note == "Waits for the approval of a maintainer."
    return run


def test_a_promotion_waits_for_its_approval(plant: Plant) -> None:
    run = promoted(plant)
    approve(actor=plant.people.actor("maintainer"), promotion=Promotion.objects.get())
    assert plant.look(run)["promote"] == "succeeded"
    assert plant.node(run, "promote").outputs["alias"] == "production"
    assert run.state == "succeeded"


def test_a_rejected_promotion_fails_with_what_the_person_wrote(plant: Plant) -> None:
    run = promoted(plant)
    reject(
        actor=plant.people.actor("maintainer"), promotion=Promotion.objects.get(), comment="Not on a Friday."
    )
    assert plant.look(run)["promote"] == "failed"
    assert plant.node(run, "promote").reason == "It was rejected: Not on a Friday."


def test_a_refused_promotion_fails_with_the_check_s_sentence(plant: Plant) -> None:
    run = plant.start(plant.pipeline(CHECK, TRAIN, KEEP, PROMOTE))
    plant.look(run)
    plant.trained(run, accuracy=0.9)
    plant.look(run)
    worse = [{"name": "metric", "title": "Metric", "state": "failed", "message": "It is worse."}]
    plant.end(plant.node(run, "promote").job, result={"checks": worse})
    assert plant.look(run)["promote"] == "failed"
    assert plant.node(run, "promote").reason == "The checks refused it: It is worse."


def test_cancelling_withdraws_a_promotion_that_waits(plant: Plant) -> None:
    run = promoted(plant)
    actions.cancel_pipeline_run(actor=plant.people.actor("contributor"), run=run)
    assert plant.look(run)["promote"] == "cancelled"
    assert run.state == "cancelled"
    promotion = Promotion.objects.get()
    assert promotion.state == "rejected"
    assert "was stopped" in promotion.reason


def test_a_version_that_holds_the_alias_already_is_done_at_once(plant: Plant) -> None:
    run = promoted(plant)
    approve(actor=plant.people.actor("maintainer"), promotion=Promotion.objects.get())
    plant.look(run)
    again = plant.start(
        plant.pipeline({**PROMOTE, "with": {"model": "churn/1", "to": "production"}}, name="again")
    )
    assert plant.look(again)["promote"] == "succeeded"
    assert plant.node(again, "promote").outputs["promotion"] is None
    assert Promotion.objects.count() == 1


def test_another_person_s_checks_that_end_badly_are_no_bug(plant: Plant) -> None:
    run = promoted(plant)
    promotion = Promotion.objects.get()
    finish_checks(promotion=promotion, checks=PASSED)  # a late second answer changes nothing
    assert plant.look(run)["promote"] == "running"


# ── deploy ───────────────────────────────────────────────────────────────────────────────────────────────────────


def deployed(plant: Plant) -> Any:
    run = plant.start(plant.pipeline(CHECK, TRAIN, KEEP, SERVE), by="maintainer")
    plant.look(run)
    plant.trained(run, accuracy=0.9)
    assert plant.look(run)["serve"] == "running"
    return run


def test_a_deployment_is_made_and_waited_for(plant: Plant) -> None:
    run = deployed(plant)
    deployment, revision = Deployment.objects.get(), Revision.objects.get()
    assert (deployment.model_ref, deployment.created_by) == ("churn/1", plant.people.maintainer)
    assert plant.node(run, "serve").note == "It is being built."
    Job.objects.filter(pk=revision.job_id).update(state="succeeded", finished_at="2026-01-01T00:00:00Z")
    Revision.objects.update(state="starting")
    assert plant.look(run)["serve"] == "running"
    assert plant.node(run, "serve").note == "Its process is starting."
    Revision.objects.update(state="ready", ready_at="2026-01-01T00:00:00Z")
    assert plant.look(run)["serve"] == "succeeded"
    assert plant.node(run, "serve").outputs == {
        "deployment": "live",
        "revision": 1,
        "model": "churn/1",
        "url": "/serve/shop/live/predict",
    }
    again = plant.start(
        plant.pipeline({**SERVE, "with": {"deployment": "live", "model": "churn/1"}}, name="again"),
        by="maintainer",
    )
    assert plant.look(again)["serve"] == "succeeded"
    assert Revision.objects.count() == 1


def test_a_deployment_that_does_not_come_up_fails_with_its_reason(plant: Plant) -> None:
    run = deployed(plant)
    Job.objects.filter(pk=Revision.objects.get().job_id).update(
        state="failed", finished_at="2026-01-01T00:00:00Z"
    )
    Revision.objects.update(state="failed", reason="The model does not load.")
    assert plant.look(run)["serve"] == "failed"
    assert plant.node(run, "serve").reason == "The model does not load."


# ── study ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_study_gives_its_best_parameters_to_a_run(plant: Plant) -> None:
    from apps.tuning.states import TrialState
    from foundation.clock import now

    search = {
        "name": "search",
        "kind": "study",
        "with": {"dataset": "churn", "target": "left", "algorithm": "random_forest", "n_trials": 3},
    }
    train = {
        **TRAIN,
        "with": {
            "dataset": "${search.dataset}",
            "target": "left",
            "algorithm": "random_forest",
            "parameters": "${search.best_parameters}",
        },
    }
    run = plant.start(plant.pipeline(search, train))
    assert plant.look(run)["search"] == "running"
    study = Study.objects.get()
    assert study.name == "nightly-1-search"
    study.trials.create(
        number=0,
        run=study.run,
        state=TrialState.COMPLETE,
        parameters={"max_depth": 7},
        value=0.9,
        told_at=now(),
    )
    assert plant.look(run)["search"] == "running"
    Study.objects.update(state="completed")
    assert plant.look(run) == {"search": "succeeded", "train": "running"}
    node = plant.node(run, "search")
    assert (node.outputs["best_value"], node.outputs["best_trial"]) == (0.9, 0)
    assert plant.node(run, "train").inputs["parameters"]["max_depth"] == 7


def test_a_failed_study_fails_the_node(plant: Plant) -> None:
    search = {
        "name": "search",
        "kind": "study",
        "with": {"dataset": "churn", "target": "left", "algorithm": "random_forest"},
    }
    run = plant.start(plant.pipeline(search))
    plant.look(run)
    Study.objects.update(state="failed", reason="5 trials failed in a row.")
    assert plant.look(run)["search"] == "failed"
    assert plant.node(run, "search").reason == "5 trials failed in a row."
