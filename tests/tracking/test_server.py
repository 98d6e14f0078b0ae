"""Where the MLflow server keeps things, what it is told, and when its tables are migrated."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from adapters.storage import reset_store
from adapters.storage.local import LocalStore
from adapters.tracking import Artifact, location_key, workspace_name
from adapters.tracking.schema import REVISION
from adapters.tracking.server import (
    KEEP_ALIVE_SECONDS,
    artifact_destination,
    current_revision,
    main,
    migrate,
    server_environment,
)
from adapters.tracking.sql import SqlTracking
from adapters.tracking.sql.rows import execute
from foundation.errors import Unavailable
from gateway.mlflow.upstream import IDLE_SECONDS
from runtime.config import load
from tests.tracking.conftest import Bench


@dataclass
class Config:
    mlflow_database_url: str = "postgresql+psycopg://mlflow:pw@/atelier"
    storage_url: str = "file:///srv/atelier/objects"
    sockets: dict[str, str] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("url", "destination", "variables"),
    [
        ("file:///srv/x/objects", "file:///srv/x/objects/mlflow", {}),
        ("/srv/x/objects/", "file:///srv/x/objects/mlflow", {}),
        ("s3://bucket", "s3://bucket/mlflow", {}),
        (
            "s3://bucket/a/?endpoint_url=https://s3.example&region=eu-1",
            "s3://bucket/a/mlflow",
            {"MLFLOW_S3_ENDPOINT_URL": "https://s3.example", "AWS_DEFAULT_REGION": "eu-1"},
        ),
    ],
)
def test_artifacts_lie_below_the_object_store(url: str, destination: str, variables: dict[str, str]) -> None:
    assert artifact_destination(url) == (destination, variables)


def test_the_server_is_told_to_stay_small_and_silent() -> None:
    told = server_environment(Config())
    assert told["MLFLOW_ENABLE_WORKSPACES"] == "true"
    assert told["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert told["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert told["_MLFLOW_SERVER_ARTIFACT_DESTINATION"] == "file:///srv/atelier/objects/mlflow"


def test_a_socket_in_an_open_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(PermissionError):
        main(Config(sockets={"tracking": str(tmp_path / "s")}))


def test_tables_of_the_right_revision_are_left_alone(mlflow_schema: Any) -> None:
    config: Any = load()
    assert current_revision(config.mlflow_database_url) == REVISION
    assert migrate(config) is False


@pytest.mark.django_db
def test_tables_of_another_revision_are_refused_with_a_sentence(mlflow_schema: Any) -> None:
    tracking = SqlTracking()
    tracking.check_revision()
    execute("UPDATE mlflow.alembic_version SET version_num = 'something'")
    with pytest.raises(Unavailable) as caught:
        tracking.check_revision()
    assert "something" in caught.value.message
    execute("DELETE FROM mlflow.alembic_version")
    with pytest.raises(Unavailable):
        tracking.check_revision()


@pytest.mark.django_db
def test_the_artifacts_of_a_run_are_listed_folder_by_folder(mlflow_schema: Any, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    reset_store(store)
    try:
        bench = Bench(SqlTracking())
        run_id = bench.run()
        for path, content in (("a.txt", b"one"), ("figures/roc.json", b"{}"), ("figures/deep/x", b"")):
            store.put_bytes(content, bench.tracking.artifact_key(run_id, path))
        assert bench.tracking.list_artifacts(run_id) == [
            Artifact("figures", True),
            Artifact("a.txt", False, 3),
        ]
        assert bench.tracking.list_artifacts(run_id, "figures/") == [
            Artifact("figures/deep", True),
            Artifact("figures/roc.json", False, 2),
        ]
        assert bench.tracking.list_artifacts(run_id, "nothing") == []
    finally:
        reset_store()


def test_only_locations_in_the_projects_own_workspace_have_a_key() -> None:
    from uuid import uuid4

    mine, other = uuid4(), uuid4()
    inside = f"mlflow-artifacts:/workspaces/{workspace_name(mine)}/3/models/m-1/artifacts"
    assert location_key(inside, mine) == "mlflow/" + inside.removeprefix("mlflow-artifacts:/")
    assert location_key(inside, other) == ""
    for text in (
        "",
        "s3://bucket/x",
        "file:///etc",
        inside + "/../..",
        "mlflow-artifacts:/",
        "mlflow-artifacts://h/x",
    ):
        assert location_key(text, mine) == ""


def test_mlflow_keeps_idle_connections_longer_than_the_gateway() -> None:
    """Else a call now and then meets a connection that is being closed, and a POST is not sent twice."""
    assert KEEP_ALIVE_SECONDS > IDLE_SECONDS
