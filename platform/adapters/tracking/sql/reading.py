"""Reading runs, their metric curves and their artifacts."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any
from uuid import UUID

from adapters.tracking.protocol import (
    Artifact,
    DatasetInput,
    LoggedModel,
    MetricPoint,
    RunData,
    location_key,
    workspace_name,
)
from adapters.tracking.sql.logging import no_run
from adapters.tracking.sql.rows import fetch_all, fetch_one, moment
from adapters.tracking.thinning import thin

_RUNS = """
SELECT r.run_uuid, r.experiment_id, e.name, r.name, r.user_id, r.status, r.start_time, r.end_time,
       r.lifecycle_stage, r.artifact_uri,
       (SELECT json_object_agg(key, value) FROM mlflow.params p WHERE p.run_uuid = r.run_uuid),
       (SELECT json_object_agg(key, CASE WHEN is_nan THEN NULL ELSE value END)
          FROM mlflow.latest_metrics m WHERE m.run_uuid = r.run_uuid),
       (SELECT json_object_agg(key, value) FROM mlflow.tags t WHERE t.run_uuid = r.run_uuid),
       (SELECT json_agg(json_build_array(d.name, d.digest, d.dataset_source, d.dataset_source_type,
                 (SELECT value FROM mlflow.input_tags it
                   WHERE it.input_uuid = i.input_uuid AND it.name = 'mlflow.data.context')) ORDER BY d.name)
          FROM mlflow.inputs i JOIN mlflow.datasets d ON d.dataset_uuid = i.source_id
         WHERE i.destination_type = 'RUN' AND i.destination_id = r.run_uuid AND i.source_type = 'DATASET'),
       (SELECT json_agg(json_build_array(l.model_id, l.name, l.artifact_location, i.step)
                 ORDER BY l.creation_timestamp_ms, l.model_id)
          FROM mlflow.inputs i JOIN mlflow.logged_models l ON l.model_id = i.destination_id
         WHERE i.source_type = 'RUN_OUTPUT' AND i.source_id = r.run_uuid
           AND i.destination_type = 'MODEL_OUTPUT' AND l.lifecycle_stage = 'active'
           AND l.experiment_id = r.experiment_id)
  FROM mlflow.runs r JOIN mlflow.experiments e ON e.experiment_id = r.experiment_id
 WHERE r.run_uuid = ANY(%s) AND (%s::text IS NULL OR e.workspace = %s)
"""

_HISTORY = """
SELECT step, timestamp, value, is_nan FROM mlflow.metrics
 WHERE run_uuid = %s AND key = %s ORDER BY step, timestamp, value
"""

_UNFINITE = """
SELECT key, step, timestamp, value, is_nan FROM mlflow.metrics
 WHERE run_uuid = %s AND (%s = '' OR key = %s) AND (is_nan OR abs(value) >= %s)
 ORDER BY timestamp, step, key LIMIT 1
"""
INFINITE = 1.79e308

# The lowest and highest value of each of N equal slices, and both ends: enough for any selection after it.
_EXTREMES = """
WITH all_points AS (
    SELECT step, timestamp, value, is_nan, row_number() OVER (ORDER BY step, timestamp, value) AS place
      FROM mlflow.metrics WHERE run_uuid = %s AND key = %s),
sliced AS (SELECT *, (place - 1) * %s / %s AS slice FROM all_points),
ranked AS (
    SELECT *, row_number() OVER (PARTITION BY slice ORDER BY value, place) AS low,
              row_number() OVER (PARTITION BY slice ORDER BY value DESC, place) AS high FROM sliced)
SELECT step, timestamp, value, is_nan FROM ranked
 WHERE low = 1 OR high = 1 OR place = 1 OR place = %s ORDER BY place
"""


class SqlRunReads:
    """What was logged, read in one query per page."""

    def runs(self, run_ids: Collection[str], *, project_id: UUID | None = None) -> dict[str, RunData]:
        """All that was logged to these runs, by run id, in one query. Unknown ids are absent, and so are
        runs of other projects when `project_id` is given."""
        if not run_ids:
            return {}
        workspace = workspace_name(project_id) if project_id else None
        return {row[0]: _run(row) for row in fetch_all(_RUNS, [list(run_ids), workspace, workspace])}

    def metric_keys(self, run_id: str) -> list[str]:
        """The names of the run's metrics, sorted."""
        rows = fetch_all("SELECT key FROM mlflow.latest_metrics WHERE run_uuid = %s ORDER BY key", [run_id])
        return [row[0] for row in rows]

    def metric_history(self, run_id: str, key: str, points: int = 1000) -> list[MetricPoint]:
        """One metric over its steps, at most `points` of them, chosen so that the curve keeps its shape.

        Long histories are first reduced in the database to the extremes of slices, then by largest
        triangles (MinMaxLTTB: Van Der Donckt et al., IEEE VIS 2023).
        """
        slices = max(points, 3) * 2
        row = fetch_one("SELECT count(*) FROM mlflow.metrics WHERE run_uuid = %s AND key = %s", [run_id, key])
        size = int(row[0]) if row else 0
        if size > slices * 4:
            rows = fetch_all(_EXTREMES, [run_id, key, slices, size, size])
        else:
            rows = fetch_all(_HISTORY, [run_id, key])
        return thin([MetricPoint(r[0], r[1], math.nan if r[3] else r[2]) for r in rows], points)

    def first_unfinite(self, run_id: str, key: str = "") -> tuple[str, MetricPoint] | None:
        """The first value that is NaN or infinite, of one metric or ("") of all, with the metric's name. MLflow
        keeps an infinity as the largest double of its sign."""
        row = fetch_one(_UNFINITE, [run_id, key, key, INFINITE])
        if row is None:
            return None
        value = math.nan if row[4] else math.copysign(math.inf, row[3])
        return row[0], MetricPoint(row[1], row[2], value)

    def artifact_key(self, run_id: str, path: str = "") -> str:
        """The object-store key of one of the run's artifacts ("" as path: their folder).

        Raises NotFound for an unknown run, or a path that leaves the run's folder.
        """
        row = fetch_one("SELECT artifact_uri FROM mlflow.runs WHERE run_uuid = %s", [run_id])
        base = location_key(row[0] or "") if row else ""
        if not base:
            raise no_run(run_id)
        parts = [part for part in path.split("/") if part]
        if any(part in (".", "..") or "\x00" in part or "\\" in part for part in parts):
            raise no_run(run_id)
        return "/".join([base, *parts])

    def list_artifacts(self, run_id: str, path: str = "") -> list[Artifact]:
        """What lies directly in a folder of the run's artifacts: folders first, then files, by name."""
        from adapters.storage import get_store

        base = self.artifact_key(run_id)
        folder = self.artifact_key(run_id, path)
        store = get_store()
        folders: set[str] = set()
        files: dict[str, int] = {}
        for key in store.list(folder + "/"):
            name, slash, _ = key.removeprefix(folder + "/").partition("/")
            if slash:
                folders.add(name)
            else:
                files[name] = store.size(key)
        prefix = folder.removeprefix(base).strip("/")
        where = f"{prefix}/" if prefix else ""
        return [Artifact(where + name, True) for name in sorted(folders)] + [
            Artifact(where + name, False, size) for name, size in sorted(files.items())
        ]


def _run(row: tuple[Any, ...]) -> RunData:
    metrics = {key: math.nan if value is None else float(value) for key, value in (row[11] or {}).items()}
    return RunData(
        id=row[0],
        experiment_id=str(row[1]),
        experiment=row[2],
        name=row[3] or "",
        user=row[4] or "",
        status=row[5],
        start=moment(row[6]),
        end=moment(row[7]),
        deleted=row[8] == "deleted",
        artifact_uri=row[9] or "",
        params=row[10] or {},
        metrics=metrics,
        tags={key: value or "" for key, value in (row[12] or {}).items()},
        inputs=tuple(
            DatasetInput(name=d[0], digest=d[1], source=d[2], source_type=d[3], context=d[4] or "")
            for d in row[13] or ()
        ),
        models=tuple(
            LoggedModel(id=m[0], name=m[1], location=m[2], key=location_key(m[2]), step=m[3])
            for m in row[14] or ()
        ),
    )
