"""What a person does with the stock MLflow client: run as a program of its own, prints what it saw as JSON.

Arguments: none. MLFLOW_TRACKING_URI and MLFLOW_TRACKING_TOKEN say where; OTHER_RUN and OTHER_EXPERIMENT are
ids of another project.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")
import mlflow  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.models import infer_signature  # noqa: E402

seen: dict[str, Any] = {}
client = mlflow.MlflowClient()


def code_of(action: Callable[[], Any]) -> str:
    """The error code that the client raises, "" for none."""
    try:
        action()
    except MlflowException as error:
        return str(error.error_code)
    return ""


def message_of(action: Callable[[], Any]) -> str:
    """The message that the client raises, "" for none."""
    try:
        action()
    except MlflowException as error:
        return str(error.message)
    return ""


# no experiment named at all
with mlflow.start_run() as bare:
    mlflow.log_param("depth", 3)
seen["bare"] = {"run": bare.info.run_id, "experiment": client.get_experiment(bare.info.experiment_id).name}

# an experiment, everything that can be logged
experiment = mlflow.set_experiment("from a client")
with mlflow.start_run(run_name="full", tags={"kind": "test"}) as full:
    mlflow.log_params({"a": 1, "b": "two"})
    mlflow.log_metric("loss", 0.5, step=0)
    for step in range(20):
        mlflow.log_metrics({"loss": 1 / (step + 1), "acc": step / 20}, step=step)
    mlflow.log_text("hello", "notes/hello.txt")
    mlflow.log_dict({"x": 1}, "notes/x.json")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "ä b (1).bin").write_bytes(os.urandom(300_000))
        mlflow.log_artifacts(folder, "files")
    with mlflow.start_run(nested=True) as child:
        mlflow.log_metric("inner", 1)
run = client.get_run(full.info.run_id)
seen["full"] = {
    "run": run.info.run_id,
    "status": run.info.status,
    "params": run.data.params,
    "acc": run.data.metrics["acc"],
    "user": run.data.tags["mlflow.user"],
    "history": len(client.get_metric_history(run.info.run_id, "loss")),
    "artifacts": sorted(a.path for a in client.list_artifacts(run.info.run_id)),
    "files": sorted(a.path for a in client.list_artifacts(run.info.run_id, "files")),
    "text": mlflow.artifacts.load_text(run.info.artifact_uri + "/notes/hello.txt"),
    "bytes": os.path.getsize(
        mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="files/ä b (1).bin")
    ),
    "child": child.info.run_id,
    "parent": client.get_run(child.info.run_id).data.tags["mlflow.parentRunId"],
}
found = client.search_runs(
    [experiment.experiment_id, "0"], "params.a = '1' and metrics.acc > 0.5", order_by=["metrics.acc DESC"]
)
seen["search"] = [r.info.run_id for r in found]
seen["by_default"] = [r.info.run_id for r in client.search_runs(["0"])]

# a model, registered, aliased
from sklearn.datasets import load_iris  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402

data, target = load_iris(return_X_y=True, as_frame=True)
mlflow.sklearn.autolog(log_models=False)
with mlflow.start_run(run_name="auto") as auto:
    fitted = LogisticRegression(max_iter=200).fit(data, target)
    info = mlflow.sklearn.log_model(
        fitted,
        name="model",
        serialization_format="cloudpickle",
        signature=infer_signature(data, fitted.predict(data)),
        input_example=data.head(2),
        pip_requirements=["scikit-learn"],
        registered_model_name="iris",
    )
seen["auto"] = {"run": auto.info.run_id, "params": len(client.get_run(auto.info.run_id).data.params)}
version = mlflow.register_model(info.model_uri, "iris")
client.set_registered_model_alias("iris", "best", version.version)
seen["model"] = {
    "version": int(version.version),
    "source": version.source,
    "by_alias": int(client.get_model_version_by_alias("iris", "best").version),
    "predicts": len(mlflow.pyfunc.load_model("models:/iris@best").predict(data.head(5))),
    "search": [m.name for m in client.search_registered_models()],
}

# delete and restore
client.delete_run(bare.info.run_id)
seen["deleted"] = client.get_run(bare.info.run_id).info.lifecycle_stage
client.restore_run(bare.info.run_id)
seen["restored"] = client.get_run(bare.info.run_id).info.lifecycle_stage

# what is refused, and how
other_run, other_experiment = os.environ["OTHER_RUN"], os.environ["OTHER_EXPERIMENT"]
seen["refused"] = {
    "other run": code_of(lambda: client.get_run(other_run)),
    "write to other run": code_of(lambda: client.log_metric(other_run, "x", 1.0)),
    "batch to other run": code_of(
        lambda: client.log_batch(other_run, tags=[mlflow.entities.RunTag("a", "b")])
    ),
    "delete other run": code_of(lambda: client.delete_run(other_run)),
    "other experiment": code_of(lambda: client.get_experiment(other_experiment)),
    "run in other experiment": code_of(lambda: client.create_run(other_experiment)),
    "protected alias": code_of(lambda: client.set_registered_model_alias("iris", "production", "1")),
    "workspaces": code_of(lambda: mlflow.list_workspaces()),
    "missing run": code_of(lambda: client.get_run("f" * 32)),
}
seen["searched elsewhere"] = [r.info.run_id for r in client.search_runs([other_experiment])]
seen["alias message"] = message_of(lambda: client.set_registered_model_alias("iris", "staging", "1"))
print("SEEN " + json.dumps(seen))
