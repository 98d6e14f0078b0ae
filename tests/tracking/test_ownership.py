"""What a request may name: nothing of another project, and with a job's token only what is the job's own."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from gateway.ports import Caller
from tests.tracking.gateway import API, RUN, USER, Setup

OTHER, CHILD = "b" * 32, "c" * 32
MODEL = "m-" + "d" * 32
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture
def job(setup: Setup) -> str:
    """A job's token; its run is RUN, of which CHILD is a child."""
    job_id = uuid4()
    setup.ports.callers["atl_job"] = Caller(
        USER, "ada", "write", project_id=setup.project, job_id=job_id, fence=1
    )
    setup.ports.job_runs[job_id] = RUN
    setup.ports.children[CHILD] = RUN
    return "atl_job"


def know_model(setup: Setup, run_id: str) -> None:
    """Let MLflow have the logged model, of that run."""
    content = {"model": {"info": {"model_id": MODEL, "source_run_id": run_id}}}
    setup.stand.answers[f"{API}/logged-models/{MODEL}"] = (200, json.dumps(content).encode())


def know_no(setup: Setup, path: str) -> None:
    """Let MLflow find nothing there."""
    content = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "not found"}
    setup.stand.answers[path] = (404, json.dumps(content).encode())


LOGGING: list[tuple[str, dict[str, Any]]] = [
    ("runs/log-metric", {"key": "a", "value": 1, "timestamp": 1}),
    ("runs/log-parameter", {"key": "a", "value": "1"}),
    ("runs/log-batch", {"metrics": []}),
    ("runs/set-tag", {"key": "a", "value": "1"}),
    ("runs/delete-tag", {"key": "a"}),
    ("runs/log-inputs", {"datasets": []}),
    ("runs/outputs", {"models": []}),
    ("runs/update", {"status": "FAILED"}),
    ("runs/delete", {}),
    ("runs/restore", {}),
]


@pytest.mark.parametrize(("route", "fields"), LOGGING)
def test_a_job_writes_to_its_own_run_and_that_runs_children_only(
    setup: Setup, job: str, route: str, fields: dict[str, Any]
) -> None:
    for name in ("run_id", "runId", "run_uuid"):
        status, error, _ = setup.ask("POST", f"{API}/{route}", {**fields, name: OTHER}, token=job)
        assert (status, error["error_code"]) == (403, "PERMISSION_DENIED")
    assert setup.stand.seen == []
    assert setup.ask("POST", f"{API}/{route}", {**fields, "run_id": CHILD}, token=job)[0] == 200
    if route != "runs/delete":
        assert setup.ask("POST", f"{API}/{route}", {**fields, "run_id": RUN}, token=job)[0] in (200, 404)


def test_what_people_log_is_passed_on_unread(setup: Setup) -> None:
    body = b'{"run_id":  "' + OTHER.encode() + b'", "metrics": []}'
    assert setup.ask("POST", f"{API}/runs/log-batch", body)[0] == 200
    assert setup.last["body"] == body


def test_a_job_writes_files_below_its_own_runs_only(setup: Setup, job: str) -> None:
    base = f"{ARTIFACTS}/workspaces/p-{setup.project.hex}/3"
    know_model(setup, OTHER)
    for place in (f"{OTHER}/artifacts/a.txt", f"models/{MODEL}/artifacts/MLmodel", "traces/x", "a.txt"):
        assert setup.ask("PUT", f"{base}/{place}", b"x", token=job)[0] == 403, place
    know_model(setup, CHILD)
    for place in (
        f"{RUN}/artifacts/a.txt",
        f"{CHILD}/artifacts/a/b",
        f"{RUN}/artifacts-0123abcd/a.txt",
        f"models/{MODEL}/artifacts/MLmodel",
    ):
        assert setup.ask("PUT", f"{base}/{place}", b"x", token=job)[0] == 200, place
    assert setup.ask("GET", f"{base}/{OTHER}/artifacts/a.txt", token=job)[0] == 200


def test_a_jobs_model_belongs_to_its_run(setup: Setup, job: str) -> None:
    route = f"{API}/logged-models"
    setup.stand.answers[f"{API}/runs/get"] = (200, b'{"run": {"info": {}}}')
    assert setup.ask("POST", route, {"experiment_id": "1", "name": "m"}, token=job)[0] == 200
    assert setup.sent()["source_run_id"] == RUN
    body = {"experiment_id": "1", "name": "m", "source_run_id": OTHER}
    assert setup.ask("POST", route, body, token=job)[0] == 403
    know_model(setup, OTHER)
    for method, path in (
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/params"),
        ("PATCH", "/tags"),
        ("DELETE", "/tags/a"),
    ):
        assert setup.ask(method, f"{route}/{MODEL}{path}", {}, token=job)[0] == 403, path


def test_the_model_in_the_address_is_the_one_that_changes(setup: Setup) -> None:
    setup.ask("PATCH", f"{API}/logged-models/{MODEL}", {"model_id": "m-" + "e" * 32, "status": 2})
    assert setup.sent()["model_id"] == MODEL


def test_a_registered_logged_model_is_not_deleted(setup: Setup) -> None:
    setup.ports.registered.add(MODEL)
    assert setup.ask("DELETE", f"{API}/logged-models/{MODEL}")[0] == 403
    assert setup.stand.seen == []


def test_references_to_what_the_project_does_not_have_are_not_found(setup: Setup) -> None:
    know_no(setup, f"{API}/runs/get")
    know_no(setup, f"{API}/logged-models/{MODEL}")
    for route, fields in (
        ("logged-models", {"experiment_id": "1", "name": "m", "source_run_id": OTHER}),
        ("model-versions/create", {"name": "m", "source": f"runs:/{OTHER}/m", "run_id": OTHER}),
        ("runs/log-inputs", {"run_id": RUN, "models": [{"model_id": MODEL}]}),
        ("runs/outputs", {"run_id": RUN, "models": [{"modelId": MODEL, "step": 0}]}),
        ("runs/outputs", {"run_id": RUN, "models": [{"model_id": "../x"}]}),
    ):
        status, error, _ = setup.ask("POST", f"{API}/{route}", fields)
        assert (status, error["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST"), route
    assert all(seen["method"] == "GET" for seen in setup.stand.seen)


def test_another_projects_artifacts_are_not_found(setup: Setup) -> None:
    other = f"workspaces/p-{uuid4().hex}/3/{OTHER}/artifacts"
    for method, path in (
        ("GET", f"{ARTIFACTS}/{other}/a.txt"),
        ("PUT", f"{ARTIFACTS}/{other}/a.txt"),
        ("PUT", f"{ARTIFACTS}/{other.replace('/', '%2f')}%2fa.txt"),
        ("GET", f"{ARTIFACTS}//{other}/a.txt"),
        ("GET", f"{ARTIFACTS}?path={other}"),
        ("POST", f"/api/2.0/mlflow-artifacts/mpu/create/{other}/a.txt"),
        ("GET", f"/api/2.0/mlflow-artifacts/presigned/{other}/a.txt"),
    ):
        assert setup.ask(method, path)[0] == 404, path
    assert setup.stand.seen == []


@pytest.mark.parametrize(
    "fields",
    [
        {"start_time": 10**18},
        {"start_time": -1},
        {"start_time": "soon"},
        {"start_time": 1.5},
        {"tags": [{"key": 5, "value": "a"}]},
        {"tags": [{"key": "a"}]},
    ],
)
def test_a_new_run_with_a_value_that_mlflow_would_drop_is_refused(
    setup: Setup, fields: dict[str, Any]
) -> None:
    status, error, _ = setup.ask("POST", f"{API}/runs/create", {"experiment_id": "0", **fields})
    assert (status, error["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert setup.stand.seen == []


def test_a_path_with_a_line_break_is_still_mlflows(setup: Setup) -> None:
    path = f"{ARTIFACTS}/workspaces/p-{setup.project.hex}/3/{RUN}/artifacts/a%0Ab"
    assert setup.ask("PUT", path, b"x")[0] == 200


def test_a_client_stores_nothing_where_the_team_is_full_but_a_job_comes_to_its_end(
    setup: Setup, job: str
) -> None:
    setup.ports.full = True
    path = f"{ARTIFACTS}/workspaces/p-{setup.project.hex}/3/{RUN}/artifacts/a.txt"
    status, error, _ = setup.ask("PUT", path, b"x")
    assert (status, error["error_code"]) == (403, "PERMISSION_DENIED")
    assert setup.stand.seen == []
    assert setup.ask("PUT", path, b"x", token=job)[0] == 200


def test_a_name_that_is_taken_is_said_without_the_drivers_words(setup: Setup) -> None:
    message = "Experiment(name=a) already exists. Error: (psycopg.errors.UniqueViolation) x\n[SQL: INSERT]"
    answer = {"error_code": "RESOURCE_ALREADY_EXISTS", "message": message}
    setup.stand.answers[f"{API}/experiments/create"] = (400, json.dumps(answer).encode())
    _, error, _ = setup.ask("POST", f"{API}/experiments/create", {"name": "a"})
    assert error == {
        "error_code": "RESOURCE_ALREADY_EXISTS",
        "message": "Experiment(name=a) already exists.",
    }


def test_a_collision_of_two_clients_is_asked_again(setup: Setup) -> None:
    """MLflow answers 400 to one of two clients that set the same tag at the same moment."""
    answer = {"error_code": "BAD_REQUEST", "message": "(psycopg.errors.UniqueViolation) tags_pk"}
    for route, times in (("runs/set-tag", 2), ("runs/log-batch", 2), ("experiments/create", 1)):
        setup.stand.seen.clear()
        setup.stand.answers[f"{API}/{route}"] = (400, json.dumps(answer).encode())
        assert setup.ask("POST", f"{API}/{route}", {"run_id": RUN})[0] == 400
        assert len(setup.stand.seen) == times, route


def test_the_studio_hears_of_descriptions(setup: Setup) -> None:
    for route in ("registered-models/update", "model-versions/update"):
        assert setup.ask("PATCH", f"{API}/{route}", {"name": "churn", "description": "x"})[0] == 200
    assert setup.ports.told == [("changed", "churn")] * 2
