"""A deployment with a real small model, a baseline it was trained on, and recorded inferences in the store."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.people import People, fake_tracking, people

__all__ = ["fake_tracking", "people"]

START = datetime(2021, 4, 1, tzinfo=UTC)
COLUMNS = [("age", "integer"), ("city", "string"), ("income", "number")]
CITIES = ["Bern", "Oslo", "Rome"]


def draw(rows: int, *, age: float = 40, seed: int = 0) -> dict[str, list[Any]]:
    """Features of `rows` people; only the age can shift."""
    random = np.random.default_rng(seed)
    return {
        "age": random.normal(age, 8, rows).round().astype(int).tolist(),
        "city": random.choice(CITIES, rows).tolist(),
        "income": random.normal(50_000, 9_000, rows).round(2).tolist(),
    }


class ByAge:
    """A classifier whose probability follows the age, and the income a little."""

    classes_ = np.array(["no", "yes"])

    def predict_proba(self, frame: Any) -> Any:
        score = (frame["age"].to_numpy(dtype=float) - 40) / 8 + 0.2 * (
            frame["income"].to_numpy() - 50_000
        ) / 9_000
        share = 1 / (1 + np.exp(-score))
        return np.column_stack([1 - share, share])

    def predict(self, frame: Any) -> Any:
        return self.classes_[(self.predict_proba(frame)[:, 1] > 0.5).astype(int)]


@dataclass
class Watched:
    """What the tests of monitors start from."""

    people: People
    baseline: Any
    deployment: Any

    @property
    def project(self) -> Any:
        return self.people.project

    def url(self, path: str = "") -> str:
        return f"/p/{self.project.slug}/monitors{path or chr(47)}"

    def api(self, path: str = "") -> str:
        return f"/api/v1/projects/{self.project.slug}/monitors{path}"

    def record(
        self, rows: int, *, day: int = 0, age: float = 40, seed: int = 1, labels: bool = False
    ) -> list[str]:
        """Recorded inferences of one day, as one sealed segment. Returns their ids."""
        import pandas as pd

        from apps.deployments import layout
        from apps.deployments.models import InferenceSegment

        features = draw(rows, age=age, seed=seed)
        model = ByAge()
        frame = pd.DataFrame(features)
        said = model.predict(frame).tolist()
        moments = [START + timedelta(days=day, seconds=60 + 80_000 * i / rows) for i in range(rows)]
        ids = [str(layout.id_range(m, m)[0])[:-6] + f"{i:06x}" for i, m in enumerate(moments)]
        system = {
            layout.ID: ids,
            layout.TIME: moments,
            layout.ORIGIN: ["import"] * rows,
            layout.PREDICTION: said,
            layout.PROBABILITIES: model.predict_proba(frame).tolist(),
        }
        if labels:
            system[layout.LABEL] = said
        table = layout.table_of(COLUMNS, [features[name] for name, _ in COLUMNS], system)
        key = f"tests/{self.deployment.pk}/{day}-{seed}.parquet"
        size = put_table(table, key)
        InferenceSegment.objects.create(
            deployment=self.deployment,
            key=key,
            rows=rows,
            bytes=size,
            start=moments[0],
            end=moments[-1],
            origin="import",
        )
        return ids

    def monitor(self, **options: Any) -> Any:
        from apps.monitoring.actions import create_monitor

        values = {"name": "watch", "deployment": "churn", "baseline": self.baseline.label, **options}
        return create_monitor(actor=self.people.actor("contributor"), project=self.project, **values)

    def report(self, monitor: Any, *, days: int = 1, first: int = 0) -> Any:
        """A finished report over `days` days from START."""
        from apps.jobs.models import Job
        from apps.monitoring.actions import request_report
        from tests.support.datasets import run_inline

        report = request_report(
            actor=self.people.actor("contributor"),
            monitor=monitor,
            start=START + timedelta(days=first),
            end=START + timedelta(days=first + days),
        )
        run_inline(Job.objects.get(pk=report.job_id))
        report.refresh_from_db()
        return report


def put_table(table: Any, key: str) -> int:
    """Store a table as Parquet under a key; returns its size."""
    import tempfile

    import pyarrow.parquet as pq

    from adapters.storage import get_store

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        pq.write_table(table, path)
        size = path.stat().st_size
        get_store().put(path, key)
    return size


def put_model(prefix: str) -> dict[str, Any]:
    """Store the files of a Bento around `ByAge`; returns its bundle."""
    import tempfile

    import cloudpickle

    import tests.monitoring.conftest as here
    from adapters.storage import get_store

    bundle = {
        "columns": [{"name": name, "type": kind, "required": True} for name, kind in COLUMNS],
        "tensor": None,
        "task": "classification",
        "classes": ["no", "yes"],
        "golden": {"rows": [[41, "Rome", 52_000.0]], "answer": {}},
    }
    cloudpickle.register_pickle_by_value(here)
    model = {"flavors": {"sklearn": {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"}}}
    files = {
        "src/bundle.json": json.dumps(bundle).encode(),
        "src/model/MLmodel": json.dumps(model).encode(),
        "src/model/model.pkl": cloudpickle.dumps(here.ByAge()),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            path = Path(folder) / "file"
            path.write_bytes(data)
            get_store().put(path, f"{prefix}/{name}")
    return bundle


@pytest.fixture
def watched(people: People) -> Watched:
    """A built deployment `churn` with a real model, and the version `customers@1` as its baseline."""
    from apps.deployments.models import Deployment, Revision
    from foundation.ids import uuid7
    from tests.support.datasets import ready_version

    columns = draw(2000)
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    baseline = ready_version(people, "\n".join(lines).encode(), name="customers")
    deployment = Deployment.objects.create(
        project=people.project, name="churn", model_ref="churn/1", model_name="churn", state="ready"
    )
    prefix = f"bentos/tests/{uuid7()}"
    revision = Revision.objects.create(
        deployment=deployment,
        number=1,
        model_name="churn",
        model_version=1,
        model_version_id=uuid7(),
        state="ready",
        bento_prefix=prefix,
        bundle=put_model(prefix),
    )
    Deployment.objects.filter(pk=deployment.pk).update(current=revision)
    deployment.refresh_from_db()
    return Watched(people, baseline, deployment)
