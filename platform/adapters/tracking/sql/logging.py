"""Making runs, and what happens to them as a whole. What a run logs arrives through MLflow itself."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from adapters.tracking.limits import PARAM_LIMIT, RUN_ID, TAG_LIMIT, check_key, check_value
from adapters.tracking.protocol import (
    ARCHIVED_TAG,
    DIGEST_TAG,
    SUBMITTED_TAG,
    DatasetInput,
    RunStatus,
    workspace_name,
)
from adapters.tracking.sql.experiments import parse_experiment_id
from adapters.tracking.sql.rows import execute, fetch_one, millis
from foundation.errors import Conflict, Invalid, NotFound

NAME_LIMIT = 250
DIGEST_LIMIT = 36
RUN_NAME_TAG = "mlflow.runName"
_RUN_COLUMNS = (
    "run_uuid, name, artifact_uri, experiment_id, source_type, source_name, entry_point_name, user_id,"
    " status, start_time, end_time, deleted_time, source_version, lifecycle_stage"
)


def no_run(run_id: str) -> NotFound:
    """The error for a run that does not exist."""
    return NotFound("tracking.no_run", f"There is no run {run_id[:40]!r}.")


class SqlRunWrites:
    """Runs in MLflow's tables."""

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
    ) -> None:
        """Make the run `run_id` (32 hex digits) as SCHEDULED, with its parameters, tags and dataset inputs.

        Parameter values have one text form, Python's str(). The caller's tags win over the ones made here
        (mlflow.user, mlflow.runName, mlflow.source.*). Raises NotFound for an experiment of another project,
        Conflict "tracking.run_exists", Invalid for keys or values that MLflow refuses.
        """
        if not RUN_ID.fullmatch(run_id):
            raise Invalid("tracking.bad_run_id", "A run id is 32 hexadecimal digits.")
        given = {
            check_key(k, "parameter"): check_value(v, "parameter", k, PARAM_LIMIT)
            for k, v in (parameters or {}).items()
        }
        inputs = [dataset] if isinstance(dataset, DatasetInput) else list(dataset or ())
        labels = self._tags(name, user, given, tags or {}, inputs)
        made = execute(
            f"INSERT INTO mlflow.runs ({_RUN_COLUMNS})"
            " SELECT %s, %s, artifact_location || '/' || %s || '/artifacts', experiment_id, 'UNKNOWN', '', '',"
            " %s, 'SCHEDULED', %s, NULL, NULL, '', 'active' FROM mlflow.experiments"
            " WHERE experiment_id = %s AND workspace = %s AND lifecycle_stage = 'active'"
            " ON CONFLICT (run_uuid) DO NOTHING",
            [run_id, labels[RUN_NAME_TAG], run_id, user[:256], millis(),
             parse_experiment_id(experiment_id), workspace_name(project_id)],
        )  # fmt: skip
        if not made:
            if fetch_one("SELECT 1 FROM mlflow.runs WHERE run_uuid = %s", [run_id]):
                raise Conflict("tracking.run_exists", f"There is already a run {run_id}.")
            raise NotFound(
                "tracking.no_experiment", f"There is no active experiment {experiment_id!r} in this project."
            )
        self._insert_pairs("params", run_id, given)
        self._insert_pairs("tags", run_id, labels)
        for entry in inputs:
            self._insert_input(run_id, parse_experiment_id(experiment_id), entry)

    def start_run(self, run_id: str) -> None:
        """The run's work has begun: RUNNING, and its start time is now."""
        self._update_run(run_id, "status = 'RUNNING', start_time = %s, end_time = NULL", [millis()])

    def finish_run(self, run_id: str, status: RunStatus) -> None:
        """The run is over (FINISHED, FAILED or KILLED) and its end time is now; else sets the status only."""
        over = status in ("FINISHED", "FAILED", "KILLED")
        self._update_run(run_id, "status = %s, end_time = %s", [status, millis() if over else None])

    def rename_run(self, run_id: str, name: str) -> None:
        """Give the run another name."""
        name = check_value(name, "run", "name", NAME_LIMIT)
        self._update_run(run_id, "name = %s", [name])
        self._insert_pairs("tags", run_id, {RUN_NAME_TAG: name})

    def set_tags(self, run_id: str, tags: Mapping[str, str | None]) -> None:
        """Set tags; None removes one. Raises NotFound for an unknown run."""
        if fetch_one("SELECT 1 FROM mlflow.runs WHERE run_uuid = %s", [run_id]) is None:
            raise no_run(run_id)
        gone = [key for key, value in tags.items() if value is None]
        kept = {
            check_key(key, "tag"): check_value(value, "tag", key, TAG_LIMIT)
            for key, value in tags.items()
            if value is not None
        }
        self._insert_pairs("tags", run_id, kept)
        if gone:
            execute("DELETE FROM mlflow.tags WHERE run_uuid = %s AND key = ANY(%s)", [run_id, gone])

    def add_parameters(self, run_id: str, parameters: Mapping[str, Any]) -> None:
        """Write those parameters that the run has not logged itself; what it has logged stays as it is."""
        given = {
            check_key(k, "parameter"): check_value(v, "parameter", k, PARAM_LIMIT)
            for k, v in parameters.items()
        }
        execute(
            "INSERT INTO mlflow.params (key, value, run_uuid)"
            " SELECT k, v, %s FROM unnest(%s::text[], %s::text[]) AS given (k, v)"
            " ON CONFLICT (key, run_uuid) DO NOTHING",
            [run_id, list(given), list(given.values())],
        )

    def add_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Log one finite value of each metric at step 0; the newest is the one that lists show."""
        stamp = millis()
        for key, value in metrics.items():
            row = [check_key(key, "metric"), float(value), stamp, run_id]
            execute(
                "INSERT INTO mlflow.metrics (key, value, timestamp, run_uuid, step, is_nan)"
                " VALUES (%s, %s, %s, %s, 0, false) ON CONFLICT DO NOTHING",
                row,
            )
            execute(
                "INSERT INTO mlflow.latest_metrics (key, value, timestamp, run_uuid, step, is_nan)"
                " VALUES (%s, %s, %s, %s, 0, false) ON CONFLICT (key, run_uuid)"
                " DO UPDATE SET value = EXCLUDED.value, timestamp = EXCLUDED.timestamp, step = 0, is_nan = false",
                row,
            )

    def delete_run(self, run_id: str) -> None:
        """Move the run to the trash."""
        self._update_run(run_id, "lifecycle_stage = 'deleted', deleted_time = %s", [millis()])

    def restore_run(self, run_id: str) -> None:
        """Bring the run back from the trash."""
        self._update_run(run_id, "lifecycle_stage = 'active', deleted_time = NULL", [])

    def reset_run(self, run_id: str) -> str:
        """Archive and clear what a lost attempt logged, so that the next one starts as submitted.

        Metrics, parameters and tags that the submission did not have, models and artifacts move to a new
        run in the trash (tag ARCHIVED_TAG); the run itself gets an empty artifact folder. Returns the
        archive's run id.
        """
        row = fetch_one(
            "SELECT experiment_id, name, user_id, start_time, artifact_uri,"
            " (SELECT value FROM mlflow.tags t WHERE t.run_uuid = r.run_uuid AND t.key = %s)"
            " FROM mlflow.runs r WHERE run_uuid = %s FOR UPDATE",
            [SUBMITTED_TAG, run_id],
        )
        if row is None:
            raise no_run(run_id)
        experiment_id, name, user, started, location, submitted = row
        archive, stamp = uuid.uuid4().hex, millis()
        execute(
            f"INSERT INTO mlflow.runs ({_RUN_COLUMNS})"
            " VALUES (%s, %s, %s, %s, 'UNKNOWN', '', '', %s, 'KILLED', %s, %s, %s, '', 'deleted')",
            [archive, name, location, experiment_id, user, started, stamp, stamp],
        )
        for table in ("metrics", "latest_metrics"):
            execute(f"UPDATE mlflow.{table} SET run_uuid = %s WHERE run_uuid = %s", [archive, run_id])
        if submitted is not None:
            keep = json.loads(submitted)
            for table, keys in (("params", keep["params"]), ("tags", keep["tags"])):
                execute(
                    f"UPDATE mlflow.{table} SET run_uuid = %s WHERE run_uuid = %s AND NOT key = ANY(%s)",
                    [archive, run_id, keys],
                )
        self._insert_pairs("tags", archive, {RUN_NAME_TAG: str(name), ARCHIVED_TAG: run_id})
        execute(
            "UPDATE mlflow.logged_models SET source_run_id = %s, lifecycle_stage = 'deleted'"
            " WHERE model_id IN (SELECT destination_id FROM mlflow.inputs WHERE source_type = 'RUN_OUTPUT' AND source_id = %s)",
            [archive, run_id],
        )
        execute("UPDATE mlflow.logged_model_metrics SET run_id = %s WHERE run_id = %s", [archive, run_id])
        execute(
            "UPDATE mlflow.inputs SET source_id = %s"
            " WHERE source_type IN ('RUN_OUTPUT', 'RUN_INPUT') AND source_id = %s",
            [archive, run_id],
        )
        fresh = f"{str(location).rpartition('/')[0]}/artifacts-{archive[:8]}"
        self._update_run(
            run_id,
            "status = 'SCHEDULED', end_time = NULL, start_time = %s, artifact_uri = %s",
            [stamp, fresh],
        )
        return archive

    def _tags(
        self,
        name: str,
        user: str,
        parameters: Mapping[str, str],
        tags: Mapping[str, str],
        inputs: Sequence[DatasetInput],
    ) -> dict[str, str]:
        labels = {"mlflow.user": user, "mlflow.source.name": "atelier", "mlflow.source.type": "JOB"}
        if inputs:
            labels[DIGEST_TAG] = inputs[0].digest
        labels |= {check_key(key, "tag"): value for key, value in tags.items()}
        labels[RUN_NAME_TAG] = check_value(name, "run", "name", NAME_LIMIT)
        submitted = json.dumps({"params": sorted(parameters), "tags": sorted([*labels, SUBMITTED_TAG])})
        if len(submitted) <= TAG_LIMIT:
            labels[SUBMITTED_TAG] = submitted
        return {key: check_value(value, "tag", key, TAG_LIMIT) for key, value in labels.items()}

    @staticmethod
    def _insert_pairs(table: str, run_id: str, pairs: Mapping[str, str]) -> None:
        if not pairs:
            return
        execute(
            f"INSERT INTO mlflow.{table} (key, value, run_uuid)"
            " SELECT k, v, %s FROM unnest(%s::text[], %s::text[]) AS given (k, v)"
            " ON CONFLICT (key, run_uuid) DO UPDATE SET value = EXCLUDED.value",
            [run_id, list(pairs), list(pairs.values())],
        )

    @staticmethod
    def _insert_input(run_id: str, experiment_id: int, entry: DatasetInput) -> None:
        """MLflow keeps one dataset row per (experiment, name, digest), an edge to the run and its context."""
        digest = entry.digest[:DIGEST_LIMIT]
        execute(
            "INSERT INTO mlflow.datasets (dataset_uuid, experiment_id, name, digest, dataset_source_type,"
            " dataset_source, dataset_schema, dataset_profile) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (experiment_id, name, digest) DO NOTHING",
            [uuid.uuid4().hex, experiment_id, entry.name[:500], digest, entry.source_type, entry.source,
             entry.schema, entry.profile],
        )  # fmt: skip
        edge = uuid.uuid4().hex
        made = execute(
            "INSERT INTO mlflow.inputs (input_uuid, source_type, source_id, destination_type, destination_id)"
            " SELECT %s, 'DATASET', dataset_uuid, 'RUN', %s FROM mlflow.datasets"
            " WHERE experiment_id = %s AND name = %s AND digest = %s"
            " ON CONFLICT (source_type, source_id, destination_type, destination_id) DO NOTHING",
            [edge, run_id, experiment_id, entry.name[:500], digest],
        )
        if made and entry.context:
            execute(
                "INSERT INTO mlflow.input_tags (input_uuid, name, value)"
                " VALUES (%s, 'mlflow.data.context', %s)",
                [edge, entry.context[:500]],
            )

    @staticmethod
    def _update_run(run_id: str, assignment: str, values: list[object]) -> None:
        if not execute(f"UPDATE mlflow.runs SET {assignment} WHERE run_uuid = %s", [*values, run_id]):
            raise no_run(run_id)
