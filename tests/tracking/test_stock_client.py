"""The stock MLflow client against a whole studio, through the gateway."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.studio import Studio

pytestmark = pytest.mark.engine
SCRIPT = Path(__file__).with_name("client_script.py")


def environment(studio: Studio, project: str, token: str, **more: str) -> dict[str, str]:
    """Only what a person sets for the stock client."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "ATELIER_", "DJANGO_"))}
    scratch = studio.home / "client-tmp"  # MLflow's client leaves the models there that it has loaded
    scratch.mkdir(exist_ok=True)
    return {
        **kept,
        "TMPDIR": str(scratch),
        "MLFLOW_TRACKING_URI": f"{studio.url}/p/{project}/mlflow",
        "MLFLOW_TRACKING_TOKEN": token,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        **more,
    }


@pytest.fixture(scope="module")
def projects(studio: Studio) -> dict[str, str]:
    """Two projects of a team, the token of its owner, and ids in the second project."""
    token = studio.token()
    assert studio.call("POST", "/api/v1/teams", {"slug": "trackers", "name": "Trackers"}, token=token)[0] in (
        201,
        409,
    )
    for slug in ("mine-tracking", "their-tracking"):
        body = {"slug": slug, "name": slug, "team": "trackers"}
        assert studio.call("POST", "/api/v1/projects", body, token=token)[0] in (201, 409)
    api = "/p/their-tracking/mlflow/api/2.0/mlflow"
    status, made = studio.call("POST", f"{api}/experiments/create", {"name": "secret"}, token=token)
    assert status == 200
    experiment = made["experiment_id"]
    status, made = studio.call("POST", f"{api}/runs/create", {"experiment_id": experiment}, token=token)
    assert status == 200
    return {"token": token, "run": made["run"]["info"]["run_id"], "experiment": experiment}


@pytest.fixture(scope="module")
def seen(studio: Studio, projects: dict[str, str]) -> dict[str, Any]:
    """What the client saw when it did everything."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        env=environment(
            studio,
            "mine-tracking",
            projects["token"],
            OTHER_RUN=projects["run"],
            OTHER_EXPERIMENT=projects["experiment"],
        ),
        capture_output=True,
        text=True,
        timeout=300,
    )
    line = next((line for line in done.stdout.splitlines() if line.startswith("SEEN ")), None)
    assert line, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    found: dict[str, Any] = json.loads(line.removeprefix("SEEN "))
    return found


def test_a_bare_start_run_lands_in_the_projects_default_experiment(seen: dict[str, Any]) -> None:
    assert seen["bare"]["experiment"] == "Default"
    assert seen["bare"]["run"] in seen["by_default"]


def test_everything_that_is_logged_can_be_read_back(seen: dict[str, Any]) -> None:
    full = seen["full"]
    assert full["status"] == "FINISHED"
    assert full["params"] == {"a": "1", "b": "two"}
    assert full["acc"] == 0.95
    assert full["history"] == 21
    assert full["user"] == "admin"
    assert (full["artifacts"], full["files"]) == (["files", "notes"], ["files/ä b (1).bin"])
    assert (full["text"], full["bytes"]) == ("hello", 300_000)
    assert full["parent"] == full["run"]
    assert seen["search"] == [full["run"]]
    assert seen["auto"]["params"] > 5


def test_models_are_logged_registered_aliased_and_loaded(seen: dict[str, Any]) -> None:
    model = seen["model"]
    assert (model["version"], model["by_alias"], model["predicts"]) == (2, 2, 5)
    assert model["source"].startswith("models:/m-")
    assert "iris" in model["search"]


def test_runs_are_deleted_and_restored(seen: dict[str, Any]) -> None:
    assert (seen["deleted"], seen["restored"]) == ("deleted", "active")


def test_another_projects_ids_do_not_exist(seen: dict[str, Any]) -> None:
    refused = seen["refused"]
    for what in ("other run", "write to other run", "batch to other run", "delete other run", "missing run",
                 "other experiment", "run in other experiment"):  # fmt: skip
        assert refused[what] == "RESOURCE_DOES_NOT_EXIST", what
    assert seen["searched elsewhere"] == []


def test_protected_aliases_and_workspaces_are_refused(seen: dict[str, Any], studio: Studio) -> None:
    assert seen["refused"]["protected alias"] == "PERMISSION_DENIED"
    assert seen["refused"]["workspaces"] != ""
    assert f"{studio.url}/p/mine-tracking/models/iris" in seen["alias message"]


def test_what_the_client_made_has_its_place_in_the_studio(
    seen: dict[str, Any], studio: Studio, projects: dict[str, str]
) -> None:
    token, base = projects["token"], "/api/v1/projects/mine-tracking"
    status, run = studio.call("GET", f"{base}/runs/{seen['full']['run']}", token=token)
    assert (status, run["state"], run["name"]) == (200, "succeeded", "full")
    status, child = studio.call("GET", f"{base}/runs/{seen['full']['child']}", token=token)
    assert child["parent"] == seen["full"]["run"]
    status, model = studio.call("GET", f"{base}/models/iris", token=token)
    assert (status, model["latest_version"], model["aliases"]) == (200, 2, {"best": 2})
    status, versions = studio.call("GET", f"{base}/models/iris/versions", token=token)
    assert {v["run"] for v in versions["results"]} == {seen["auto"]["run"]}


def test_read_only_tokens_read_and_nothing_else(seen: dict[str, Any], studio: Studio) -> None:
    token = studio.token(scope="read")
    api = "/p/mine-tracking/mlflow/api/2.0/mlflow"
    assert studio.call("GET", f"{api}/runs/get?run_id={seen['full']['run']}", token=token)[0] == 200
    assert studio.call("POST", f"{api}/runs/search", {"experiment_ids": ["0"]}, token=token)[0] == 200
    status, error = studio.call("POST", f"{api}/runs/create", {"experiment_id": "0"}, token=token)
    assert (status, error["error_code"]) == (403, "PERMISSION_DENIED")
    assert studio.call("GET", f"{api}/runs/get?run_id={'f' * 32}")[0] == 401


@pytest.mark.parametrize(
    "path",
    [
        "/../../../secrets/secret-key",
        "/%2e%2e/%2e%2e/secrets/secret-key",
        "/..%2f..%2fsecrets%2fsecret-key",
        "/%252e%252e/secrets",
    ],
)
def test_artifact_paths_cannot_leave_the_project(studio: Studio, projects: dict[str, str], path: str) -> None:
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(studio.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    address = f"/p/mine-tracking/mlflow/api/2.0/mlflow-artifacts/artifacts{path}"
    connection.request("GET", address, headers={"Authorization": f"Bearer {projects['token']}"})
    answer = connection.getresponse()
    assert answer.status == 404
    assert b"Traceback" not in answer.read()
    connection.close()


def test_another_projects_artifacts_are_out_of_reach(studio: Studio, projects: dict[str, str]) -> None:
    token = projects["token"]
    api = "/p/their-tracking/mlflow/api/2.0"
    status, run = studio.call("GET", f"{api}/mlflow/runs/get?run_id={projects['run']}", token=token)
    folder = run["run"]["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/")
    request = urllib.request.Request(
        f"{studio.url}{api}/mlflow-artifacts/artifacts/{folder}/a.txt",
        data=b"secret",
        method="PUT",
        headers={"Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200
    mine = f"/p/mine-tracking/mlflow/api/2.0/mlflow-artifacts/artifacts/{folder}/a.txt"
    status, error = studio.call("GET", mine, token=token)
    assert status in (400, 404)
    assert "error_code" in error
