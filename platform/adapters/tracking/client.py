"""How a sandboxed program logs to its run: the stock MLflow client over HTTP, and a twin that only remembers.

The client is configured by the well-known variables MLFLOW_TRACKING_URI and MLFLOW_TRACKING_TOKEN, which
the worker sets for the child. Nothing here imports mlflow when it is imported.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

#: A model folder's name inside its run.
MODEL_NAME = "model"
#: MLflow refuses larger batches (its REST API: 1,000 metrics, 100 parameters, 100 tags).
METRICS_A_BATCH = 1000
ENTRIES_A_BATCH = 100
#: What tells about a model without loading it.
DESCRIPTION_FILES = frozenset({"MLmodel", "requirements.txt"})
DESCRIPTION_BYTES = 5_000_000
#: Longer values are refused by MLflow's tables.
VALUE_LENGTH = 6000


@dataclass(frozen=True)
class Column:
    """One column of a signature. type: boolean, integer, long, float, double, string or datetime."""

    name: str
    type: str
    required: bool = True


@dataclass(frozen=True)
class ModelFile:
    """A fitted scikit-learn pipeline with everything that its MLflow model folder needs.

    example: a pandas DataFrame of a few rows with the signature's columns. requirements: pip lines; given,
    so that MLflow does not guess them by loading the model in a second process. by_value: modules whose
    classes travel inside the file. metadata: JSON kept in the MLmodel file.
    """

    pipeline: Any
    inputs: Sequence[Column]
    outputs: Sequence[Column]
    example: Any
    requirements: Sequence[str]
    by_value: Sequence[ModuleType] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


class RunLog(Protocol):
    """What a training program may tell its run. Values of parameters and tags are written as str()."""

    def parameters(self, values: Mapping[str, object]) -> None: ...
    def metrics(self, values: Mapping[str, float], step: int = 0) -> None: ...
    def series(self, series: Mapping[str, Sequence[tuple[int, float]]]) -> None: ...
    def tags(self, values: Mapping[str, object]) -> None: ...
    def json(self, path: str, value: object) -> None: ...
    def file(self, local: Path, folder: str = "") -> None: ...
    def model(self, model: ModelFile) -> dict[str, Any]: ...


class OutputLog(Protocol):
    """What is kept of a program that logs for itself: its files, a model folder that it saved, and the
    description of the models that it logged."""

    def file(self, local: Path, folder: str = "") -> None: ...
    def keep_model(self, folder: Path) -> str: ...
    def logged_models(self) -> list[str]: ...
    def fetch_description(self, model_id: str, into: Path) -> None: ...


class MlflowRunLog:
    """Logs to one existing run through mlflow's client. The run's state is left alone: the job decides it."""

    def __init__(self, run_id: str) -> None:
        from mlflow.tracking import MlflowClient

        self.run_id = run_id
        self.client = MlflowClient()

    def parameters(self, values: Mapping[str, object]) -> None:
        """Log parameters; the same value again is harmless, another one an error."""
        from mlflow.entities import Param

        params = [Param(k, str(v)[:VALUE_LENGTH]) for k, v in values.items()]
        for some in _slices(params, ENTRIES_A_BATCH):
            self.client.log_batch(self.run_id, params=some)

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log one value of each metric; values that are not finite are left out."""
        self.series({name: [(step, value)] for name, value in values.items()})

    def series(self, series: Mapping[str, Sequence[tuple[int, float]]]) -> None:
        """Log whole curves: name -> [(step, value)]."""
        from mlflow.entities import Metric

        stamp = int(time.time() * 1000)
        points = [
            Metric(name, float(value), stamp, int(step))
            for name, curve in series.items()
            for step, value in curve
            if math.isfinite(value)
        ]
        for some in _slices(points, METRICS_A_BATCH):
            self.client.log_batch(self.run_id, metrics=some)

    def tags(self, values: Mapping[str, object]) -> None:
        """Set tags."""
        from mlflow.entities import RunTag

        tags = [RunTag(k, str(v)[:VALUE_LENGTH]) for k, v in values.items()]
        for some in _slices(tags, ENTRIES_A_BATCH):
            self.client.log_batch(self.run_id, tags=some)

    def json(self, path: str, value: object) -> None:
        """Keep a JSON artifact at a path such as "figures/roc.json"."""
        self.client.log_dict(self.run_id, json.loads(json.dumps(value)), path)

    def file(self, local: Path, folder: str = "") -> None:
        """Keep a file as an artifact in a folder."""
        self.client.log_artifact(self.run_id, str(local), folder or None)

    def model(self, model: ModelFile) -> dict[str, Any]:
        """Keep the model; answers {"id": "m-…", "uri": "models:/m-…"}.

        cloudpickle is the format: skops knows no classes of ours, and would make MLflow trust the list of
        types inside the model's own file (see the design notes), so it is no safer.
        """
        import cloudpickle
        import mlflow

        # Its warning about pickle is for people who load strangers' files; ours are loaded in a sandbox.
        logging.getLogger("mlflow.sklearn").setLevel(logging.ERROR)
        for module in model.by_value:
            cloudpickle.register_pickle_by_value(module)
        try:
            with mlflow.start_run(run_id=self.run_id, log_system_metrics=False):
                info = mlflow.sklearn.log_model(
                    model.pipeline,
                    name=MODEL_NAME,
                    serialization_format="cloudpickle",
                    signature=signature(model.inputs, model.outputs),
                    input_example=model.example,
                    pip_requirements=list(model.requirements),
                    metadata=dict(model.metadata),
                )
        finally:
            for module in model.by_value:
                cloudpickle.unregister_pickle_by_value(module)
        return {"id": info.model_id, "uri": info.model_uri}

    def keep_model(self, folder: Path) -> str:
        """Make a folder that `save_model` wrote the run's model, as `log_model` would have; answers its id."""
        from mlflow.entities import LoggedModelOutput

        run = self.client.get_run(self.run_id)
        made = self.client.create_logged_model(
            run.info.experiment_id, name=MODEL_NAME, source_run_id=self.run_id
        )
        self.client.log_model_artifacts(made.model_id, str(folder))
        self.client.finalize_logged_model(made.model_id, "READY")
        self.client.log_outputs(self.run_id, models=[LoggedModelOutput(made.model_id, step=0)])
        return str(made.model_id)

    def logged_models(self) -> list[str]:
        """The ids of the models that the run has logged, in the order of MLflow."""
        outputs = self.client.get_run(self.run_id).outputs
        return [str(one.model_id) for one in (outputs.model_outputs if outputs else ())]

    def fetch_description(self, model_id: str, into: Path) -> None:
        """Download the small files that say what a model expects: MLmodel and those of the input example."""
        import mlflow.artifacts

        place = self.client.get_logged_model(model_id).artifact_location
        for entry in self.client.list_logged_model_artifacts(model_id):
            name = entry.path.rsplit("/", 1)[-1]
            small = not entry.is_dir and (entry.file_size or 0) <= DESCRIPTION_BYTES
            if small and (name in DESCRIPTION_FILES or name.endswith("example.json")):
                mlflow.artifacts.download_artifacts(artifact_uri=f"{place}/{name}", dst_path=str(into))


class MemoryRunLog:
    """The twin: remembers what it was told, for tests and for programs without a studio."""

    def __init__(self) -> None:
        self.logged_parameters: dict[str, str] = {}
        self.logged_metrics: dict[str, float] = {}
        self.logged_series: dict[str, list[tuple[int, float]]] = {}
        self.logged_tags: dict[str, str] = {}
        self.artifacts: dict[str, Any] = {}
        self.models: list[ModelFile] = []
        self.folders: dict[str, dict[str, bytes]] = {}

    def parameters(self, values: Mapping[str, object]) -> None:
        """Remember parameters as strings."""
        self.logged_parameters |= {k: str(v)[:VALUE_LENGTH] for k, v in values.items()}

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Remember one value of each metric."""
        self.series({name: [(step, value)] for name, value in values.items()})

    def series(self, series: Mapping[str, Sequence[tuple[int, float]]]) -> None:
        """Remember curves and the last value of each."""
        for name, curve in series.items():
            for step, value in curve:
                if math.isfinite(value):
                    self.logged_series.setdefault(name, []).append((int(step), float(value)))
                    self.logged_metrics[name] = float(value)

    def tags(self, values: Mapping[str, object]) -> None:
        """Remember tags as strings."""
        self.logged_tags |= {k: str(v)[:VALUE_LENGTH] for k, v in values.items()}

    def json(self, path: str, value: object) -> None:
        """Remember a JSON artifact as it would be read back."""
        self.artifacts[path] = json.loads(json.dumps(value))

    def file(self, local: Path, folder: str = "") -> None:
        """Remember the bytes of a file."""
        self.artifacts[f"{folder}/{local.name}".lstrip("/")] = local.read_bytes()

    def model(self, model: ModelFile) -> dict[str, Any]:
        """Remember the model."""
        self.models.append(model)
        identifier = f"m-{len(self.models):032x}"
        return {"id": identifier, "uri": f"models:/{identifier}"}

    def keep_model(self, folder: Path) -> str:
        """Remember the files of a model folder."""
        identifier = f"m-{len(self.folders) + 1:032x}"
        self.folders[identifier] = {
            str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
        }
        return identifier

    def logged_models(self) -> list[str]:
        """The folders that were kept."""
        return list(self.folders)

    def fetch_description(self, model_id: str, into: Path) -> None:
        """Write the remembered files that describe a model."""
        for name, content in self.folders[model_id].items():
            if name in DESCRIPTION_FILES or name.endswith("example.json"):
                (into / name).write_bytes(content)


def signature(inputs: Sequence[Column], outputs: Sequence[Column]) -> Any:
    """MLflow's ModelSignature of the columns; an output without a name stands alone."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    def schema(columns: Sequence[Column]) -> Schema:
        return Schema(
            [ColSpec(type=DataType[c.type], name=c.name or None, required=c.required) for c in columns]
        )

    return ModelSignature(inputs=schema(inputs), outputs=schema(outputs))


def _slices(items: list[Any], size: int) -> list[list[Any]]:
    return [items[n : n + size] for n in range(0, len(items), size)]


def run_log(run_id: str) -> MlflowRunLog:
    """The log of a run, as a program in the sandbox gets it."""
    return MlflowRunLog(run_id)
