"""What every Tracking must do: run on the in-memory twin and on MLflow's own tables."""

from __future__ import annotations

import math
from uuid import UUID, uuid4

import pytest

from adapters.tracking import ARCHIVED_TAG, DIGEST_TAG, RegisteredModel
from foundation.errors import Conflict, Invalid, NotFound
from tests.tracking.conftest import CHURN, Bench


def test_a_project_has_one_default_experiment_however_often_it_is_ensured(bench: Bench) -> None:
    assert bench.tracking.ensure_project(bench.project) == bench.default
    assert [e.name for e in bench.tracking.list_experiments(bench.project)] == ["Default"]


def test_an_experiment_is_made_once_and_only_in_its_project(bench: Bench, other_project: UUID) -> None:
    bench.tracking.ensure_project(other_project)
    first = bench.tracking.ensure_experiment(bench.project, "churn")
    assert bench.tracking.ensure_experiment(bench.project, "churn") == first
    assert bench.tracking.ensure_experiment(other_project, "churn") != first
    assert first in [e.id for e in bench.tracking.list_experiments(bench.project)]


def test_an_experiment_in_the_trash_keeps_its_name_and_takes_its_runs_along(bench: Bench) -> None:
    experiment = bench.tracking.ensure_experiment(bench.project, "churn")
    run = bench.run(experiment_id=experiment)
    bench.tracking.delete_experiment(bench.project, experiment)
    assert bench.tracking.runs([run])[run].deleted
    assert [e.id for e in bench.tracking.list_experiments(bench.project, stage="deleted")] == [experiment]
    with pytest.raises(Conflict):
        bench.tracking.ensure_experiment(bench.project, "churn")
    bench.tracking.restore_experiment(bench.project, experiment)
    assert not bench.tracking.runs([run])[run].deleted


def test_it_renames_an_experiment_unless_the_name_is_taken(bench: Bench, other_project: UUID) -> None:
    one = bench.tracking.ensure_experiment(bench.project, "one")
    bench.tracking.ensure_experiment(bench.project, "two")
    bench.tracking.rename_experiment(bench.project, one, "three")
    with pytest.raises(Conflict):
        bench.tracking.rename_experiment(bench.project, one, "two")
    with pytest.raises(NotFound):
        bench.tracking.rename_experiment(other_project, one, "four")


def test_a_new_run_is_scheduled_and_carries_what_was_submitted(bench: Bench) -> None:
    run_id = bench.run(
        "first",
        parameters={"depth": 3, "rate": 0.1, "flag": True, "none": None},
        tags={"kind": "x"},
        dataset=CHURN,
    )
    run = bench.tracking.runs([run_id])[run_id]
    assert (run.name, run.user, run.status, run.deleted) == ("first", "ada", "SCHEDULED", False)
    assert run.params == {"depth": "3", "rate": "0.1", "flag": "True", "none": "None"}
    assert run.tags["kind"] == "x"
    assert run.tags["mlflow.runName"] == "first"
    assert run.tags[DIGEST_TAG] == "a" * 64
    assert [(d.name, d.digest, d.context) for d in run.inputs] == [("churn", "a" * 36, "training")]
    assert run.experiment == "Default"
    assert run.start is not None
    assert run.end is None


def test_two_runs_share_one_dataset(bench: Bench) -> None:
    ids = [bench.run(dataset=CHURN), bench.run(dataset=CHURN)]
    assert all(run.inputs[0].source == CHURN.source for run in bench.tracking.runs(ids).values())


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"run_id": "x"}, Invalid),
        ({"run_id": "../" + "a" * 29}, Invalid),
        ({"parameters": {"a\x00": 1}}, Invalid),
        ({"parameters": {"": 1}}, Invalid),
        ({"parameters": {"a": "\x00"}}, Invalid),
        ({"parameters": {"a": "x" * 6001}}, Invalid),
        ({"tags": {"a": "x" * 8001}}, Invalid),
        ({"name": "x" * 251}, Invalid),
        ({"experiment_id": "999999"}, NotFound),
        ({"experiment_id": "1; drop table"}, NotFound),
    ],
)
def test_a_run_that_mlflow_would_refuse_is_refused(bench: Bench, fields: dict, error: type) -> None:
    with pytest.raises(error):
        bench.run(**fields)


def test_a_run_cannot_be_made_twice_or_in_another_project(bench: Bench, other_project: UUID) -> None:
    run_id = bench.run()
    with pytest.raises(Conflict):
        bench.run(run_id=run_id)
    with pytest.raises(NotFound):
        bench.run(project_id=other_project)


def test_a_run_starts_and_finishes(bench: Bench) -> None:
    run_id = bench.run()
    bench.tracking.start_run(run_id)
    assert bench.tracking.runs([run_id])[run_id].status == "RUNNING"
    bench.tracking.finish_run(run_id, "FAILED")
    run = bench.tracking.runs([run_id])[run_id]
    assert run.status == "FAILED"
    assert run.start
    assert run.end
    assert run.end >= run.start


def test_tags_are_set_and_removed_and_a_run_is_renamed(bench: Bench) -> None:
    run_id = bench.run(tags={"a": "1", "b": "2"})
    bench.tracking.set_tags(run_id, {"a": None, "b": "3", "c": "4"})
    bench.tracking.rename_run(run_id, "new")
    run = bench.tracking.runs([run_id])[run_id]
    assert "a" not in run.tags
    assert (run.tags["b"], run.tags["c"], run.name, run.tags["mlflow.runName"]) == ("3", "4", "new", "new")


def test_parameters_are_added_where_the_run_has_not_logged_its_own(bench: Bench) -> None:
    run_id = bench.run(parameters={"depth": "10.0"})
    bench.tracking.add_parameters(run_id, {"depth": 10, "rate": 0.5})
    bench.tracking.add_parameters(run_id, {})
    assert bench.tracking.runs([run_id])[run_id].params == {"depth": "10.0", "rate": "0.5"}


def test_metrics_are_added_and_the_newest_value_shows(bench: Bench) -> None:
    run_id = bench.run()
    bench.tracking.add_metrics(run_id, {"accuracy": 0.5, "best rate": 0.01})
    bench.tracking.add_metrics(run_id, {"accuracy": 0.9})
    bench.tracking.add_metrics(run_id, {"accuracy": 0.9})
    assert bench.tracking.runs([run_id])[run_id].metrics == {"accuracy": 0.9, "best rate": 0.01}
    assert bench.tracking.metric_history(run_id, "accuracy")[-1].value == 0.9


def test_an_unknown_run_is_not_found(bench: Bench) -> None:
    missing = uuid4().hex
    for call in (
        bench.tracking.start_run,
        bench.tracking.delete_run,
        bench.tracking.restore_run,
        bench.tracking.reset_run,
        bench.tracking.artifact_key,
        bench.tracking.list_artifacts,
    ):
        with pytest.raises(NotFound):
            call(missing)
    with pytest.raises(NotFound):
        bench.tracking.set_tags(missing, {"a": "1"})
    assert bench.tracking.runs([missing]) == {}
    assert bench.tracking.metric_keys(missing) == []
    assert bench.tracking.metric_history(missing, "loss") == []


def test_runs_of_another_project_can_be_left_out(bench: Bench, other_project: UUID) -> None:
    run_id = bench.run()
    assert bench.tracking.runs([run_id], project_id=other_project) == {}
    assert run_id in bench.tracking.runs([run_id], project_id=bench.project)


def test_the_first_value_that_is_no_number_is_found(bench: Bench) -> None:
    run_id = bench.run()
    bench.log(run_id, "loss", {0: 3.0, 1: -2.0})
    assert bench.tracking.first_unfinite(run_id) is None
    bench.log(run_id, "odd", {4: 1.0, 5: math.nan, 6: math.nan})
    found = bench.tracking.first_unfinite(run_id)
    assert found is not None
    assert (found[0], found[1].step, math.isnan(found[1].value)) == ("odd", 5, True)
    assert bench.tracking.first_unfinite(run_id, "loss") is None
    assert bench.tracking.first_unfinite(uuid4().hex) is None


def test_metrics_show_their_latest_value_and_nan_stays_nan(bench: Bench) -> None:
    run_id = bench.run()
    bench.log(run_id, "loss", {0: 3.0, 1: 2.0, 2: 1.5})
    bench.log(run_id, "odd", {0: math.nan})
    metrics = bench.tracking.runs([run_id])[run_id].metrics
    assert metrics["loss"] == 1.5
    assert math.isnan(metrics["odd"])
    assert bench.tracking.metric_keys(run_id) == ["loss", "odd"]
    assert [(p.step, p.value) for p in bench.tracking.metric_history(run_id, "loss")] == [
        (0, 3.0),
        (1, 2.0),
        (2, 1.5),
    ]


def test_a_long_curve_is_thinned_but_keeps_its_ends_and_its_peak(bench: Bench) -> None:
    run_id = bench.run()
    bench.log(run_id, "loss", {step: (50.0 if step == 321 else 1.0 + step / 1000) for step in range(1000)})
    curve = bench.tracking.metric_history(run_id, "loss", points=20)
    assert len(curve) <= 20
    assert (curve[0].step, curve[-1].step) == (0, 999)
    assert max(p.value for p in curve) == 50.0
    assert [p.step for p in curve] == sorted(p.step for p in curve)


def test_a_reset_run_is_as_submitted_and_the_lost_attempt_is_archived(bench: Bench) -> None:
    run_id = bench.run(parameters={"depth": 3}, tags={"kind": "x"})
    before = bench.tracking.artifact_key(run_id)
    bench.tracking.start_run(run_id)
    bench.log(run_id, "loss", {0: 1.0})
    bench.log_param(run_id, "found", "7")
    bench.tracking.set_tags(run_id, {"attempt": "1"})
    bench.log_model(run_id)
    archive = bench.tracking.reset_run(run_id)
    found = bench.tracking.runs([run_id, archive])
    run, kept = found[run_id], found[archive]
    assert (run.status, run.params, run.metrics, run.models) == ("SCHEDULED", {"depth": "3"}, {}, ())
    assert run.tags["kind"] == "x"
    assert "attempt" not in run.tags
    assert (kept.deleted, kept.metrics, kept.params) == (True, {"loss": 1.0}, {"found": "7"})
    assert kept.tags[ARCHIVED_TAG] == run_id
    assert bench.tracking.artifact_key(archive) == before
    assert bench.tracking.artifact_key(run_id) != before
    assert bench.tracking.metric_history(run_id, "loss") == []
    assert bench.tracking.search(bench.project).run_ids == (run_id,)
    assert bench.tracking.reset_run(run_id) != archive


def test_artifact_keys_stay_below_the_run(bench: Bench) -> None:
    run_id = bench.run()
    base = bench.tracking.artifact_key(run_id)
    assert base.startswith(f"mlflow/workspaces/p-{bench.project.hex}/{bench.default}/{run_id}/")
    assert bench.tracking.artifact_key(run_id, "figures/roc.json") == base + "/figures/roc.json"
    for path in ("../x", "a/../../b", "./a", "a/\x00", "a\\..\\b"):
        with pytest.raises(NotFound):
            bench.tracking.artifact_key(run_id, path)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "abc"),
        ("metrics.acc > 0.5", "ab"),
        ("metrics.acc != 0.9", "bc"),
        ("metric.`acc` <= 0.6 AND params.depth = '3'", "b"),
        ("params.depth LIKE '%'", "ab"),
        ("params.depth IS NULL", "c"),
        ("tags.kind ILIKE 'FOREST%' and attributes.status = 'FINISHED'", "a"),
        ("tags.kind IS NOT NULL", "ab"),
        ("run_name = 'a'", "a"),
        ("attributes.run_name LIKE 'b%'", "b"),
        ("datasets.name = 'churn'", "a"),
        ("dataset.context = 'training'", "a"),
        ("datasets.name NOT IN ('churn')", ""),
        ("metrics.missing > 0", ""),
        ("user_id = 'ada'", "abc"),
        ("start_time > 0", "abc"),
        ("end_time > 0", "a"),
    ],
)
def test_a_filter_selects(bench: Bench, text: str, wanted: str) -> None:
    ids = {
        bench.run("a", parameters={"depth": 3}, tags={"kind": "forest"}, dataset=CHURN): "a",
        bench.run("b", parameters={"depth": 3}, tags={"kind": "mlp"}): "b",
        bench.run("c"): "c",
    }
    a, b, c = ids
    bench.log(a, "acc", {0: 0.9})
    bench.log(b, "acc", {0: 0.6})
    bench.log(c, "acc", {0: math.nan})
    bench.tracking.finish_run(a, "FINISHED")
    found = bench.tracking.search(bench.project, filter=text)
    assert sorted(ids[run_id] for run_id in found.run_ids) == sorted(wanted)


def test_ids_can_be_listed_in_a_filter(bench: Bench) -> None:
    a, b = bench.run(), bench.run()
    assert bench.tracking.search(bench.project, filter=f"run_id IN ('{a}')").run_ids == (a,)
    assert bench.tracking.search(bench.project, filter=f"run_id NOT IN ('{a}', 'x')").run_ids == (b,)
    assert bench.tracking.search(bench.project, only=[a, "x"]).run_ids == (a,)
    assert bench.tracking.search(bench.project, only=[]).run_ids == ()
    assert bench.tracking.search(bench.project, without=[a, "x"]).run_ids == (b,)
    assert bench.tracking.search(bench.project, only=[a, b], without=[b], filter="run_id != ''").run_ids == (
        a,
    )


def test_an_order_puts_nan_and_missing_values_last_in_both_directions(bench: Bench) -> None:
    low, high, nan, none = (bench.run(name) for name in ("low", "high", "nan", "none"))
    for run_id, value in ((low, 0.1), (high, 0.9), (nan, math.nan)):
        bench.log(run_id, "acc", {0: value})
    search = bench.tracking.search
    assert search(bench.project, order_by=["metrics.acc DESC"]).run_ids == (high, low, nan, none)
    assert search(bench.project, order_by=["metrics.acc"]).run_ids == (low, high, nan, none)
    assert search(bench.project, order_by=["run_name asc"]).run_ids == (high, low, nan, none)


def test_pages_follow_one_another(bench: Bench) -> None:
    ids = {bench.run() for _ in range(5)}
    seen: list[str] = []
    cursor = None
    for _ in range(5):
        page = bench.tracking.search(bench.project, limit=2, cursor=cursor)
        seen += page.run_ids
        cursor = page.next
        if cursor is None:
            break
    assert len(seen) == 5
    assert set(seen) == ids


def test_a_search_never_leaves_its_project(bench: Bench, other_project: UUID) -> None:
    bench.run()
    bench.tracking.ensure_project(other_project)
    assert bench.tracking.search(other_project).run_ids == ()
    assert bench.tracking.search(other_project, experiment_ids=[bench.default]).run_ids == ()
    assert bench.tracking.search(bench.project, experiment_ids=["x", "99999999999"]).run_ids == ()


def test_runs_in_the_trash_are_found_only_when_asked_for(bench: Bench) -> None:
    run_id = bench.run()
    bench.tracking.delete_run(run_id)
    assert bench.tracking.search(bench.project).run_ids == ()
    assert bench.tracking.search(bench.project, stage="deleted").run_ids == (run_id,)
    assert bench.tracking.search(bench.project, stage="all").run_ids == (run_id,)
    bench.tracking.restore_run(run_id)
    assert bench.tracking.search(bench.project).run_ids == (run_id,)


@pytest.mark.parametrize(
    "text",
    [
        "metrics.acc",
        "metrics.acc > 'x'",
        "metrics.acc LIKE 1",
        "params.depth > '3'",
        "params.depth = 3",
        "foo.bar = 'x'",
        "attributes.nothing = 'x'",
        "datasets.size = 'x'",
        "metrics.acc > 1 OR metrics.acc < 0",
        "metrics.acc > 1; DROP TABLE runs",
        "run_id IN ()",
        "run_id = ('a')",
        "status IN ('a')",
        "metrics.acc IS NULL",
        "\x00",
        "(" * 2000,
        "a" * 20_000,
    ],
)
def test_a_filter_that_cannot_be_read_is_refused_with_a_sentence(bench: Bench, text: str) -> None:
    with pytest.raises(Invalid) as caught:
        bench.tracking.search(bench.project, filter=text)
    assert caught.value.code == "tracking.filter"


@pytest.mark.parametrize(
    "order", ["metrics.acc sideways", "foo.bar", "", "metrics.a b c", "datasets.name", "'"]
)
def test_an_order_that_cannot_be_read_is_refused(bench: Bench, order: str) -> None:
    with pytest.raises(Invalid):
        bench.tracking.search(bench.project, order_by=[order])


def test_a_broken_cursor_is_refused(bench: Bench) -> None:
    for cursor in ("x", "e30=", "eyJvZmZzZXQiOiAtMX0="):
        with pytest.raises(Invalid):
            bench.tracking.search(bench.project, cursor=cursor)


def test_a_registered_model_gets_numbered_versions_and_aliases(bench: Bench) -> None:
    run_id = bench.run()
    model = bench.log_model(run_id)
    bench.tracking.create_model(bench.project, "churn", description="who leaves")
    first = bench.tracking.create_version(bench.project, "churn", run_id=run_id, tags={"a": "1"})
    second = bench.tracking.create_version(bench.project, "churn", run_id=run_id, model_id=model.id)
    third = bench.tracking.create_version(bench.project, "churn", run_id=run_id, source="model")
    assert [v.number for v in bench.tracking.versions(bench.project, "churn")] == [3, 2, 1]
    assert (first.number, second.source, second.key) == (1, f"models:/{model.id}", model.key)
    assert third.key == bench.tracking.artifact_key(run_id, "model")
    assert bench.tracking.versions(bench.project, "churn")[-1].tags == {"a": "1"}
    bench.tracking.set_alias(bench.project, "churn", "production", 1)
    bench.tracking.set_alias(bench.project, "churn", "production", 2)
    bench.tracking.set_alias(bench.project, "churn", "best", 1)
    assert bench.tracking.aliases(bench.project, "churn") == {"best": 1, "production": 2}
    bench.tracking.delete_alias(bench.project, "churn", "best")
    bench.tracking.delete_alias(bench.project, "churn", "best")
    assert bench.tracking.aliases(bench.project, "churn") == {"production": 2}
    bench.tracking.describe_version(bench.project, "churn", 2, "better")
    assert bench.tracking.versions(bench.project, "churn")[1].description == "better"
    bench.tracking.trash_version(bench.project, "churn", 3)
    bench.tracking.create_model(bench.project, "empty", description="nothing yet")
    assert bench.tracking.models(bench.project) == {
        "churn": RegisteredModel("churn", "who leaves", 2),
        "empty": RegisteredModel("empty", "nothing yet", 0),
    }


def test_the_registry_refuses_what_does_not_fit(bench: Bench, other_project: UUID) -> None:
    run_id = bench.run()
    bench.tracking.create_model(bench.project, "churn")
    with pytest.raises(Conflict):
        bench.tracking.create_model(bench.project, "churn")
    for name in ("", " ", "a/b", "a:b", "x" * 257, "a\x00"):
        with pytest.raises(Invalid):
            bench.tracking.create_model(bench.project, name)
    with pytest.raises(Invalid):
        bench.tracking.create_version(bench.project, "churn", run_id=run_id)
    with pytest.raises(NotFound):
        bench.tracking.create_version(bench.project, "churn", run_id=uuid4().hex, source="model")
    with pytest.raises(NotFound):
        bench.tracking.create_version(bench.project, "nothing", run_id=run_id, source="model")
    with pytest.raises(Invalid):
        bench.tracking.create_version(bench.project, "churn", run_id=run_id, source="../../other/model")
    with pytest.raises(NotFound):
        bench.tracking.set_alias(bench.project, "churn", "best", 1)
    with pytest.raises(NotFound):
        bench.tracking.describe_model(other_project, "churn", "mine")
    assert bench.tracking.versions(other_project, "churn") == []
    assert bench.tracking.aliases(other_project, "churn") == {}


def test_a_model_goes_to_the_trash_with_its_versions_and_frees_its_name(bench: Bench) -> None:
    run_id = bench.run()
    bench.log_model(run_id)
    bench.tracking.create_model(bench.project, "churn")
    bench.tracking.create_version(bench.project, "churn", run_id=run_id)
    bench.tracking.set_alias(bench.project, "churn", "best", 1)
    bench.tracking.trash_model(bench.project, "churn", "mark")
    assert bench.tracking.versions(bench.project, "churn") == []
    bench.tracking.create_model(bench.project, "churn")
    with pytest.raises(Conflict):
        bench.tracking.restore_model(bench.project, "mark", "churn")
    bench.tracking.restore_model(bench.project, "mark", "churn-old")
    assert [v.number for v in bench.tracking.versions(bench.project, "churn-old")] == [1]
    assert bench.tracking.aliases(bench.project, "churn-old") == {"best": 1}
    bench.tracking.rename_model(bench.project, "churn-old", "churn-new")
    with pytest.raises(Conflict):
        bench.tracking.rename_model(bench.project, "churn-new", "churn")
    with pytest.raises(NotFound):
        bench.tracking.restore_model(bench.project, "mark", "again")


def test_a_version_goes_to_the_trash_with_its_aliases_and_comes_back(bench: Bench) -> None:
    run_id = bench.run()
    bench.log_model(run_id)
    bench.tracking.create_model(bench.project, "churn")
    bench.tracking.create_version(bench.project, "churn", run_id=run_id)
    bench.tracking.set_alias(bench.project, "churn", "best", 1)
    bench.tracking.trash_version(bench.project, "churn", 1)
    assert [v.deleted for v in bench.tracking.versions(bench.project, "churn")] == [True]
    assert bench.tracking.aliases(bench.project, "churn") == {}
    with pytest.raises(NotFound):
        bench.tracking.set_alias(bench.project, "churn", "best", 1)
    bench.tracking.restore_version(bench.project, "churn", 1)
    bench.tracking.set_alias(bench.project, "churn", "best", 1)
    with pytest.raises(NotFound):
        bench.tracking.trash_version(bench.project, "churn", 2)
