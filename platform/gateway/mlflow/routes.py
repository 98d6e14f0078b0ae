"""Which of MLflow's routes are open, and why the others are not. What is not listed does not exist.

Paths are those behind /p/<project>/mlflow. `read` routes need a token that may read, `write` routes one that
may write. `special` names the treatment in `rules`. tests/tracking walks MLflow's own route tables and fails
on a route that is neither allowed nor refused here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Access = Literal["read", "write"]


@dataclass(frozen=True, slots=True)
class Allowed:
    """An open route. body: whether the request's body is read here before it goes on (JSON, small)."""

    access: Access
    special: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A closed route and the sentence that says why."""

    reason: str


_V2 = "/api/2.0/mlflow"

# Routes without parameters in their path: "METHOD path" -> access and, after a space, the special treatment.
_EXACT: dict[str, str] = {
    "GET /health": "read",
    "GET /version": "read",
    "GET /api/3.0/mlflow/server-info": "read server_info",
    # experiments
    f"POST {_V2}/experiments/create": "write",
    f"GET {_V2}/experiments/get": "read experiment_query",
    f"GET {_V2}/experiments/get-by-name": "read",
    f"GET {_V2}/experiments/search": "read",
    f"POST {_V2}/experiments/search": "read",
    f"POST {_V2}/experiments/update": "write experiment_body",
    f"POST {_V2}/experiments/delete": "write experiment_body_alone",
    f"POST {_V2}/experiments/restore": "write experiment_body",
    f"POST {_V2}/experiments/set-experiment-tag": "write experiment_body",
    f"POST {_V2}/experiments/delete-experiment-tag": "write experiment_body",
    "POST /api/2.0mlflow/experiments/search-datasets": "read experiment_body",
    # runs
    f"POST {_V2}/runs/create": "write create_run",
    f"POST {_V2}/runs/update": "write update_run",
    f"POST {_V2}/runs/delete": "write delete_run",
    f"POST {_V2}/runs/restore": "write restore_run",
    f"GET {_V2}/runs/get": "read",
    f"POST {_V2}/runs/search": "read experiment_body",
    f"POST {_V2}/runs/log-batch": "write log",
    f"POST {_V2}/runs/log-metric": "write log",
    f"POST {_V2}/runs/log-parameter": "write log",
    f"POST {_V2}/runs/set-tag": "write log",
    f"POST {_V2}/runs/delete-tag": "write log",
    f"POST {_V2}/runs/log-inputs": "write link",
    f"POST {_V2}/runs/log-model": "write log",
    f"POST {_V2}/runs/outputs": "write link",
    f"GET {_V2}/metrics/get-history": "read",
    f"GET {_V2}/metrics/get-history-bulk-interval": "read",
    f"GET {_V2}/artifacts/list": "read",
    # logged models
    f"POST {_V2}/logged-models": "write create_logged_model",
    f"POST {_V2}/logged-models/search": "read experiment_body",
    # the model registry
    f"POST {_V2}/registered-models/create": "write create_model",
    f"PATCH {_V2}/registered-models/update": "write describe",
    f"POST {_V2}/registered-models/rename": "write rename_model",
    f"DELETE {_V2}/registered-models/delete": "write delete_model",
    f"GET {_V2}/registered-models/get": "read",
    f"GET {_V2}/registered-models/search": "read",
    f"GET {_V2}/registered-models/get-latest-versions": "read",
    f"POST {_V2}/registered-models/get-latest-versions": "read",
    f"POST {_V2}/registered-models/set-tag": "write",
    f"DELETE {_V2}/registered-models/delete-tag": "write",
    f"POST {_V2}/registered-models/alias": "write alias",
    f"DELETE {_V2}/registered-models/alias": "write alias",
    f"GET {_V2}/registered-models/alias": "read",
    f"POST {_V2}/model-versions/create": "write create_version",
    f"PATCH {_V2}/model-versions/update": "write describe",
    f"DELETE {_V2}/model-versions/delete": "write delete_version",
    f"GET {_V2}/model-versions/get": "read",
    f"GET {_V2}/model-versions/get-download-uri": "read",
    f"GET {_V2}/model-versions/search": "read",
    f"POST {_V2}/model-versions/set-tag": "write",
    f"DELETE {_V2}/model-versions/delete-tag": "write",
    # artifacts
    "GET /api/2.0/mlflow-artifacts/artifacts": "read artifacts",
}

# Routes with parameters: "METHOD template" as MLflow writes them.
_TEMPLATES: dict[str, str] = {
    f"GET {_V2}/logged-models/<model_id>": "read",
    f"PATCH {_V2}/logged-models/<model_id>": "write change_logged_model",
    f"DELETE {_V2}/logged-models/<model_id>": "write delete_logged_model",
    f"POST {_V2}/logged-models/<model_id>/params": "write change_logged_model",
    f"PATCH {_V2}/logged-models/<model_id>/tags": "write change_logged_model",
    f"DELETE {_V2}/logged-models/<model_id>/tags/<tag_key>": "write change_logged_model",
    f"GET {_V2}/logged-models/<model_id>/artifacts/directories": "read",
    "GET /api/2.0/mlflow-artifacts/artifacts/<path:artifact_path>": "read artifact",
    "PUT /api/2.0/mlflow-artifacts/artifacts/<path:artifact_path>": "write artifact",
    "POST /api/2.0/mlflow-artifacts/mpu/create/<path:artifact_path>": "write artifact",
    "POST /api/2.0/mlflow-artifacts/mpu/complete/<path:artifact_path>": "write artifact",
    "POST /api/2.0/mlflow-artifacts/mpu/abort/<path:artifact_path>": "write artifact",
    "GET /api/2.0/mlflow-artifacts/presigned/<path:artifact_path>": "read artifact",
}

_UI = "MLflow's own web pages are not part of the studio yet: its runs and models have pages of their own."
_TRACES = "Traces are not part of the studio yet."
_GENAI = "MLflow's tools for language models are not part of the studio."
_WORKSPACES = "Workspaces are how the studio keeps projects apart: use its own projects."

# (methods or "*", pattern of the path, reason): families that are closed by name.
_REFUSED: tuple[tuple[str, str, str], ...] = (
    ("*", r"/ajax-api/.*", _UI),
    ("*", r"/(graphql)?", _UI),
    ("*", r"/(static-files|build)/.*", _UI),
    ("*", r"/get-artifact", "Artifacts are read through /api/2.0/mlflow-artifacts."),
    ("*", r"/model-versions/get-artifact", "Artifacts are read through /api/2.0/mlflow-artifacts."),
    ("*", r"/v1/traces", _TRACES),
    ("*", r"/api/[23]\.0/mlflow/(traces|unified-traces|get-online-trace-details)(/.*)?", _TRACES),
    ("*", r"/api/3\.0/mlflow/workspaces(/.*)?", _WORKSPACES),
    ("*", r"/api/2\.0/mlflow/webhooks(/.*)?", "Webhooks are not part of the studio yet."),
    ("*", r"/gateway/.*", _GENAI),
    ("*", r"/api/3\.0/mlflow/gateway/.*", _GENAI),
    ("*", r"/api/3\.0/mlflow/(scorers|prompt-optimization|mcp-servers|assistant)(/.*)?", _GENAI),
    ("*", r"/api/3\.0/mlflow/(label-schemas|review-queues|issues)(/.*)?", _GENAI),
    (
        "*",
        r"/api/3\.0/mlflow/datasets(/.*)?",
        "Evaluation datasets are not part of the studio: use its datasets.",
    ),
    ("*", r"/api/3\.0/(mlflow/)?jobs(/.*)?", "Jobs are the studio's own: see /api/v1."),
    (
        "POST",
        r"/api/2\.0/mlflow/model-versions/transition-stage",
        "Stages are gone: `staging` and `production` are aliases here, and a promotion moves them.",
    ),
    (
        "POST",
        r"/api/2\.0/mlflow/artifacts/presigned-(download|upload)-url",
        "Artifacts go through the studio's own artifact service.",
    ),
    (
        "DELETE",
        r"/api/2\.0/mlflow-artifacts/artifacts/.*",
        "Files leave the studio with the run they belong to: move the run to the trash.",
    ),
)


def _rule(text: str) -> Allowed:
    access, _, special = text.partition(" ")
    return Allowed("read" if access == "read" else "write", special)


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"(<[^>]+>)", template)
    return re.compile(
        "".join(
            (r".+" if part.startswith("<path:") else r"[^/]+") if part.startswith("<") else re.escape(part)
            for part in parts
        ),
        re.DOTALL,  # a file's name may hold a line break
    )


_ALLOWED: dict[tuple[str, str], Allowed] = {}
_ALLOWED_PATTERNS: list[tuple[str, re.Pattern[str], Allowed]] = []
for _key, _text in _EXACT.items():
    _method, _, _path = _key.partition(" ")
    _ALLOWED[(_method, _path)] = _rule(_text)
for _key, _text in _TEMPLATES.items():
    _method, _, _path = _key.partition(" ")
    _ALLOWED_PATTERNS.append((_method, _pattern(_path), _rule(_text)))
_REFUSED_PATTERNS = [(methods, re.compile(pattern), Refused(reason)) for methods, pattern, reason in _REFUSED]


def find(method: str, path: str) -> Allowed | Refused | None:
    """The rule of a request: allowed, refused by name, or None for a route nobody knows."""
    method = "GET" if method == "HEAD" else method
    rule = _ALLOWED.get((method, path))
    if rule is not None:
        return rule
    for verb, pattern, allowed in _ALLOWED_PATTERNS:
        if verb == method and pattern.fullmatch(path):
            return allowed
    for methods, pattern, refused in _REFUSED_PATTERNS:
        if methods in ("*", method) and pattern.fullmatch(path):
            return refused
    return None


def allowed_routes() -> list[tuple[str, str]]:
    """Every open route as (method, template), for the documentation and its test."""
    return sorted(
        (path, method) for method, _, path in (key.partition(" ") for key in [*_EXACT, *_TEMPLATES])
    )
