"""Projects (workspaces) and experiments."""

from __future__ import annotations

from uuid import UUID

from django.db import DatabaseError, connection, transaction

from adapters.tracking.limits import check_value
from adapters.tracking.protocol import (
    ARTIFACT_SCHEME,
    DEFAULT_EXPERIMENT,
    Experiment,
    Stage,
    workspace_name,
)
from adapters.tracking.schema import REVISION, explain
from adapters.tracking.sql.rows import execute, fetch_all, fetch_one, millis, moment
from foundation.errors import Conflict, Invalid, NotFound

NAME_LIMIT = 256

_INSERT = """
WITH new AS (SELECT nextval('mlflow.experiments_experiment_id_seq') AS id)
INSERT INTO mlflow.experiments
    (experiment_id, name, workspace, artifact_location, lifecycle_stage, creation_time, last_update_time)
SELECT id, %s, %s, %s || id::text, 'active', %s, %s FROM new
ON CONFLICT (workspace, name) DO NOTHING
RETURNING experiment_id
"""


def artifact_root(project_id: UUID) -> str:
    """Where MLflow's artifact service keeps the experiments of a workspace; ends with a slash."""
    return f"{ARTIFACT_SCHEME}workspaces/{workspace_name(project_id)}/"


def parse_experiment_id(experiment_id: str) -> int:
    """The number behind an experiment id. Raises NotFound for anything else."""
    if experiment_id.isascii() and experiment_id.isdigit() and len(experiment_id) < 10:
        return int(experiment_id)
    raise NotFound("tracking.no_experiment", f"There is no experiment {experiment_id!r} in this project.")


class SqlExperiments:
    """Workspaces and experiments in MLflow's tables."""

    def check_revision(self) -> None:
        """Raises Unavailable "tracking.revision" unless the tables are those this package knows."""
        try:
            with transaction.atomic():
                row = fetch_one("SELECT version_num FROM mlflow.alembic_version")
        except DatabaseError as error:
            if not connection.is_usable():
                raise
            raise explain(None) from error
        found = str(row[0]) if row else None
        if found != REVISION:
            raise explain(found)

    def ensure_project(self, project_id: UUID) -> str:
        """Make the project's workspace and its Default experiment; returns that experiment's id."""
        execute(
            "INSERT INTO mlflow.workspaces (name) VALUES (%s) ON CONFLICT (name) DO NOTHING",
            [workspace_name(project_id)],
        )
        return self.ensure_experiment(project_id, DEFAULT_EXPERIMENT)

    def ensure_experiment(self, project_id: UUID, name: str) -> str:
        """The id of the project's experiment of that name, made when missing.

        Raises Conflict "tracking.experiment_deleted" when it is in the trash, Invalid for a bad name.
        """
        self._check_experiment_name(name)
        workspace = workspace_name(project_id)
        known = (
            "SELECT experiment_id, lifecycle_stage FROM mlflow.experiments WHERE workspace = %s AND name = %s"
        )
        row = fetch_one(known, [workspace, name])
        if row is None:
            stamp = millis()
            made = fetch_one(_INSERT, [name, workspace, artifact_root(project_id), stamp, stamp])
            if made is not None:
                return str(made[0])
            row = fetch_one(known, [workspace, name])
        if row is None or row[1] == "deleted":
            raise Conflict(
                "tracking.experiment_deleted",
                f"The experiment {name!r} is in the trash: restore it, or choose another name.",
            )
        return str(row[0])

    def list_experiments(self, project_id: UUID, *, stage: Stage = "active") -> list[Experiment]:
        """The project's experiments, newest first."""
        rows = fetch_all(
            "SELECT experiment_id, name, lifecycle_stage, artifact_location, creation_time"
            " FROM mlflow.experiments WHERE workspace = %s AND (%s = 'all' OR lifecycle_stage = %s)"
            " ORDER BY creation_time DESC, experiment_id DESC",
            [workspace_name(project_id), stage, stage],
        )
        return [Experiment(str(r[0]), r[1], r[2] == "deleted", r[3] or "", moment(r[4])) for r in rows]

    def rename_experiment(self, project_id: UUID, experiment_id: str, name: str) -> None:
        """Give an experiment another name. Raises NotFound, Conflict "tracking.experiment_exists"."""
        self._check_experiment_name(name)
        taken = fetch_one(
            "SELECT 1 FROM mlflow.experiments WHERE workspace = %s AND name = %s AND experiment_id <> %s",
            [workspace_name(project_id), name, parse_experiment_id(experiment_id)],
        )
        if taken:
            raise Conflict("tracking.experiment_exists", f"There is already an experiment {name!r}.")
        self._update_experiment(project_id, experiment_id, "name = %s", [name])

    def delete_experiment(self, project_id: UUID, experiment_id: str) -> None:
        """Move an experiment and its active runs to the trash."""
        self._stage(project_id, experiment_id, "deleted", millis())

    def restore_experiment(self, project_id: UUID, experiment_id: str) -> None:
        """Bring an experiment and its runs back (as MLflow: all of its runs)."""
        self._stage(project_id, experiment_id, "active", None)

    def _stage(self, project_id: UUID, experiment_id: str, stage: str, deleted: int | None) -> None:
        self._update_experiment(project_id, experiment_id, "lifecycle_stage = %s", [stage])
        execute(
            "UPDATE mlflow.runs SET lifecycle_stage = %s, deleted_time = %s"
            " WHERE experiment_id = %s AND lifecycle_stage <> %s"
            " AND NOT EXISTS (SELECT 1 FROM mlflow.tags t WHERE t.run_uuid = runs.run_uuid"
            " AND t.key = 'atelier.archived_from')",
            [stage, deleted, parse_experiment_id(experiment_id), stage],
        )

    def _update_experiment(
        self, project_id: UUID, experiment_id: str, assignment: str, values: list[object]
    ) -> None:
        changed = execute(
            f"UPDATE mlflow.experiments SET {assignment}, last_update_time = %s"
            " WHERE experiment_id = %s AND workspace = %s",
            [*values, millis(), parse_experiment_id(experiment_id), workspace_name(project_id)],
        )
        if not changed:
            raise NotFound(
                "tracking.no_experiment", f"There is no experiment {experiment_id!r} in this project."
            )

    @staticmethod
    def _check_experiment_name(name: str) -> None:
        if not name.strip():
            raise Invalid("tracking.bad_name", "The experiment's name is missing.")
        check_value(name, "experiment", "name", NAME_LIMIT)
