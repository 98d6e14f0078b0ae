"""Every route of the installed MLflow is allowed or refused by name; none is forgotten."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.mlflow.routes import Allowed, Refused, allowed_routes, find

ROOT = Path(__file__).resolve().parents[2]

WALK = """
import re, warnings
warnings.simplefilter("ignore")
from fastapi.routing import _iter_routes_with_context
from mlflow.server import app as flask_app
from mlflow.server.fastapi_app import app as fastapi_app

routes = set()
for route, context in _iter_routes_with_context(fastapi_app.routes):
    known = context or route
    for method in getattr(known, "methods", None) or ():
        path = re.sub(r"{(\\w+):path}", r"<path:\\1>", known.path)
        routes.add((method, re.sub(r"{(\\w+)}", r"<\\1>", path)))
for rule in flask_app.url_map.iter_rules():
    for method in rule.methods - {"HEAD", "OPTIONS"}:
        routes.add((method, rule.rule))
for method, path in sorted(routes):
    print(method, path)
"""


@pytest.fixture(scope="module")
def mlflow_routes(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """All routes that MLflow's server has with the environment that the studio gives it."""
    home = tmp_path_factory.mktemp("mlflow")
    done = subprocess.run(
        [sys.executable, "-c", WALK],
        env={
            **os.environ,
            "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{home}/mlflow.db",
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "MLFLOW_ENABLE_WORKSPACES": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    found = [tuple(line.split(" ", 1)) for line in done.stdout.splitlines()]
    return [(method, path) for method, path in found]


def concrete(template: str) -> str:
    """A path that the template matches."""
    import re

    return re.sub(r"<path:[^>]+>", "a/b", re.sub(r"<(?!path:)[^>]+>", "x", template))


@pytest.mark.engine
def test_every_route_of_mlflow_is_allowed_or_refused_by_name(mlflow_routes: list[tuple[str, str]]) -> None:
    assert len(mlflow_routes) > 300
    unknown = [(m, p) for m, p in mlflow_routes if find(m, concrete(p)) is None]
    assert unknown == []


@pytest.mark.engine
def test_every_allowed_route_exists_in_mlflow(mlflow_routes: list[tuple[str, str]]) -> None:
    known = set(mlflow_routes)
    assert [(m, p) for p, m in allowed_routes() if (m, p) not in known] == []


def test_reading_routes_are_open_to_readers_and_all_others_are_not() -> None:
    for path, method in allowed_routes():
        rule = find(method, concrete(path))
        assert isinstance(rule, Allowed)
        reading = method == "GET" or path.endswith(("/search", "/search-datasets", "/get-latest-versions"))
        assert (rule.access == "read") == reading, (method, path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/3.0/mlflow/workspaces"),
        ("POST", "/api/3.0/mlflow/workspaces"),
        ("GET", "/ajax-api/3.0/mlflow/server-info"),
        ("POST", "/graphql"),
        ("GET", "/"),
        ("POST", "/gateway/x/mlflow/invocations"),
        ("POST", "/api/3.0/mlflow/mcp-servers"),
        ("POST", "/api/2.0/mlflow/webhooks"),
        ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/a/b"),
        ("POST", "/v1/traces"),
    ],
)
def test_dangerous_families_are_refused_with_a_reason(method: str, path: str) -> None:
    rule = find(method, path)
    assert isinstance(rule, Refused)
    assert rule.reason.endswith(".")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/2.0/mlflow/runs/create"),
        ("POST", "/api/2.0/mlflow/runs/create/"),
        ("POST", "//api/2.0/mlflow/runs/create"),
        ("POST", "/api/2.0/mlflow/runs/Create"),
        ("PUT", "/api/9.9/mlflow/new-thing"),
        ("TRACE", "/health"),
    ],
)
def test_what_nobody_listed_does_not_exist(method: str, path: str) -> None:
    assert find(method, path) is None
