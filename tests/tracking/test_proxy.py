"""The proxy in front of a stand-in for MLflow that says what it received."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest

from gateway.mlflow import MlflowProxy
from gateway.ports import Caller, TrackingRef
from tests.tracking.gateway import USER, FakePorts, front, ports_for, served

RUN = "a" * 32


@dataclass
class Stand:
    """An application that stands in for MLflow: remembers requests, answers what it was told to."""

    seen: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {k.decode(): v.decode() for k, v in scope["headers"]}
        path = scope["raw_path"].decode()
        self.seen.append(
            {
                "method": scope["method"],
                "path": path,
                "query": scope["query_string"].decode(),
                "headers": headers,
                "body": body,
            }
        )
        status, content = self.answers.get(path, (200, b"{}"))
        kind = b"text/html" if content.startswith(b"<") else b"application/json"
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-type", kind), (b"set-cookie", b"a=b")],
            }
        )
        await send({"type": "http.response.body", "body": content})


@dataclass
class Setup:
    url: str
    ports: FakePorts
    stand: Stand
    project: UUID

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        token: str = "atl_write",
        headers: dict[str, str] | None = None,
        project: str = "mine",
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        given = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request(method, f"/p/{project}/mlflow{path}", data, {**given, **(headers or {})})
        response = connection.getresponse()
        content = response.read()
        connection.close()
        found = json.loads(content) if content.startswith(b"{") else {"raw": content}
        return response.status, found, {k.lower(): v for k, v in response.getheaders()}

    @property
    def last(self) -> dict[str, Any]:
        return self.stand.seen[-1]

    def sent(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.last["body"])
        return content


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


API = "/api/2.0/mlflow"


def test_it_passes_a_request_on_with_the_projects_workspace_and_nothing_else(setup: Setup) -> None:
    hostile = {
        "X-MLFLOW-WORKSPACE": "p-other",
        "X_MLFLOW_WORKSPACE": "p-other",
        "Cookie": "sessionid=x",
        "X-Forwarded-For": "1.2.3.4",
        "Origin": "http://evil.example",
        "Content-Type": "application/json",
    }
    status, _, headers = setup.ask("POST", f"{API}/runs/log-metric", {"a": 1}, headers=hostile)
    assert status == 200
    sent = setup.last["headers"]
    assert sent["x-mlflow-workspace"] == f"p-{setup.project.hex}"
    assert set(sent) <= {
        "host",
        "x-mlflow-workspace",
        "content-type",
        "content-length",
        "accept",
        "user-agent",
    }
    assert sent["host"] == "localhost"
    assert setup.last["body"] == b'{"a": 1}'
    assert "set-cookie" not in headers


@pytest.mark.parametrize(
    ("token", "headers", "status", "code"),
    [
        ("", {}, 401, "UNAUTHENTICATED"),
        ("atl_revoked", {}, 401, "UNAUTHENTICATED"),
        ("", {"Authorization": "Basic !!!"}, 400, "BAD_REQUEST"),
        ("atl_read", {}, 403, "PERMISSION_DENIED"),
    ],
)
def test_it_asks_who_is_calling(
    setup: Setup, token: str, headers: dict[str, str], status: int, code: str
) -> None:
    found = setup.ask("POST", f"{API}/runs/log-batch", {}, token=token, headers=headers)
    assert (found[0], found[1]["error_code"]) == (status, code)
    assert setup.stand.seen == []


def test_the_password_of_http_basic_is_a_token(setup: Setup) -> None:
    basic = base64.b64encode(b"anything:atl_read").decode()
    assert (
        setup.ask(
            "GET", f"{API}/runs/get?run_id={RUN}", token="", headers={"Authorization": f"Basic {basic}"}
        )[0]
        == 200
    )


def test_a_strangers_project_and_a_bound_token_elsewhere_are_not_found(setup: Setup) -> None:
    for project, token in (("nothing", "atl_write"), ("theirs", "atl_bound")):
        status, content, _ = setup.ask("GET", f"{API}/runs/get", token=token, project=project)
        assert (status, content["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_a_browser_session_writes_from_the_studios_own_pages_only(setup: Setup) -> None:
    cookie = {"Cookie": "sessionid=session"}
    assert setup.ask("GET", f"{API}/runs/get", token="", headers=cookie)[0] == 200
    body = {"run_id": RUN}
    assert setup.ask("POST", f"{API}/runs/set-tag", body, token="", headers=cookie)[0] == 403
    evil = {**cookie, "Origin": "http://evil.example"}
    assert setup.ask("POST", f"{API}/runs/set-tag", body, token="", headers=evil)[0] == 403
    own = {**cookie, "Origin": setup.url}
    assert setup.ask("POST", f"{API}/runs/set-tag", body, token="", headers=own)[0] == 200


def test_a_person_who_follows_the_clients_link_finds_the_studios_pages(setup: Setup) -> None:
    status, _, headers = setup.ask("GET", "/", token="", headers={"Accept": "text/html"})
    assert (status, headers["location"]) == (303, "/p/mine/experiments/")


def test_refused_and_unknown_routes_say_so(setup: Setup) -> None:
    status, content, _ = setup.ask("GET", "/api/3.0/mlflow/workspaces")
    assert (status, content["error_code"]) == (403, "PERMISSION_DENIED")
    status, content, _ = setup.ask("GET", "/api/2.0/mlflow/nothing")
    assert (status, content["error_code"]) == (404, "ENDPOINT_NOT_FOUND")
    assert setup.stand.seen == []


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/a/../../b",
        "/a/%2e%2e/%2e%2e/b",
        "/a/..%2f..%2fb",
        "/a/%252e%252e/b",
        "/a/%25252e%25252e%25252fb",
        "/a%5c..%5cb",
        "/a%00b",
        "/./a",
    ],
)
def test_artifact_paths_cannot_leave_their_folder(setup: Setup, path: str) -> None:
    for method in ("GET", "PUT"):
        status, content, _ = setup.ask(method, f"/api/2.0/mlflow-artifacts/artifacts{path}", b"x")
        assert status == 404, path
        assert content["error_code"] in ("RESOURCE_DOES_NOT_EXIST", "ENDPOINT_NOT_FOUND")
    assert setup.stand.seen == []


def test_odd_but_harmless_file_names_arrive_as_they_are(setup: Setup) -> None:
    path = "/api/2.0/mlflow-artifacts/artifacts/a%20b/c%25d/%C3%A4..txt"
    setup.stand.answers[path] = (200, b"bytes")
    status, content, headers = setup.ask("GET", path)
    assert (status, content["raw"]) == (200, b"bytes")
    assert setup.last["path"] == path
    assert headers["content-security-policy"] == "sandbox"


def test_uploads_are_counted_whatever_the_client_declares(setup: Setup) -> None:
    path = "/api/2.0/mlflow-artifacts/artifacts/big"
    status, content, _ = setup.ask("PUT", path, b"x" * 2000)
    assert (status, content["error_code"]) == (413, "BAD_REQUEST")
    parts = urlsplit(setup.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    headers = {"Authorization": "Bearer atl_write", "Transfer-Encoding": "chunked"}
    connection.request("PUT", f"/p/mine/mlflow{path}", iter([b"x" * 600] * 4), headers, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()
    assert setup.ask("PUT", path, b"x" * 900)[0] == 200
    assert len(setup.last["body"]) == 900


def test_experiment_zero_is_the_projects_own_default(setup: Setup) -> None:
    setup.ask("GET", f"{API}/experiments/get?experiment_id=0")
    assert setup.last["query"] == "experiment_id=7"
    setup.ask("GET", f"{API}/experiments/get?experiment_id=3")
    assert setup.last["query"] == "experiment_id=3"
    setup.ask("POST", f"{API}/runs/search", {"experiment_ids": ["0", "5"], "filter": "x"})
    assert setup.sent() == {"experiment_ids": ["7", "5"], "filter": "x"}
    setup.ask("POST", f"{API}/logged-models", {"experimentId": "0"})
    assert setup.sent() == {"experiment_id": "7"}
    setup.ask("POST", f"{API}/runs/create", {})
    assert setup.sent()["experiment_id"] == "7"
    for path in ("delete", "update"):
        status, content, _ = setup.ask(
            "POST", f"{API}/experiments/{path}", {"experiment_id": "0", "new_name": "x"}
        )
        assert (status, content["error_code"]) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize(
    "body",
    [
        {"name": "churn", "alias": "production", "version": "1"},
        {"name": "churn", "alias": "Staging", "version": "1"},
        {"name": "churn", "alias": " production ", "version": "1"},
        json.dumps(json.dumps({"name": "churn", "alias": "production"})).encode(),
    ],
)
def test_a_protected_alias_is_refused_with_the_promotions_address(setup: Setup, body: Any) -> None:
    for method in ("POST", "DELETE"):
        status, content, _ = setup.ask(method, f"{API}/registered-models/alias", body)
        assert (status, content["error_code"]) == (403, "PERMISSION_DENIED")
        assert f"{setup.url}/p/mine/models/churn" in content["message"]
    assert setup.stand.seen == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "churn", "alias": "best", "alias": "production"}',
        b'{"run_id": "a", "runId": "b"}',
        b"[1]",
        b"{",
        b'"{"',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_bodies_that_say_two_things_or_nothing_are_refused(setup: Setup, body: bytes) -> None:
    status, content, _ = setup.ask("POST", f"{API}/registered-models/alias", body)
    assert (status, content["error_code"]) == (400, "BAD_REQUEST")
    assert setup.stand.seen == []


def test_other_aliases_pass_and_the_studio_is_told(setup: Setup) -> None:
    assert (
        setup.ask(
            "POST", f"{API}/registered-models/alias", {"name": "churn", "alias": "best", "version": "1"}
        )[0]
        == 200
    )
    assert setup.ports.told == [("changed", "churn")]


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
