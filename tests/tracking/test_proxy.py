"""The proxy in front of a stand-in for MLflow that says what it received."""

from __future__ import annotations

import base64
import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.tracking.gateway import API, RUN, Setup


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
        ("", {"Authorization": "Basic !!!"}, 401, "UNAUTHENTICATED"),
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
    for method, *expected in (
        ("GET", 404, "RESOURCE_DOES_NOT_EXIST"),
        ("PUT", 400, "INVALID_PARAMETER_VALUE"),
    ):
        status, content, _ = setup.ask(method, f"/api/2.0/mlflow-artifacts/artifacts{path}", b"x")
        assert [status, content["error_code"]] == expected, path
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
