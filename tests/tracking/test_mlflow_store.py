"""What is written and found by SQL is what MLflow's own store writes and finds."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from adapters.tracking import workspace_name
from adapters.tracking.sql import SqlTracking
from adapters.tracking.sql.rows import execute, fetch_all, fetch_one
from tests.tracking.conftest import CHURN, Bench

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def bench(mlflow_schema: Any, transactional_db: None) -> Bench:
    return Bench(SqlTracking())


@pytest.fixture
def store(mlflow_schema: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """MLflow's tracking store on the same tables, with workspaces on."""
    from runtime.config import load

    monkeypatch.setenv("MLFLOW_ENABLE_WORKSPACES", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.store.tracking.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore
    from mlflow.utils.workspace_utils import set_workspace_store_uri

    url = load().mlflow_database_url
    set_workspace_store_uri(url)
    found = WorkspaceAwareSqlAlchemyStore(url, "mlflow-artifacts:/")
    yield found
    set_workspace_store_uri(None)
    found._dispose_engine()


@pytest.fixture
def registry(store: Any) -> Iterator[Any]:
    from mlflow.store.model_registry.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore

    from runtime.config import load

    found = WorkspaceAwareSqlAlchemyStore(load().mlflow_database_url)
    yield found
    found._dispose_engine()


def inside(project: UUID) -> Any:
    from mlflow.utils.workspace_context import WorkspaceContext

    return WorkspaceContext(workspace_name(project))


def row(table: str, where: str, value: Any, without: set[str]) -> dict[str, Any]:
    """One row of one of MLflow's tables as a dictionary, without the columns that differ by nature."""
    found = fetch_one(f"SELECT to_jsonb(t) FROM mlflow.{table} t WHERE {where} = %s", [value])
    assert found
    content = json.loads(found[0]) if isinstance(found[0], str) else found[0]
    return {key: content[key] for key in content if key not in without}


def test_the_known_revision_is_the_head_of_the_installed_mlflow() -> None:
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config

    from adapters.tracking.schema import REVISION

    assert ScriptDirectory.from_config(_get_alembic_config("sqlite://")).get_current_head() == REVISION


def test_an_experiment_is_the_row_that_mlflow_would_write(bench: Bench, store: Any) -> None:
    ours = bench.tracking.ensure_experiment(bench.project, "ours")
    with inside(bench.project):
        theirs = store.create_experiment("theirs")
        assert store.get_experiment(ours).name == "ours"
    times = {"creation_time", "last_update_time", "experiment_id", "name"}
    mine = row("experiments", "experiment_id", ours, times)
    yours = row("experiments", "experiment_id", theirs, times)
    assert mine["artifact_location"].removesuffix(ours) == yours["artifact_location"].removesuffix(theirs)
    assert {**mine, "artifact_location": ""} == {**yours, "artifact_location": ""}


def test_a_run_is_the_row_that_mlflow_would_write(bench: Bench, store: Any) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param, RunTag

    run_id = bench.run("one", parameters={"depth": 3}, dataset=CHURN)
    bench.tracking.start_run(run_id)
    with inside(bench.project):
        theirs = store.create_run(bench.default, "ada", 0, [RunTag("mlflow.user", "ada")], "one")
        other = theirs.info.run_id
        store.log_batch(other, metrics=[], params=[Param("depth", "3")], tags=[])
        dataset = Dataset("churn", "b" * 36, "atelier", CHURN.source)
        store.log_inputs(other, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
        ours = store.get_run(run_id)
        reference = store.get_run(other)
    without = {"run_uuid", "start_time", "artifact_uri"}
    assert row("runs", "run_uuid", run_id, without) == row("runs", "run_uuid", other, without)
    assert ours.info.artifact_uri.replace(run_id, other) == reference.info.artifact_uri
    assert ours.data.params == reference.data.params
    assert ours.data.tags["mlflow.user"] == "ada"
    ds = ours.inputs.dataset_inputs[0]
    assert (ds.dataset.name, ds.dataset.source_type) == ("churn", "atelier")
    assert [(t.key, t.value) for t in ds.tags] == [("mlflow.data.context", "training")]
    edges = {"input_uuid", "source_id", "destination_id"}
    assert row("inputs", "destination_id", run_id, edges) == row("inputs", "destination_id", other, edges)


def test_mlflow_goes_on_where_a_reset_left_the_run(bench: Bench, store: Any) -> None:
    from mlflow.entities import Metric, Param

    run_id = bench.run("one", parameters={"depth": 3})
    with inside(bench.project):
        store.log_batch(run_id, [Metric("loss", 1.0, 1, 0)], [Param("found", "1")], [])
    archive = bench.tracking.reset_run(run_id)
    with inside(bench.project):
        store.log_batch(run_id, [Metric("loss", 2.0, 1, 0)], [Param("found", "2")], [])
        assert store.get_run(run_id).data.metrics == {"loss": 2.0}
        assert store.get_run(archive).data.params == {"found": "1"}
        assert store.get_run(archive).info.lifecycle_stage == "deleted"


def test_what_mlflow_deletes_and_restores_is_seen(bench: Bench, store: Any) -> None:
    run_id = bench.run()
    with inside(bench.project):
        store.delete_run(run_id)
        assert bench.tracking.runs([run_id])[run_id].deleted
        bench.tracking.restore_run(run_id)
        assert store.get_run(run_id).info.lifecycle_stage == "active"


def test_a_model_version_is_the_row_that_mlflow_would_write(bench: Bench, store: Any, registry: Any) -> None:
    run_id = bench.run()
    model = bench.log_model(run_id)
    bench.tracking.create_model(bench.project, "ours", description="a")
    ours = bench.tracking.create_version(bench.project, "ours", run_id=run_id, tags={"k": "v"})
    bench.tracking.set_alias(bench.project, "ours", "best", 1)
    with inside(bench.project):
        registry.create_registered_model("theirs", description="a")
        theirs = registry.create_model_version("theirs", model.location, run_id)
        registry.set_registered_model_alias("theirs", "best", theirs.version)
        read = registry.get_model_version_by_alias("ours", "best")
        assert (read.version, read.run_id, read.tags, read.status) == (1, run_id, {"k": "v"}, "READY")
        assert registry.get_model_version_download_uri("ours", "1") == model.location
        store.get_logged_model(model.id)
        again = registry.create_model_version("ours", model.location, run_id)
        assert int(again.version) == ours.number + 1
        found = registry.search_registered_models()
        assert sorted(m.name for m in found) == ["ours", "theirs"]
        bench.tracking.trash_model(bench.project, "ours", uuid4().hex)
        assert [m.name for m in registry.search_registered_models()] == ["theirs"]
    without = {"creation_time", "last_updated_time", "name", "source"}
    mine = fetch_all(
        "SELECT to_jsonb(v) - %s::text[] FROM mlflow.model_versions v WHERE version = 1", [list(without)]
    )
    assert len(mine) == 2
    contents = [dict(m[0]) if isinstance(m[0], dict) else json.loads(m[0]) for m in mine]
    for content in contents:
        content.pop("workspace")
        content["description"] = content["description"] or ""
        content["run_link"] = content["run_link"] or ""
    assert contents[0] == contents[1]


KEYS = ["acc", "loss", "val/acc", "a b", "x.y-z"]
PARAMS = ["depth", "rate", "p q"]
TAGS = ["kind", "owner"]
WORDS = ["forest", "Forest_1", "100%", "a_b", "", "zürich", "10", "9"]


def fill(bench: Bench, rng: random.Random, experiments: list[str]) -> None:
    """A hundred runs with everything that a filter may ask for."""
    for number in range(100):
        run_id = bench.run(
            rng.choice(WORDS) or "unnamed",
            experiment_id=rng.choice(experiments),
            user=rng.choice(["ada", "bob"]),
            parameters={key: rng.choice(WORDS) for key in PARAMS if rng.random() < 0.7},
            tags={key: rng.choice(WORDS) for key in TAGS if rng.random() < 0.7},
            dataset=CHURN if rng.random() < 0.3 else None,
        )
        for key in KEYS:
            if rng.random() < 0.7:
                value = math.nan if rng.random() < 0.15 else rng.choice([0.0, 0.25, -1.5, rng.random()])
                bench.log(run_id, key, {0: value})
        execute("UPDATE mlflow.runs SET start_time = %s WHERE run_uuid = %s", [rng.randrange(20), run_id])
        if rng.random() < 0.5:
            bench.tracking.finish_run(run_id, rng.choice(["FINISHED", "FAILED"]))
            execute("UPDATE mlflow.runs SET end_time = %s WHERE run_uuid = %s", [number, run_id])
        if rng.random() < 0.1:
            bench.tracking.delete_run(run_id)


def quoted(key: str) -> str:
    return f"`{key}`" if not key.replace("_", "").isalnum() else key


def clause(rng: random.Random) -> str:
    word = rng.choice([*WORDS, "%o%", "_or%", "F%"]).replace("'", "")
    text = rng.choice(["=", "!=", "LIKE", "ILIKE"])
    number = rng.choice(["=", "!=", ">", ">=", "<", "<="])
    value = rng.choice(["0", "0.25", "-1.5", "0.5", "1e-1"])
    return rng.choice(
        [
            f"metrics.{quoted(rng.choice(KEYS))} {number} {value}",
            f"params.{quoted(rng.choice(PARAMS))} {text} '{word}'",
            f'tags.{rng.choice(TAGS)} {text} "{word}"',
            f"tags.{rng.choice(TAGS)} {rng.choice(['IS NULL', 'is not null'])}",
            f"param.{quoted(rng.choice(PARAMS))} {rng.choice(['IS NULL', 'IS NOT NULL'])}",
            f"attributes.status {rng.choice(['=', '!='])} 'FINISHED'",
            f"run_name {text} '{word}'",
            f"attribute.start_time {number} {rng.randrange(20)}",
            f"end_time {number} {rng.randrange(100)}",
            f"user_id {text} 'ada'",
            f"datasets.name {rng.choice(['=', '!=', 'LIKE'])} 'churn'",
            "dataset.context = 'training'",
            f"datasets.digest {rng.choice(['IN', 'NOT IN'])} ('{'a' * 36}', 'x')",
        ]
    )


def order(rng: random.Random) -> list[str]:
    keys = [
        f"metrics.{quoted(rng.choice(KEYS))}",
        f"params.{quoted(rng.choice(PARAMS))}",
        f"tags.{rng.choice(TAGS)}",
        rng.choice(["start_time", "attributes.end_time", "status", "run_name", "created"]),
    ]
    return [f"{key}{rng.choice(['', ' ASC', ' DESC'])}" for key in rng.sample(keys, rng.randrange(4))]


def test_search_finds_what_mlflow_finds_in_the_same_order(bench: Bench, store: Any) -> None:
    from mlflow.entities import ViewType

    rng = random.Random(20261123)
    experiments = [bench.default, bench.tracking.ensure_experiment(bench.project, "second")]
    fill(bench, rng, experiments)
    stages = {"active": ViewType.ACTIVE_ONLY, "deleted": ViewType.DELETED_ONLY, "all": ViewType.ALL}
    seen = 0
    for _ in range(300):
        text = rng.choice([" AND ", " and "]).join(clause(rng) for _ in range(rng.randrange(4)))
        keys, stage, limit = order(rng), rng.choice(list(stages)), rng.choice([3, 1000])
        with inside(bench.project):
            runs, token = store._search_runs(experiments, text, stages[stage], limit, keys, None)
        wanted = [run.info.run_id for run in runs]
        page = bench.tracking.search(
            bench.project, experiment_ids=experiments, filter=text, order_by=keys, stage=stage, limit=limit
        )
        assert list(page.run_ids) == wanted, (text, keys, stage)
        assert (page.next.encode() if page.next else None) == token
        seen += len(wanted)
    assert seen > 1000


def read_by_mlflow(text: str) -> None:
    """Parse and check a filter as MLflow's store does before it builds its query."""
    from mlflow.utils.search_utils import SearchUtils as Utils

    for parsed in Utils.parse_search_filter(text):
        kind, comparator = parsed["type"], parsed["comparator"].upper()
        for check in (Utils.is_metric, Utils.is_param, Utils.is_tag, Utils.is_dataset):
            check(kind, comparator)
        Utils.is_attribute(kind, parsed["key"], comparator)


@pytest.mark.parametrize(
    "text",
    ["metrics.a > 'x'", "foo.bar = 1", "params.a > '1'", "a = 1 OR b = 2", "status IN ('a')", "run_id IN (1)",
     "metrics.a IS NULL", "params.a = x", "datasets.size = '1'", "metrics.a >", "params.a = '1' params.b = '2' OR"],
)  # fmt: skip
def test_what_mlflow_refuses_is_refused(text: str) -> None:
    from mlflow.exceptions import MlflowException

    from adapters.tracking.grammar import parse_filter
    from foundation.errors import Invalid

    with pytest.raises(MlflowException):
        read_by_mlflow(text)
    with pytest.raises(Invalid):
        parse_filter(text)
