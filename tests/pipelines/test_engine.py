"""A pipeline in the running studio: checked, trained, judged, compared, registered."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest

from tests.datasets.test_engine import send, settled
from tests.datasets.test_upload_stage import multipart
from tests.support.studio import Studio

pytestmark = pytest.mark.engine
CHURN = b"age,city,left\n" + b"".join(
    b"%d,%s,%s\n" % (20 + n % 50, b"Rome" if n % 3 else b"", b"yes" if n % 50 > 24 else b"no")
    for n in range(300)
)
DEFINITION = {
    "name": "nightly",
    "parameters": {
        "data": {"type": "dataset", "default": "churn"},
        "least": {"type": "number", "default": 0.9},
    },
    "nodes": [
        {
            "name": "check",
            "kind": "dataset_check",
            "with": {"dataset": "${parameters.data}", "rows_at_least": 100},
        },
        {
            "name": "train",
            "kind": "run",
            "with": {"dataset": "${check.dataset}", "target": "left", "algorithm": "linear"},
        },
        {
            "name": "judge",
            "kind": "evaluate",
            "with": {"run": "${train.run}", "dataset": "${check.dataset}", "against": "churn@production"},
        },
        {
            "name": "good",
            "kind": "condition",
            "with": {
                "all": [
                    {"left": "${judge.metrics.accuracy}", "operator": ">=", "right": "${parameters.least}"},
                    {"metric": "accuracy", "of": "${judge.metrics}", "better_than": "${judge.against}"},
                ]
            },
        },
        {
            "name": "keep",
            "kind": "register",
            "needs": ["good"],
            "with": {"model": "churn", "run": "${train.run}"},
        },
    ],
}


def finished(studio: Studio, token: str, path: str) -> dict[str, Any]:
    """The pipeline run once it is over."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        _, run = studio.call("GET", path, token=token)
        if run["state"] in ("succeeded", "failed", "cancelled"):
            return dict(run)
        time.sleep(0.1)
    raise AssertionError(f"{path} is still working: {run}")


def test_a_pipeline_trains_evaluates_and_registers(studio: Studio) -> None:
    token = studio.token()
    slug = f"pipes-{uuid.uuid4().hex[:8]}"
    studio.call("POST", "/api/v1/projects", {"slug": slug, "name": "Pipes", "team": "studio"}, token=token)
    project = f"/api/v1/projects/{slug}"
    send(studio, f"{project}/datasets", token, multipart(CHURN, fields={"name": "churn"}))
    assert settled(studio, token, slug, "churn")["state"] == "ready"
    status, made = studio.call("POST", f"{project}/pipelines", DEFINITION, token=token)
    assert status == 201, made
    status, run = studio.call("POST", f"{project}/pipelines/nightly/runs", {}, token=token)
    assert status == 201, run
    assert run["parameters"]["data"] == "churn@1"

    run = finished(studio, token, f"{project}/pipelines/nightly/runs/1")
    assert run["state"] == "succeeded", run
    nodes = {node["name"]: node for node in run["nodes"]}
    assert {node["state"] for node in nodes.values()} == {"succeeded"}
    assert nodes["judge"]["outputs"]["rows"] == 300
    assert nodes["judge"]["outputs"]["metrics"]["accuracy"] > 0.9
    assert nodes["judge"]["outputs"]["metrics"]["roc_auc"] > 0.9
    assert nodes["judge"]["outputs"]["against"] is None
    assert nodes["keep"]["outputs"]["model"] == "churn/1"
    status, version = studio.call("GET", f"{project}/models/churn/versions/1", token=token)
    assert (status, version["run"]) == (200, nodes["train"]["outputs"]["run"])

    status, graph = studio.call("GET", f"{project}/lineage?node=pipeline_run:nightly%231", token=token)
    assert status == 200, graph
    assert {"dataset_version", "run", "model_version"} <= {node["kind"] for node in graph["nodes"]}
