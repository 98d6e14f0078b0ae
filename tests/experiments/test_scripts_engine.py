"""Scripts in the running studio: the gateway, the worker, the sandbox, the stock MLflow client, the registry."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apps.experiments.scripts.page import EXAMPLE
from tests.datasets.test_engine import send, settled
from tests.datasets.test_upload_stage import BOUNDARY, multipart
from tests.experiments.test_archives import zipped
from tests.experiments.test_engine import CHURN, finished
from tests.support.studio import Studio

pytestmark = pytest.mark.engine

#: In the form of SageMaker's own script-mode examples: all CSV files of the channel, without a line of names and with
#: the label first; hyperparameters and places as arguments; the model with joblib. It knows nothing of this studio.
SAGEMAKER = b"""
from __future__ import print_function

import argparse
import os

import joblib
import pandas as pd
from sklearn import tree

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--max_leaf_nodes", type=int, default=-1)
    parser.add_argument("--output-data-dir", type=str, default=os.environ["SM_OUTPUT_DATA_DIR"])
    parser.add_argument("--model-dir", type=str, default=os.environ["SM_MODEL_DIR"])
    parser.add_argument("--train", type=str, default=os.environ["SM_CHANNEL_TRAIN"])
    args = parser.parse_args()

    files = [os.path.join(args.train, name) for name in os.listdir(args.train)]
    if len(files) == 0:
        raise ValueError("There are no files in {}.".format(args.train))
    data = pd.concat([pd.read_csv(name, header=None, engine="python") for name in files])
    labels, features = data.iloc[:, 0], data.iloc[:, 1:2]
    model = tree.DecisionTreeClassifier(max_leaf_nodes=args.max_leaf_nodes).fit(features, labels)
    print("shape", data.shape)
    joblib.dump(model, os.path.join(args.model_dir, "model.joblib"))

def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))
"""
#: In the form of MLflow's own examples: no run is opened, no experiment named, the model is logged with its signature.
MLFLOW = b"""
import numpy as np
from sklearn.linear_model import LogisticRegression

import mlflow
import mlflow.sklearn
from mlflow.models import infer_signature

if __name__ == "__main__":
    X = np.arange(20.0).reshape(-1, 1)
    y = (X[:, 0] > 9).astype(int)
    lr = LogisticRegression().fit(X, y)
    mlflow.log_param("rows", len(X))
    mlflow.log_metric("score", lr.score(X, y))
    signature = infer_signature(X, lr.predict(X))
    mlflow.sklearn.log_model(lr, name="model", signature=signature, input_example=X[:2])
    print(f"Model saved in run {mlflow.active_run().info.run_id}")
"""
#: Counts to 3, a checkpoint at each step; its first attempt waits there until somebody kills it.
STEADY = b"""
import os, time
import mlflow
folder = os.environ["SM_CHECKPOINT_DIR"]
begin = len(os.listdir(folder))
print("begins at", begin)
for step in range(begin + 1, 4):
    mlflow.log_metric("loss", 1 / step, step=step)
    with open(os.path.join(folder, f"{step}.txt"), "w") as file:
        file.write("done")
    while step == 2 and begin == 0:
        time.sleep(0.1)
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
    rows = b"left,age\n" + b"".join(b"%d,%d\n" % (age > 40, age) for age in range(20, 60))
    send(studio, f"/api/v1/projects/{name}/datasets", token, multipart(rows, fields={"name": "labels"}))
    assert settled(studio, token, name, "churn")["state"] == "ready"
    assert settled(studio, token, name, "labels")["state"] == "ready"
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
    csv = {"inputs": {"train": {"dataset": "labels", "format": "csv", "header": False}}}
    sagemaker = start(
        studio, slug, token, SAGEMAKER, {**csv, "parameters": {"max_leaf_nodes": 10}}, "tree.py"
    )
    packed = zipped({"repo-main/src/train.py": MLFLOW, "repo-main/README.md": b"x"})
    stock = start(studio, slug, token, packed, {"entry_point": "src/train.py"}, "repo.zip")
    endless = start(studio, slug, token, b"import time\nwhile True: time.sleep(1)\n", {"timeout": 1})
    status, refused = send(studio, f"{base}/runs", token, form(b"#" * 1_100_000, {}, "large.py"))
    assert (status, refused["error"]["code"]) == (413, "script.too_large")

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
    assert (run["details"]["model_files"], run["model"]["flavors"]) == (True, ["sklearn"])
    _, found = studio.call("GET", f"{base}/runs?filter=params.max_leaf_nodes%20%3D%20%2710%27", token=token)
    assert [one["id"] for one in found["results"]] == [sagemaker]

    run = finished(studio, token, slug, stock)
    assert run["state"] == "succeeded", run["reason"]
    assert (run["metrics"], run["code"]["source"]["root"]) == ({"score": 1.0}, "repo-main/")
    assert run["model"]["signature"]["inputs"]

    run = finished(studio, token, slug, endless)
    assert (run["state"], run["reason"]) == ("timed_out", "Stopped after 1 s, the time it was given.")
    _, job = studio.call("GET", f"{base}/jobs/{run['job']}", token=token)
    deadline = time.monotonic() + 20
    left = studio.home / "attempts" / run["job"] / str(len(job["attempts"]))
    while left.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left.exists()


def test_a_lost_attempt_goes_on_from_its_checkpoint(studio: Studio, slug: str, token: str) -> None:
    """Killed from outside while it waits at the second step: the next attempt does the third, and the run keeps
    what the first one has logged."""
    run_id = start(studio, slug, token, STEADY, {}, "steady.py")
    path = f"/api/v1/projects/{slug}/runs/{run_id}"
    whole = {"attempt": 1, "files": ["1.txt", "2.txt"], "bytes": 8}
    waited(lambda: whole.items() <= (studio.call("GET", path, token=token)[1]["checkpoint"] or {}).items())
    job = studio.call("GET", path, token=token)[1]["job"]
    for pid in processes_below(studio.home / "attempts" / job):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    run = finished(studio, token, slug, run_id)
    assert run["state"] == "succeeded", run["reason"]
    text = studio.call("GET", f"{path}/logs", token=token)[1]["text"]
    assert "Goes on from the checkpoint of attempt 1: 2 files" in text
    assert "begins at 2" in text
    points = studio.call("GET", f"{path}/metrics/loss", token=token)[1]["points"]
    assert [point["step"] for point in points] == [1, 2, 3]


def waited(ask: Callable[[], Any], seconds: float = 60) -> Any:
    """What is asked for, as soon as it is there."""
    deadline = time.monotonic() + seconds
    while not (found := ask()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)
    return found


def processes_below(folder: Path) -> list[int]:
    """The processes whose current folder lies in an attempt of a job."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if f"/{folder.name}/" in f"{os.readlink(entry / 'cwd')}/":
                    found.append(int(entry.name))
    assert found, "the script has no process"
    return found
