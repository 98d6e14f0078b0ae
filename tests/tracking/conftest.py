"""Both trackings behind one fixture, with the same way of logging into them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from adapters.tracking import DatasetInput, LoggedModel, Tracking, location_key
from adapters.tracking.fake import FakeTracking
from gateway.mlflow import MlflowProxy
from gateway.ports import TrackingRef
from tests.tracking.gateway import Setup, Stand, front, ports_for, served


class Bench:
    """A tracking, a project in it, and what a client would log."""

    def __init__(self, tracking: Tracking) -> None:
        self.tracking = tracking
        self.project = uuid4()
        self.default = tracking.ensure_project(self.project)

    def run(self, name: str = "run", **fields: Any) -> str:
        run_id = uuid4().hex
        self.tracking.create_run(
            **{
                "project_id": self.project,
                "run_id": run_id,
                "experiment_id": self.default,
                "name": name,
                "user": "ada",
                **fields,
            }
        )
        return run_id

    def log(self, run_id: str, key: str, values: Mapping[int, float]) -> None:
        if isinstance(self.tracking, FakeTracking):
            self.tracking.log(run_id, key, values)
            return
        from adapters.tracking.sql.rows import execute

        for step, value in values.items():
            nan = math.isnan(value)
            execute(
                "INSERT INTO mlflow.metrics (key, value, timestamp, step, is_nan, run_uuid)"
                " VALUES (%s, %s, %s, %s, %s, %s)",
                [key, 0.0 if nan else value, step, step, nan, run_id],
            )
        last = max(values)
        nan = math.isnan(values[last])
        execute(
            "INSERT INTO mlflow.latest_metrics (key, value, timestamp, step, is_nan, run_uuid)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (key, run_uuid) DO UPDATE"
            " SET value = EXCLUDED.value, step = EXCLUDED.step, is_nan = EXCLUDED.is_nan",
            [key, 0.0 if nan else values[last], last, last, nan, run_id],
        )

    def log_param(self, run_id: str, key: str, value: str) -> None:
        if isinstance(self.tracking, FakeTracking):
            self.tracking._run(run_id).params[key] = value
            return
        from adapters.tracking.sql.rows import execute

        execute("INSERT INTO mlflow.params (key, value, run_uuid) VALUES (%s, %s, %s)", [key, value, run_id])

    def log_model(self, run_id: str) -> LoggedModel:
        if isinstance(self.tracking, FakeTracking):
            return self.tracking.log_model(run_id)
        from adapters.tracking.sql.rows import execute, fetch_one, millis

        model_id = f"m-{uuid4().hex}"
        row = fetch_one(
            "SELECT r.experiment_id, e.artifact_location FROM mlflow.runs r"
            " JOIN mlflow.experiments e USING (experiment_id) WHERE run_uuid = %s",
            [run_id],
        )
        assert row
        location = f"{row[1]}/models/{model_id}/artifacts"
        execute(
            "INSERT INTO mlflow.logged_models (model_id, experiment_id, name, artifact_location,"
            " creation_timestamp_ms, last_updated_timestamp_ms, status, lifecycle_stage, source_run_id)"
            " VALUES (%s, %s, 'model', %s, %s, %s, 2, 'active', %s)",
            [model_id, row[0], location, millis(), millis(), run_id],
        )
        execute(
            "INSERT INTO mlflow.inputs (input_uuid, source_type, source_id, destination_type, destination_id)"
            " VALUES (%s, 'RUN_OUTPUT', %s, 'MODEL_OUTPUT', %s)",
            [uuid4().hex, run_id, model_id],
        )
        return LoggedModel(model_id, "model", location, location_key(location))


@pytest.fixture(params=["fake", "sql"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """The contract's subject: first the twin, then MLflow's tables."""
    if request.param == "fake":
        yield Bench(FakeTracking())
        return
    request.getfixturevalue("mlflow_schema")
    request.getfixturevalue("db")
    from adapters.tracking.sql import SqlTracking

    yield Bench(SqlTracking())


@pytest.fixture
def other_project() -> UUID:
    """The id of a project that is not the bench's."""
    return uuid4()


CHURN = DatasetInput(name="churn", digest="a" * 64, source='{"dataset": "churn@2"}')


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    project = uuid4()
    ports = ports_for(mine=project, theirs=uuid4())
    for number, project_id in enumerate(ports.projects.values()):
        ports.tracking[project_id] = TrackingRef(f"p-{project_id.hex}", str(7 + number))
    stand = Stand()
    with (
        served(stand, uds=str(tmp_path / "s")) as path,
        served(front(MlflowProxy(ports, path, artifact_limit=1000))) as url,
    ):
        yield Setup(url, ports, stand, project)
