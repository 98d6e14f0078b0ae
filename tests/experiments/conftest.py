"""Set-up of the tests of experiments: tables, trainings in this process, dataset versions, jobs run to their end."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from adapters.executors.inprocess import InProcessExecutor
from adapters.storage import reset_store
from adapters.storage.local import LocalStore
from adapters.tracking.client import MemoryRunLog
from apps.experiments.models import Run
from apps.jobs import rules
from apps.jobs.heart import Heart
from apps.jobs.supervisor import Supervisor
from foundation.tasks import Context
from tests.support.people import People


def mixed_table(rows: int = 240) -> Any:
    """A table with a column of every kind; y is decided by age and active, amount is linear in age."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 80, rows),
            "balance": np.where(random.random(rows) < 0.1, np.nan, random.normal(0, 1, rows)),
            "country": random.choice(["FR", "DE", None], rows),
            "active": random.random(rows) < 0.5,
            "maybe": pd.Series(random.choice([True, False, None], rows), dtype=object),
            "since": pd.Timestamp("2021-01-01") + pd.to_timedelta(random.integers(0, 9999, rows), unit="h"),
            "customer": [f"c{n}" for n in range(rows)],
            "note": [
                " ".join(random.choice(["good", "bad", "slow", "fast"], 5)) + f" {n}" for n in range(rows)
            ],
            "constant": 1,
        }
    )
    frame["amount"] = frame.age * 2.0 + frame.active * 10
    frame["y"] = np.where((frame.age > 50) ^ frame.active, "yes", "no")
    return frame


def iris() -> Any:
    from sklearn.datasets import load_iris

    return load_iris(as_frame=True).frame


@dataclass
class Trained:
    """What a training left: its answer, and what it logged."""

    result: dict[str, Any]
    log: MemoryRunLog

    @property
    def pipeline(self) -> Any:
        return self.log.models[0].pipeline


Train = Callable[..., Trained]
#: Small enough for a test, large enough to learn.
QUICK: dict[str, dict[str, Any]] = {
    "random_forest": {"n_estimators": 15},
    "hist_gradient_boosting": {"max_iter": 25},
    "lightgbm": {"n_estimators": 25},
    "mlp": {"max_iter": 40, "units": 16},
}


@pytest.fixture
def train(tmp_path: Path) -> Train:
    """Run the training program over a DataFrame: train(frame, target="y", algorithm="linear", ...)."""

    def run(frame: Any, **payload: Any) -> Trained:
        from apps.experiments.sandbox.train import train as program

        folder = tmp_path / uuid4().hex
        folder.mkdir()
        frame.to_parquet(folder / "part-0.parquet", index=False)
        log = MemoryRunLog()
        algorithm = payload.setdefault("algorithm", "linear")
        payload.setdefault("parameters", QUICK.get(algorithm, {}))
        context = Context(
            payload={"run_id": "0" * 32, "seed": 1, "test_size": 0.25, **payload},
            inputs={"part-0": folder / "part-0.parquet"},
            folder=folder,
            outputs=folder,
            log=logging.getLogger("test.train"),
        )
        return Trained(program(context, log), log)

    return run


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    """The object store of the test, in a folder of its own."""
    store = LocalStore(tmp_path / "store")
    reset_store(store)
    yield store
    reset_store()


MakeVersion = Callable[..., Any]


@pytest.fixture
def make_version(people: People, store: LocalStore, tmp_path: Path) -> MakeVersion:
    """A ready dataset version: make_version("churn", frame) in the project of the personas."""
    return lambda name="churn", frame=None, **more: build_version(
        people, store, tmp_path, name, frame, **more
    )


def build_version(
    people: People,
    store: Any,
    folder: Path,
    name: str,
    frame: Any = None,
    *,
    state: str = "ready",
    project: Any = None,
) -> Any:
    """A dataset version straight from a DataFrame, without the ingestion."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from apps.datasets.models import Dataset, DatasetVersion, VersionPart
    from apps.datasets.sandbox.columns import type_name
    from apps.lineage.actions import put_node

    frame = mixed_table() if frame is None else frame
    path = folder / f"{uuid4().hex}.parquet"
    frame.to_parquet(path, index=False)
    table = pq.read_table(path)
    dataset, _ = Dataset.objects.get_or_create(
        project=project or people.project, name=name, defaults={"created_by": people.owner}
    )
    number = dataset.last_number + 1
    Dataset.objects.filter(pk=dataset.pk).update(last_number=number)
    ready = state == "ready"

    def word(kind: pa.DataType) -> str:
        return "datetime" if pa.types.is_timestamp(kind) else type_name(kind)

    version = DatasetVersion.objects.create(
        dataset=dataset,
        project=dataset.project,
        number=number,
        state=state,
        upload_digest=uuid4().hex * 2,
        upload_bytes=path.stat().st_size,
        digest=uuid4().hex * 2 if ready else "",
        rows=table.num_rows if ready else None,
        columns=table.num_columns if ready else None,
        bytes=path.stat().st_size if ready else None,
        schema=[
            {"name": f.name, "type": word(f.type), "nullable": bool(table.column(f.name).null_count)}
            for f in table.schema
        ]
        if ready
        else [],
    )
    key = f"test/{version.pk}/0.parquet"
    store.put(path, key)
    VersionPart.objects.create(
        version=version, position=0, key=key, rows=table.num_rows, bytes=path.stat().st_size, sha256="0" * 64
    )
    put_node(
        project=dataset.project,
        kind="dataset_version",
        key=version.pk,
        title=version.label,
        url=f"/p/{dataset.project.slug}/datasets/{name}/versions/{number}/",
        state=state,
        name=version.label,
    )
    return version


class TrackedLog(MemoryRunLog):
    """A run log that also reaches the fake tracking and the store, as MLflow would have it."""

    def __init__(self, tracking: Any, store: LocalStore, run_id: str) -> None:
        super().__init__()
        self.tracking, self.store, self.run_id = tracking, store, run_id

    def parameters(self, values: Any) -> None:
        super().parameters(values)
        self.tracking._run(self.run_id).params.update({k: str(v) for k, v in values.items()})

    def series(self, series: Any) -> None:
        super().series(series)
        for name, curve in series.items():
            self.tracking.log(self.run_id, name, dict(curve))

    def json(self, path: str, value: object) -> None:
        super().json(path, value)
        content = json.dumps(self.artifacts[path]).encode()
        self.store.put_bytes(content, self.tracking.artifact_key(self.run_id, path))


@pytest.fixture
def finish(
    people: People, fake_tracking: Any, store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Run], Run]]:
    """Let a worker take the run's job and bring it to its end; returns the run as it is then."""
    from apps.experiments.sandbox import train as program

    monkeypatch.setattr(rules, "LOOK", 0.05)
    monkeypatch.setattr(program, "run_log", lambda run_id: TrackedLog(fake_tracking, store, run_id))
    heart = Heart("w-experiments")
    heart.start()
    supervisor = Supervisor("w-experiments", InProcessExecutor(), heart, tmp_path / "attempts")

    def run_to_end(run: Run) -> Run:
        assert supervisor.run(run.job_id), "the job was not to be had"
        again: Run = Run.objects.with_relations().get(pk=run.pk)
        return again

    yield run_to_end
    heart.stop()


@pytest.fixture
def start(people: People) -> Callable[..., Run]:
    """Start a run as the contributor: start(dataset="churn", target="y", ...)."""
    from apps.experiments.actions import start_run
    from apps.experiments.spec import parse_spec

    def make(**body: Any) -> Run:
        spec = {"dataset": "churn", "target": "y", "algorithm": "linear", "experiment": "first", **body}
        actor = people.actor("contributor")
        run: Run = start_run(
            actor=actor, project=people.project, spec=parse_spec(spec, actor=actor, project=people.project)
        )
        return run

    return make
