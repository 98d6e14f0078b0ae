"""Runs in the running studio: a real worker, MLflow, the sandbox; the browser looks on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from typing import Any

import psutil
import pytest

from runtime.children import descendants
from tests.datasets.test_engine import send, settled
from tests.datasets.test_upload_stage import multipart
from tests.support.studio import Studio

pytestmark = pytest.mark.engine
OVER = {"succeeded", "failed", "errored", "cancelled", "timed_out"}
CHURN = b"age,city,since,left\n" + b"".join(
    b"%d,%s,2021-0%d-01,%s\n"
    % (20 + n % 50, b"Rome" if n % 3 else b"", 1 + n % 9, b"yes" if n % 50 > 24 else b"no")
    for n in range(400)
)


@pytest.fixture(scope="module")
def token(studio: Studio) -> str:
    return studio.token()


@pytest.fixture(scope="module")
def slug(studio: Studio, token: str) -> str:
    """A project with the dataset churn@1."""
    name = f"runs-{uuid.uuid4().hex[:8]}"
    body = {"slug": name, "name": "Runs", "team": "studio"}
    status, answer = studio.call("POST", "/api/v1/projects", body, token=token)
    assert status == 201, answer
    send(studio, f"/api/v1/projects/{name}/datasets", token, multipart(CHURN, fields={"name": "churn"}))
    assert settled(studio, token, name, "churn")["state"] == "ready"
    return name


def finished(studio: Studio, token: str, slug: str, run_id: str) -> dict[str, Any]:
    """The run once it is over."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        _, run = studio.call("GET", f"/api/v1/projects/{slug}/runs/{run_id}", token=token)
        if run["state"] in OVER:
            return dict(run)
        time.sleep(0.1)
    raise AssertionError(f"run {run_id} is still working")


@pytest.fixture(scope="module")
def run(studio: Studio, token: str, slug: str) -> dict[str, Any]:
    """A gradient boosting run, trained."""
    body = {
        "experiment": "engine",
        "dataset": "churn",
        "target": "left",
        "algorithm": "hist_gradient_boosting",
        "parameters": {"max_iter": 30},
        "tags": {"team": "risk"},
    }
    status, made = studio.call("POST", f"/api/v1/projects/{slug}/runs", body, token=token)
    assert status == 201, made
    return finished(studio, token, slug, made["id"])


def client(studio: Studio, slug: str, token: str, code: str) -> Any:
    """What a Python process with only the stock client prints as JSON."""
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "ATELIER_", "DJANGO_", "PYTHON"))
    }
    scratch = studio.home / "client-tmp"  # MLflow's client leaves the models there that it has loaded
    scratch.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", f"import json, mlflow\n{code}"],
        env={
            **kept,
            "TMPDIR": str(scratch),
            "MLFLOW_TRACKING_URI": f"{studio.url}/p/{slug}/mlflow",
            "MLFLOW_TRACKING_TOKEN": token,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        },
        cwd="/",
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_a_run_is_trained_and_judged(run: dict[str, Any]) -> None:
    assert (run["state"], run["reason"]) == ("succeeded", "")
    assert run["metrics"]["accuracy"] > 0.9
    assert run["parameters"]["max_iter"] == 30
    assert run["task"] == "classification"
    assert [c["name"] for c in run["model"]["signature"]["inputs"]] == ["age", "city", "since"]
    assert run["inputs"][0]["name"] == "churn"


def test_the_stock_client_finds_the_same_run_and_loads_its_model(
    studio: Studio, slug: str, token: str, run: dict[str, Any]
) -> None:
    code = f"""
import pandas
r = mlflow.get_run("{run["id"]}")
m = mlflow.sklearn.load_model("{run["model"]["uri"]}")
p = mlflow.pyfunc.load_model("{run["model"]["uri"]}")
frame = pandas.DataFrame([{{"age": 60, "city": None, "since": "2021-03-01"}}])
found = mlflow.search_runs(search_all_experiments=True, filter_string="tags.team = 'risk'")
print(json.dumps({{"status": r.info.status, "name": r.info.run_name, "params": r.data.params,
    "accuracy": r.data.metrics["accuracy"], "found": list(found.run_id),
    "answer": list(map(str, m.predict(frame))), "example": list(map(str, p.predict(p.input_example)))}}))
"""
    seen = client(studio, slug, token, code)
    assert seen["status"] == "FINISHED"
    assert seen["name"] == run["name"]
    assert seen["params"]["max_iter"] == "30"
    assert seen["params"]["early_stopping"] == "False"
    assert seen["accuracy"] == pytest.approx(run["metrics"]["accuracy"])
    assert seen["found"] == [run["id"]]
    assert seen["answer"] == ["yes"] or seen["answer"] == ["no"]
    assert len(seen["example"]) == 5


def test_a_clients_run_appears_with_its_state_and_metrics(studio: Studio, slug: str, token: str) -> None:
    code = """
mlflow.set_experiment("note book/1")
with mlflow.start_run(run_name="by hand") as run:
    mlflow.log_param("depth", 3)
    for step in range(5):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
print(json.dumps(run.info.run_id))
"""
    run_id = client(studio, slug, token, code)
    seen = finished(studio, token, slug, run_id)
    assert (seen["state"], seen["source"], seen["name"]) == ("succeeded", "client", "by hand")
    assert seen["experiment"]["name"] == "note book/1"
    assert seen["parameters"] == {"depth": "3"}
    _, history = studio.call("GET", f"/api/v1/projects/{slug}/runs/{run_id}/metrics/loss", token=token)
    assert [p["step"] for p in history["points"]] == [0, 1, 2, 3, 4]


def test_artifacts_of_run_and_model_are_listed(
    studio: Studio, slug: str, token: str, run: dict[str, Any]
) -> None:
    base = f"/api/v1/projects/{slug}/runs/{run['id']}"
    _, top = studio.call("GET", f"{base}/artifacts", token=token)
    assert {"figures", "model", "environment.json"} <= {a["path"] for a in top["results"]}
    _, model = studio.call("GET", f"{base}/artifacts?path=model", token=token)
    assert "model/MLmodel" in {a["path"] for a in model["results"]}
    _, figure = studio.call("GET", f"{base}/artifacts/figures/confusion_matrix.json", token=token)
    assert figure["data"][0]["type"] == "heatmap"
    _, log = studio.call("GET", f"{base}/logs", token=token)
    assert "Task: classification" in log["text"]


def test_a_running_training_is_cancelled_and_leaves_no_model(studio: Studio, slug: str, token: str) -> None:
    body = {
        "dataset": "churn",
        "target": "left",
        "algorithm": "mlp",
        "parameters": {"max_iter": 5000, "units": 2048, "n_layers": 8, "batch_size": 1},
    }
    _, made = studio.call("POST", f"/api/v1/projects/{slug}/runs", body, token=token)
    path = f"/api/v1/projects/{slug}/runs/{made['id']}"
    deadline = time.monotonic() + 120
    while studio.call("GET", path, token=token)[1]["state"] != "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert studio.call("POST", f"{path}/cancel", token=token)[0] == 200
    seen = finished(studio, token, slug, made["id"])
    assert (seen["state"], seen["model"]) == ("cancelled", None)
    assert (
        client(studio, slug, token, f'print(json.dumps(mlflow.get_run("{made["id"]}").info.status))')
        == "KILLED"
    )


def youngest_child(studio: Studio, before: set[tuple[int, float]]) -> int:
    """The process id of the isolated child that has come since `before`: the innermost leader of a session.

    Only /proc/PID/stat is read: all else of a child is closed, to its own account as well.
    """
    assert studio.process is not None
    new = {pid for pid, _ in descendants(studio.process.pid) - before}
    leaders = {pid for pid in new if os.getsid(pid) == pid}
    inner = {pid for pid in leaders if psutil.Process(pid).ppid() in leaders}  # its nanny leads one too
    (found,) = inner
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_killed_training_is_repeated_and_nothing_counts_twice(
    studio: Studio, slug: str, token: str
) -> None:
    """The first attempt has logged its metrics when it dies; the second one clears them and ends well."""
    body = {
        "dataset": "churn",
        "target": "left",
        "algorithm": "hist_gradient_boosting",
        "parameters": {"max_iter": 400},
    }
    assert studio.process is not None
    before = descendants(studio.process.pid)
    _, made = studio.call("POST", f"/api/v1/projects/{slug}/runs", body, token=token)
    path = f"/api/v1/projects/{slug}/runs/{made['id']}"
    deadline = time.monotonic() + 120
    while not studio.call("GET", path, token=token)[1]["metrics"] and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(youngest_child(studio, before), signal.SIGKILL)
    seen = finished(studio, token, slug, made["id"])
    _, job = studio.call("GET", f"/api/v1/projects/{slug}/jobs/{made['job']}", token=token)
    assert [a["outcome"] for a in job["attempts"]] == ["lost", "succeeded"]
    assert (seen["state"], seen["reason"]) == ("succeeded", "")
    for key in ("accuracy", "validation_loss"):
        _, history = studio.call("GET", f"{path}/metrics/{key}", token=token)
        steps = [p["step"] for p in history["points"]]
        assert len(steps) == len(set(steps)) > 0
    _, artifacts = studio.call("GET", f"{path}/artifacts", token=token)
    assert {"figures", "model", "evaluation", "environment.json"} <= {a["path"] for a in artifacts["results"]}
    code = f'm = mlflow.sklearn.load_model("{seen["model"]["uri"]}"); print(json.dumps(len(m.steps)))'
    assert client(studio, slug, token, code) == 3
    _, listed = studio.call("GET", f"/api/v1/projects/{slug}/runs?q={made['name']}", token=token)
    assert [r["id"] for r in listed["results"]] == [made["id"]]
