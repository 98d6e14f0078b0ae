"""Tracking and model registry: MLflow's own tables, read and written by SQL through Django's connection.

Public: `get_tracking()` and the values of `protocol`. Real: `sql.SqlTracking` (schema `mlflow` of the same
database, so that its writes join the caller's transaction); fake twin: `fake.FakeTracking`. `server` runs
the MLflow server that stock clients reach through the gateway; `models` loads model folders and is meant
for sandboxed programs only. Nothing here imports mlflow when it is imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from adapters.tracking.protocol import (
    ARCHIVED_TAG,
    ARTIFACT_SCHEME,
    DEFAULT_EXPERIMENT,
    DIGEST_TAG,
    Artifact,
    DatasetInput,
    Experiment,
    LoggedModel,
    MetricPoint,
    RegisteredModel,
    RunData,
    RunPage,
    RunStatus,
    Tracking,
    VersionData,
    location_key,
    workspace_name,
)

__all__ = [
    "ARCHIVED_TAG",
    "ARTIFACT_SCHEME",
    "DEFAULT_EXPERIMENT",
    "DIGEST_TAG",
    "Artifact",
    "DatasetInput",
    "Experiment",
    "LoggedModel",
    "MetricPoint",
    "RegisteredModel",
    "RunData",
    "RunPage",
    "RunStatus",
    "Tracking",
    "VersionData",
    "get_tracking",
    "location_key",
    "use_tracking",
    "workspace_name",
]

_current: Tracking | None = None


def get_tracking() -> Tracking:
    """The tracking of this process: MLflow's tables, or what `use_tracking` put in its place."""
    global _current
    if _current is None:
        from adapters.tracking.sql import SqlTracking

        _current = SqlTracking()
    return _current


@contextmanager
def use_tracking(tracking: Tracking) -> Iterator[Tracking]:
    """Replace the tracking of this process for the length of a block (tests)."""
    global _current
    before, _current = _current, tracking
    try:
        yield tracking
    finally:
        _current = before
