"""Scripts in the running studio: the gateway, the worker, the sandbox, the stock MLflow client, the registry."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest

from apps.experiments.scripts.page import EXAMPLE
from tests.datasets.test_engine import send, settled
from tests.datasets.test_upload_stage import BOUNDARY, multipart
from tests.experiments.test_engine import CHURN, finished
from tests.support.studio import Studio

pytestmark = pytest.mark.engine

SAGEMAKER = b"""
import argparse, os
import joblib, pandas as pd
from sklearn.tree import DecisionTreeClassifier

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--max_leaf_nodes", type=float, default=-1)
    parser.add_argument("--output-data-dir", type=str, default=os.environ["SM_OUTPUT_DATA_DIR"])
    parser.add_argument("--model-dir", type=str, default=os.environ["SM_MODEL_DIR"])
    parser.add_argument("--train", type=str, default=os.environ["SM_CHANNEL_TRAIN"])
    args = parser.parse_args()
    files = [os.path.join(args.train, name) for name in os.listdir(args.train)]
    data = pd.concat([pd.read_csv(name) for name in files])
    tree = DecisionTreeClassifier(max_leaf_nodes=int(args.max_leaf_nodes)).fit(data[["age"]], data["left"])
    joblib.dump(tree, os.path.join(args.model_dir, "model.joblib"))
    import mlflow
    mlflow.log_params(vars(args))
    mlflow.log_metric("accuracy", tree.score(data[["age"]], data["left"]))
"""


@pytest.fixture(scope="module")
def token(studio: Studio) -> str:
    return studio.token()


@pytest.fixture(scope="module")
def slug(studio: Studio, token: str) -> str:
    """A project with the dataset churn@1 that allows scripts."""
    name = f"scripts-{uuid.uuid4().hex[:8]}"
    body = {"slug": name, "name": "Scripts", "team": "studio"}
    assert studio.call("POST", "/api/v1/projects", body, token=token)[0] == 201
    assert studio.call("PATCH", f"/api/v1/projects/{name}", {"own_code": True}, token=token)[0] == 200
    send(studio, f"/api/v1/projects/{name}/datasets", token, multipart(CHURN, fields={"name": "churn"}))
    assert settled(studio, token, name, "churn")["state"] == "ready"
    return name


def form(source: bytes, spec: Any, filename: str) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="spec"\r\n\r\n{json.dumps(spec)}\r\n'
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="code"; filename="{filename}"\r\n\r\n'
    return head.encode() + part.encode() + source + f"\r\n--{BOUNDARY}--\r\n".encode()


def start(studio: Studio, slug: str, token: str, source: bytes, spec: Any, filename: str = "train.py") -> str:
    status, run = send(studio, f"/api/v1/projects/{slug}/runs", token, form(source, spec, filename))
    assert status == 201, run
    return str(run["id"])


def test_scripts_run_log_and_are_registered(studio: Studio, slug: str, token: str) -> None:
    """Several at once, since each waits for the others' slots: the page's own example, one of SageMaker's kind
    and one that never ends."""
    base = f"/api/v1/projects/{slug}"
    parameters = {"target": "left", "rounds": 20}
    inputs = {"train": "churn@1"}
    example = start(studio, slug, token, EXAMPLE.read_bytes(), {"inputs": inputs, "parameters": parameters})
    csv = {"inputs": {"train": {"dataset": "churn", "format": "csv"}}, "parameters": {"max_leaf_nodes": 10}}
    sagemaker = start(studio, slug, token, SAGEMAKER, csv, "tree.py")
    endless = start(studio, slug, token, b"import time\nwhile True: time.sleep(1)\n", {"timeout": 1})
    status, refused = send(studio, f"{base}/runs", token, form(b"#" * 1_100_000, {}, "large.py"))
    assert (status, refused["error"]["code"]) == (413, "upload.too_large")

    run = finished(studio, token, slug, example)
    assert run["state"] == "succeeded", run["reason"]
    assert run["metrics"]["accuracy"] > 0.8
    assert run["model"]["signature"]["inputs"][0]["name"] == "age"
    _, files = studio.call("GET", f"{base}/runs/{example}/artifacts", token=token)
    assert {entry["path"] for entry in files["results"]} == {"classes.json", "model"}
    _, log = studio.call("GET", f"{base}/runs/{example}/logs", token=token)
    assert "400 rows, 4 columns" in log["text"]
    assert studio.call("POST", f"{base}/models", {"name": "churn"}, token=token)[0] == 201
    status, version = studio.call("POST", f"{base}/models/churn/versions", {"run": example}, token=token)
    assert (status, version["state"]) == (201, "ready")

    run = finished(studio, token, slug, sagemaker)
    assert run["state"] == "succeeded", run["reason"]
    assert (run["metrics"]["accuracy"], run["model"], run["details"]["model_files"]) == (1.0, None, True)
    _, found = studio.call("GET", f"{base}/runs?filter=params.max_leaf_nodes%20%3D%20%2710.0%27", token=token)
    assert [one["id"] for one in found["results"]] == [sagemaker]

    run = finished(studio, token, slug, endless)
    assert (run["state"], run["reason"]) == ("timed_out", "Stopped after 1 s, the time it was given.")
    _, job = studio.call("GET", f"{base}/jobs/{run['job']}", token=token)
    deadline = time.monotonic() + 20
    left = studio.home / "attempts" / run["job"] / str(len(job["attempts"]))
    while left.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left.exists()
