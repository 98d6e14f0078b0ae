"""What a monitor watches: the columns of its rows, the model behind them, and a good baseline for them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from apps.datasets.models import Dataset, DatasetVersion
from apps.deployments.layout import ID, LABEL, PREDICTION, PROBABILITIES, TIME
from apps.deployments.models import Deployment, Revision
from apps.deployments.queries import newest_built
from apps.experiments.models import Run
from apps.lineage.models import Node
from apps.lineage.queries import graph
from apps.lineage.states import NodeKind
from apps.monitoring.models import Monitor
from foundation.errors import Conflict, Invalid

# The names of recorded inferences, as the sandbox reads them.
RECORDED = {
    "timestamp": TIME,
    "prediction": PREDICTION,
    "label": LABEL,
    "probabilities": PROBABILITIES,
    "id": ID,
}


@dataclass(frozen=True)
class Subject:
    """All that a report must know about the rows it reads. model_label is empty for a dataset."""

    features: list[str]
    columns: dict[str, str]
    task: str = "regression"
    classes: list[Any] = field(default_factory=list)
    model_version_id: UUID | None = None
    model_label: str = ""
    bento_prefix: str = ""

    def key(self, version: int) -> str:
        """A digest of what a baseline's profile depends on, beside the baseline and the model."""
        parts = [version, self.features, self.columns.get("prediction")]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Origin:
    """Where the model of a deployment comes from, as far as it is known."""

    baseline: DatasetVersion | None = None
    run: Run | None = None


def subject_of(monitor: Monitor) -> Subject:
    """What the monitor's rows look like now. Raises Conflict "monitor.not_built", Invalid "monitor.no_features"."""
    if monitor.deployment is not None:
        return _of_deployment(monitor, monitor.deployment)
    return _of_dataset(monitor)


def _of_deployment(monitor: Monitor, deployment: Deployment) -> Subject:
    revision = revision_of(deployment)
    if revision is None:
        raise Conflict(
            "monitor.not_built",
            f"The deployment {deployment.name} has no built revision yet, so its inputs are not known; wait for it.",
        )
    names = [str(column["name"]) for column in revision.bundle["columns"]]
    return Subject(
        features=_watched(monitor, names),
        columns=RECORDED,
        task=str(revision.bundle.get("task", "regression")),
        classes=list(revision.bundle.get("classes", [])),
        model_version_id=revision.model_version_id,
        model_label=revision.model_label,
        bento_prefix=revision.bento_prefix,
    )


def _of_dataset(monitor: Monitor) -> Subject:
    given = {
        "timestamp": monitor.time_column,
        "prediction": monitor.prediction_column,
        "label": monitor.label_column,
    }
    columns = {role: name for role, name in given.items() if name}
    names = [column["name"] for column in monitor.baseline.schema if column["name"] not in columns.values()]
    types = {column["name"]: str(column["type"]) for column in monitor.baseline.schema}
    numeric = types.get(monitor.prediction_column, "").startswith(("float", "double", "decimal"))
    return Subject(
        features=_watched(monitor, names),
        columns=columns,
        task="regression" if numeric else "classification",
    )


def _watched(monitor: Monitor, names: list[str]) -> list[str]:
    """The columns that the monitor watches among those there are."""
    chosen = [name for name in names if name in monitor.features] if monitor.features else names
    if not chosen:
        raise Invalid("monitor.no_features", "None of the columns that this monitor watches exists any more.")
    return chosen


def revision_of(deployment: Deployment) -> Revision | None:
    """The revision that answers, else the newest that was built."""
    return deployment.current or newest_built(deployment)


def origin_of(deployment: Deployment) -> Origin:
    """The run that made the deployment's model and the dataset version it was trained on, from the lineage."""
    revision = revision_of(deployment) or deployment.revisions.first()
    if revision is None:
        return Origin()
    start = Node.objects.filter(kind=NodeKind.MODEL_VERSION, key=str(revision.model_version_id)).first()
    if start is None or start.project_id != deployment.project_id:
        return Origin()
    found: dict[str, str] = {}
    for node in graph(deployment.project, start=start, direction="up").nodes:
        found.setdefault(node.kind, node.id)
    run = Run.objects.filter(project=deployment.project, pk=_uuid(found.get(NodeKind.RUN))).first()
    version_id = (
        run.dataset_version_id
        if run and run.dataset_version_id
        else _uuid(found.get(NodeKind.DATASET_VERSION))
    )
    version = (
        DatasetVersion.objects.select_related("dataset")
        .filter(project=deployment.project, pk=version_id)
        .first()
    )
    return Origin(baseline=version, run=run)


def versions_to_watch(dataset: Dataset, baseline: DatasetVersion, *, timed: bool) -> list[DatasetVersion]:
    """The versions whose rows a dataset's monitor reads: the newest where rows carry times (versions usually
    repeat older rows), else every version after the baseline."""
    ready = dataset.versions.filter(state="ready", deleted_at__isnull=True).order_by("number")
    if timed:
        newest = ready.last()
        return [newest] if newest is not None else []
    return list(ready.exclude(pk=baseline.pk))


def _uuid(text: str | None) -> UUID:
    """The id, or one that nothing has when there is none."""
    try:
        return UUID(text or "")
    except ValueError:
        return UUID(int=0)
