"""What the studio asks of experiment tracking and the model registry, and the values that cross.

All identifiers of runs are 32 hex digits, of experiments decimal strings, of logged models "m-" and 32 hex
digits, as in MLflow. Times are aware UTC. A `key` is a posix path in the studio's object store.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

RunStatus = Literal["SCHEDULED", "RUNNING", "FINISHED", "FAILED", "KILLED"]
Stage = Literal["active", "deleted", "all"]

DEFAULT_EXPERIMENT = "Default"
ARTIFACT_SCHEME = "mlflow-artifacts:/"
STORE_PREFIX = "mlflow/"
DIGEST_TAG = "atelier.dataset.digest"
SUBMITTED_TAG = "atelier.submitted"
ARCHIVED_TAG = "atelier.archived_from"


def workspace_name(project_id: UUID) -> str:
    """The MLflow workspace of a project: "p-" and the 32 hex digits of its id."""
    return f"p-{project_id.hex}"


def location_key(location: str, project_id: UUID | None = None) -> str:
    """The object-store key behind an artifact location, e.g. "mlflow/workspaces/p-…/3/<run>/artifacts".

    Returns "" when the location is not one that the studio's own artifact service keeps, or lies outside
    the workspace of `project_id`: what a client wrote into a source field is never trusted.
    """
    if not location.startswith(ARTIFACT_SCHEME):
        return ""
    path = location.removeprefix(ARTIFACT_SCHEME).strip("/")
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return ""
    if project_id is not None and parts[:2] != ["workspaces", workspace_name(project_id)]:
        return ""
    return STORE_PREFIX + path


@dataclass(frozen=True, slots=True)
class Experiment:
    """A named group of runs in a project."""

    id: str
    name: str
    deleted: bool
    artifact_location: str
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DatasetInput:
    """A dataset that a run reads. digest: any length; MLflow's field keeps the first 36 characters and the
    tag DIGEST_TAG all of them. source: JSON text; context: "training", "test", …"""

    name: str
    digest: str
    source: str = "{}"
    source_type: str = "atelier"
    schema: str | None = None
    profile: str | None = None
    context: str = "training"


@dataclass(frozen=True, slots=True)
class LoggedModel:
    """A model that a run logged. key: its folder in the object store ("" when kept elsewhere)."""

    id: str
    name: str
    location: str
    key: str
    step: int = 0


@dataclass(frozen=True, slots=True)
class RunData:
    """All that was logged to a run. Metrics are the latest values (NaN stays NaN)."""

    id: str
    experiment_id: str
    experiment: str
    name: str
    user: str
    status: RunStatus
    start: datetime | None
    end: datetime | None
    deleted: bool
    artifact_uri: str
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[DatasetInput, ...] = ()
    models: tuple[LoggedModel, ...] = ()


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One logged value: step, milliseconds since 1970, value."""

    step: int
    timestamp: int
    value: float


@dataclass(frozen=True, slots=True)
class RunPage:
    """One page of a search. next: cursor of the following page, None at the end."""

    run_ids: tuple[str, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file or folder below a run's artifacts. path: relative to the run; size in bytes (None: a folder)."""

    path: str
    is_folder: bool
    size: int | None = None


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A registered model as MLflow has it. newest: the highest number of a version that is not deleted, or 0."""

    name: str
    description: str = ""
    newest: int = 0


@dataclass(frozen=True, slots=True)
class VersionData:
    """One version of a registered model, as MLflow keeps it. key: the model's folder in the object store."""

    number: int
    run_id: str
    source: str
    key: str
    description: str = ""
    created_at: datetime | None = None
    deleted: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)


class Tracking(Protocol):
    """Experiments, runs and the model registry of every project.

    Writes join the caller's database transaction. Names that do not exist raise NotFound
    ("tracking.no_…"), duplicates Conflict, values that MLflow would refuse Invalid.
    """

    def check_revision(self) -> None: ...

    # projects and experiments
    def ensure_project(self, project_id: UUID) -> str: ...
    def ensure_experiment(self, project_id: UUID, name: str) -> str: ...
    def list_experiments(self, project_id: UUID, *, stage: Stage = "active") -> list[Experiment]: ...
    def rename_experiment(self, project_id: UUID, experiment_id: str, name: str) -> None: ...
    def delete_experiment(self, project_id: UUID, experiment_id: str) -> None: ...
    def restore_experiment(self, project_id: UUID, experiment_id: str) -> None: ...

    # runs
    def create_run(
        self,
        *,
        project_id: UUID,
        run_id: str,
        experiment_id: str,
        name: str,
        user: str,
        parameters: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        dataset: DatasetInput | Sequence[DatasetInput] | None = None,
    ) -> None: ...
    def start_run(self, run_id: str) -> None: ...
    def finish_run(self, run_id: str, status: RunStatus) -> None: ...
    def reset_run(self, run_id: str) -> str: ...
    def rename_run(self, run_id: str, name: str) -> None: ...
    def set_tags(self, run_id: str, tags: Mapping[str, str | None]) -> None: ...
    def add_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None: ...
    def add_parameters(self, run_id: str, parameters: Mapping[str, Any]) -> None: ...
    def delete_run(self, run_id: str) -> None: ...
    def restore_run(self, run_id: str) -> None: ...
    def runs(self, run_ids: Collection[str], *, project_id: UUID | None = None) -> dict[str, RunData]: ...
    def metric_keys(self, run_id: str) -> list[str]: ...
    def metric_history(self, run_id: str, key: str, points: int = 1000) -> list[MetricPoint]: ...
    def first_unfinite(self, run_id: str, key: str = "") -> tuple[str, MetricPoint] | None: ...
    def search(
        self,
        project_id: UUID,
        *,
        experiment_ids: Collection[str] | None = None,
        filter: str = "",
        order_by: Sequence[str] = (),
        limit: int = 100,
        cursor: str | None = None,
        stage: Stage = "active",
        only: Collection[str] | None = None,
        without: Collection[str] = (),
    ) -> RunPage: ...
    def artifact_key(self, run_id: str, path: str = "") -> str: ...
    def list_artifacts(self, run_id: str, path: str = "") -> list[Artifact]: ...

    # registry
    def create_model(self, project_id: UUID, name: str, *, description: str = "") -> None: ...
    def models(self, project_id: UUID) -> dict[str, RegisteredModel]: ...
    def describe_model(self, project_id: UUID, name: str, description: str) -> None: ...
    def describe_version(self, project_id: UUID, name: str, version: int, description: str) -> None: ...
    def rename_model(self, project_id: UUID, name: str, new_name: str) -> None: ...
    def trash_model(self, project_id: UUID, name: str, mark: str) -> None: ...
    def restore_model(self, project_id: UUID, mark: str, name: str) -> None: ...
    def create_version(
        self,
        project_id: UUID,
        name: str,
        *,
        run_id: str,
        model_id: str | None = None,
        source: str | None = None,
        description: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> VersionData: ...
    def versions(self, project_id: UUID, name: str) -> list[VersionData]: ...
    def trash_version(self, project_id: UUID, name: str, version: int) -> None: ...
    def restore_version(self, project_id: UUID, name: str, version: int) -> None: ...
    def aliases(self, project_id: UUID, name: str) -> dict[str, int]: ...
    def set_alias(self, project_id: UUID, name: str, alias: str, version: int) -> None: ...
    def delete_alias(self, project_id: UUID, name: str, alias: str) -> None: ...
