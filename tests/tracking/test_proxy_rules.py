"""What the gateway does to the requests of clients and jobs: runs, the registry, errors; in front of a stand-in."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest

from gateway.mlflow import MlflowProxy
from gateway.ports import Caller, TrackingRef
from tests.tracking.gateway import API, RUN, USER, Setup, Stand, front, ports_for, served, wait_until


def run_answer(run_id: str, tags: dict[str, str] | None = None) -> bytes:
    info = {"run_id": run_id, "experiment_id": "7", "run_name": "one", "status": "RUNNING"}
    data = {"tags": [{"key": k, "value": v} for k, v in (tags or {}).items()]}
    return json.dumps({"run": {"info": info, "data": data}}).encode()


def test_a_clients_run_is_adopted_under_the_callers_name(setup: Setup) -> None:
    setup.stand.answers[f"{API}/runs/create"] = (200, run_answer("b" * 32))
    body = {
        "experiment_id": "3",
        "user_id": "root",
        "tags": [{"key": "mlflow.user", "value": "root"}, {"key": "x", "value": "1"}],
    }
    assert setup.ask("POST", f"{API}/runs/create", body)[0] == 200
    sent = setup.sent()
    assert sent["user_id"] == "ada"
    assert sent["tags"] == [{"key": "x", "value": "1"}, {"key": "mlflow.user", "value": "ada"}]
    wait_until(lambda: bool(setup.ports.told))  # the client does not wait for it
    assert setup.ports.told == [("run", "b" * 32, {"experiment_id": "7", "name": "one", "parent": None})]


def test_the_client_gets_its_answer_even_when_the_studio_cannot_take_note(setup: Setup) -> None:
    setup.ports.broken = True
    setup.stand.answers[f"{API}/runs/create"] = (200, run_answer("b" * 32))
    assert setup.ask("POST", f"{API}/runs/create", {})[0] == 200


@pytest.fixture
def job(setup: Setup) -> str:
    """A job's token; its run is RUN and its attempt has the fence 4."""
    job_id = uuid4()
    setup.ports.callers["atl_job"] = Caller(
        USER, "ada", "write", project_id=setup.project, job_id=job_id, fence=4
    )
    setup.ports.job_runs[job_id] = RUN
    return "atl_job"


def test_the_first_run_a_job_asks_for_is_its_own_whatever_experiment_it_names(setup: Setup, job: str) -> None:
    setup.stand.answers[f"{API}/runs/get"] = (200, run_answer(RUN))
    body = {
        "experiment_id": "99",
        "run_name": "mine",
        "tags": [{"key": "a", "value": "1"}, {"key": "mlflow.user", "value": "root"}],
    }
    status, content, _ = setup.ask("POST", f"{API}/runs/create", body, token=job)
    assert (status, content["run"]["info"]["run_id"]) == (200, RUN)
    posts = {
        entry["path"]: json.loads(entry["body"]) for entry in setup.stand.seen if entry["method"] == "POST"
    }
    assert posts == {
        f"{API}/runs/log-batch": {
            "run_id": RUN,
            "tags": [{"key": "a", "value": "1"}, {"key": "atelier.client_attempt", "value": "4"}],
        },
        f"{API}/runs/update": {"run_id": RUN, "run_name": "mine"},
    }
    assert setup.ports.told == []


def test_later_runs_of_a_job_are_its_children(setup: Setup, job: str) -> None:
    setup.stand.answers[f"{API}/runs/get"] = (200, run_answer(RUN, {"atelier.client_attempt": "4"}))
    setup.stand.answers[f"{API}/runs/create"] = (200, run_answer("c" * 32))
    setup.ask("POST", f"{API}/runs/create", {"experiment_id": "0"}, token=job)
    assert {"key": "mlflow.parentRunId", "value": RUN} in setup.sent()["tags"]
    wait_until(lambda: bool(setup.ports.told))
    assert setup.ports.told[0][2]["parent"] == RUN


def test_a_new_attempt_gets_the_jobs_run_again(setup: Setup, job: str) -> None:
    setup.stand.answers[f"{API}/runs/get"] = (200, run_answer(RUN, {"atelier.client_attempt": "3"}))
    _, content, _ = setup.ask("POST", f"{API}/runs/create", {}, token=job)
    assert content["run"]["info"]["run_id"] == RUN


@pytest.mark.parametrize("field", ["run_id", "runId", "run_uuid", "runUuid"])
def test_a_client_never_decides_the_state_of_a_jobs_run(setup: Setup, job: str, field: str) -> None:
    setup.stand.answers[f"{API}/runs/get"] = (200, run_answer(RUN))
    body = {field: RUN, "status": "FINISHED", "end_time": 1, "endTime2": 3}
    status, content, _ = setup.ask("POST", f"{API}/runs/update", body, token=job)
    assert (status, content["run_info"]["status"]) == (200, "RUNNING")
    assert [entry["method"] for entry in setup.stand.seen] == ["GET"]
    setup.ports.decided.add(RUN)
    setup.ask("POST", f"{API}/runs/update", {field: RUN, "status": 3, "runName": "new"})
    assert "status" not in setup.sent()
    assert setup.sent()["run_name"] == "new"


def test_the_state_of_a_clients_own_run_is_passed_on(setup: Setup) -> None:
    info = {"run_info": {"run_id": RUN, "status": "FINISHED"}}
    setup.stand.answers[f"{API}/runs/update"] = (200, json.dumps(info).encode())
    setup.ask("POST", f"{API}/runs/update", {"run_id": RUN, "status": "FINISHED"})
    setup.ask("POST", f"{API}/runs/delete", {"run_id": RUN})
    setup.ask("POST", f"{API}/runs/restore", {"run_id": RUN})
    assert [news[2] for news in setup.ports.told] == ["FINISHED", "DELETED", "RESTORED"]


def test_a_job_cannot_delete_itself_experiments_or_models(setup: Setup, job: str) -> None:
    for method, path, body in (
        ("POST", "/runs/delete", {"run_id": RUN}),
        ("POST", "/experiments/delete", {"experiment_id": "3"}),
        ("DELETE", "/registered-models/delete", {"name": "churn"}),
        ("POST", "/registered-models/rename", {"name": "churn", "new_name": "x"}),
        ("DELETE", "/model-versions/delete", {"name": "churn", "version": "1"}),
    ):
        status, content, _ = setup.ask(method, API + path, body, token=job)
        assert (status, content["error_code"]) == (403, "PERMISSION_DENIED"), path
    assert setup.stand.seen == []


def test_a_model_the_studio_stands_on_is_neither_renamed_nor_deleted(setup: Setup) -> None:
    setup.ports.guarded.add("churn")
    body = {"name": "churn", "new_name": "x", "version": "1"}
    assert setup.ask("DELETE", f"{API}/registered-models/delete", body)[0] == 403
    assert setup.ask("POST", f"{API}/registered-models/rename", body)[0] == 403
    assert setup.ask("DELETE", f"{API}/model-versions/delete", body)[0] == 403
    assert setup.stand.seen == []


def test_the_studio_renames_and_trashes_its_models_itself(setup: Setup) -> None:
    setup.ports.models.add("churn")
    body = {"name": "churn", "new_name": "x y", "version": "2"}
    assert setup.ask("DELETE", f"{API}/registered-models/delete", body)[0] == 200
    assert setup.ask("DELETE", f"{API}/model-versions/delete", body)[0] == 200
    assert setup.stand.seen == []
    assert setup.ask("POST", f"{API}/registered-models/rename", body)[0] == 200
    assert (setup.last["method"], setup.last["query"]) == ("GET", "name=x+y")
    assert setup.ports.told == [
        ("change", "churn", None, None),
        ("change", "churn", 2, None),
        ("change", "churn", None, "x y"),
    ]
    setup.ask("DELETE", f"{API}/registered-models/delete", {"name": "a prompt"})
    assert setup.last["method"] == "DELETE"


@pytest.mark.parametrize(
    "source",
    [
        "",
        "file:///etc/passwd",
        "/etc/passwd",
        "s3://bucket/x",
        "http://169.254.169.254/",
        "mlflow-artifacts:/workspaces/p-other/1/models/m-1/artifacts",
        "models:/../x",
        "mlflow-artifacts://host/x",
    ],
)
def test_a_version_is_made_from_files_of_this_project_only(setup: Setup, source: str) -> None:
    status, content, _ = setup.ask(
        "POST", f"{API}/model-versions/create", {"name": "churn", "source": source}
    )
    assert (status, content["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert setup.stand.seen == []


def test_new_models_and_versions_are_adopted_but_prompts_are_not(setup: Setup) -> None:
    create, version = f"{API}/registered-models/create", f"{API}/model-versions/create"
    setup.stand.answers[create] = (200, b'{"registered_model": {"name": "churn"}}')
    setup.stand.answers[version] = (
        200,
        b'{"model_version": {"name": "churn", "version": "3", "run_id": "r"}}',
    )
    setup.ask("POST", create, {"name": "churn"})
    setup.ask("POST", version, {"name": "churn", "source": "models:/m-1"})
    prompt = (
        b'{"registered_model": {"name": "p", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]}}'
    )
    setup.stand.answers[create] = (200, prompt)
    setup.ask("POST", create, {"name": "p"})
    assert setup.ports.told == [("model", "churn", {}), ("model", "churn", {"version": 3, "run_id": "r"})]


def test_the_server_says_that_it_has_no_workspaces(setup: Setup) -> None:
    path = "/api/3.0/mlflow/server-info"
    setup.stand.answers[path] = (200, b'{"store_type": "SqlStore", "workspaces_enabled": true}')
    assert setup.ask("GET", path)[1] == {"store_type": "SqlStore", "workspaces_enabled": False}


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (
            500,
            b'{"error_code": "INTERNAL_ERROR", "message": "(psycopg.errors.X) ... [SQL: SELECT 1]"}',
            "INTERNAL_ERROR",
        ),
        (400, b'{"error_code": "BAD_REQUEST", "message": "sqlalchemy says no"}', "BAD_REQUEST"),
        (500, b"<html>Traceback</html>", "INTERNAL_ERROR"),
        (405, b"<html>no</html>", "ENDPOINT_NOT_FOUND"),
    ],
)
def test_errors_never_show_sql_paths_or_stack_traces(
    setup: Setup, status: int, body: bytes, code: str
) -> None:
    setup.stand.answers[f"{API}/runs/get"] = (status, body)
    found, content, _ = setup.ask("GET", f"{API}/runs/get")
    assert content["error_code"] == code
    assert found in (status, 404)
    assert not any(
        word in json.dumps(content) for word in ("psycopg", "SQL", "sqlalchemy", "Traceback", "<html")
    )


def test_an_error_that_mlflow_words_itself_stays(setup: Setup) -> None:
    setup.stand.answers[f"{API}/runs/get"] = (
        404,
        b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Run not found"}',
    )
    assert setup.ask("GET", f"{API}/runs/get")[1]["message"] == "Run not found"


def test_when_mlflow_is_down_it_says_when_to_come_back(tmp_path: Path) -> None:
    project = uuid4()
    ports = ports_for(mine=project)
    ports.tracking[project] = TrackingRef("p-x", "7")
    for socket_path in (str(tmp_path / "nobody"), ""):
        with served(front(MlflowProxy(ports, socket_path))) as url:
            setup = Setup(url, ports, Stand(), project)
            for method, path in (("GET", f"{API}/runs/get"), ("POST", f"{API}/runs/create")):
                status, content, headers = setup.ask(method, path, {} if method == "POST" else None)
                assert (status, content["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
                assert int(headers["retry-after"]) > 0


def test_the_files_of_a_registered_version_do_not_change(setup: Setup) -> None:
    free, held = "m-" + "a" * 32, "m-" + "b" * 32
    setup.ports.registered.add(held)
    base = f"/api/2.0/mlflow-artifacts/artifacts/workspaces/p-{setup.project.hex}/3/models"
    assert setup.ask("PUT", f"{base}/{free}/artifacts/model.pkl", b"x")[0] == 200
    status, content, _ = setup.ask("PUT", f"{base}/{held}/artifacts/model.pkl", b"x")
    assert (status, content["error_code"]) == (403, "PERMISSION_DENIED")
    assert setup.ask("GET", f"{base}/{held}/artifacts/model.pkl")[0] == 200
