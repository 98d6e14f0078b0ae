"""Registered models, their versions and aliases in MLflow's tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from adapters.tracking.limits import TAG_LIMIT, check_key, check_value
from adapters.tracking.protocol import RegisteredModel, VersionData, location_key, workspace_name
from adapters.tracking.sql.logging import no_run
from adapters.tracking.sql.rows import execute, fetch_all, fetch_one, millis, moment
from foundation.errors import Conflict, Invalid, NotFound

DELETED_STAGE = "Deleted_Internal"
NAME_LIMIT = 256
DESCRIPTION_LIMIT = 5000

_VERSIONS = """
SELECT v.version, v.run_id, v.source, v.storage_location, v.description, v.creation_time, v.current_stage,
       (SELECT json_object_agg(key, value) FROM mlflow.model_version_tags t
         WHERE t.workspace = v.workspace AND t.name = v.name AND t.version = v.version)
  FROM mlflow.model_versions v WHERE v.workspace = %s AND v.name = %s ORDER BY v.version DESC
"""


_MODELS = """
SELECT m.name, coalesce(m.description, ''), coalesce((
         SELECT max(v.version) FROM mlflow.model_versions v
          WHERE v.workspace = m.workspace AND v.name = m.name AND v.current_stage <> %s), 0)
  FROM mlflow.registered_models m
 WHERE m.workspace = %s AND NOT EXISTS (
         SELECT 1 FROM mlflow.registered_model_tags t
          WHERE t.workspace = m.workspace AND t.name = m.name AND t.key = 'mlflow.prompt.is_prompt')
"""


def trash_name(project_id: UUID) -> str:
    """The workspace in which the project's trashed models wait: no client can name it."""
    return f"trash-{project_id.hex}"


def no_model(name: str) -> NotFound:
    """The error for a registered model that does not exist."""
    return NotFound("tracking.no_model", f"There is no registered model {name!r} in this project.")


class SqlRegistry:
    """The model registry of each project."""

    def create_model(self, project_id: UUID, name: str, *, description: str = "") -> None:
        """Make a registered model. Raises Conflict "tracking.model_exists", Invalid for a bad name."""
        self._check_model_name(name)
        stamp = millis()
        made = execute(
            "INSERT INTO mlflow.registered_models"
            " (workspace, name, creation_time, last_updated_time, description)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (workspace, name) DO NOTHING",
            [workspace_name(project_id), name, stamp, stamp, description[:DESCRIPTION_LIMIT]],
        )
        if not made:
            raise Conflict("tracking.model_exists", f"There is already a registered model {name!r}.")

    def models(self, project_id: UUID) -> dict[str, RegisteredModel]:
        """The project's registered models by name, without prompts, which MLflow keeps in the same table."""
        rows = fetch_all(_MODELS, [DELETED_STAGE, workspace_name(project_id)])
        return {row[0]: RegisteredModel(*row) for row in rows}

    def describe_model(self, project_id: UUID, name: str, description: str) -> None:
        """Set the model's description. Raises NotFound."""
        self._update_model(project_id, name, "description = %s", [description[:DESCRIPTION_LIMIT]])

    def describe_version(self, project_id: UUID, name: str, version: int, description: str) -> None:
        """Set a version's description. Raises NotFound."""
        self._update_version(project_id, name, version, "description = %s", description[:DESCRIPTION_LIMIT])

    def rename_model(self, project_id: UUID, name: str, new_name: str) -> None:
        """Give the model another name; versions, tags and aliases follow. Raises NotFound, Conflict."""
        self._check_model_name(new_name)
        try:
            with transaction.atomic():
                self._update_model(project_id, name, "name = %s", [new_name])
        except IntegrityError as error:
            raise Conflict(
                "tracking.model_exists", f"There is already a registered model {new_name!r}."
            ) from error

    def trash_model(self, project_id: UUID, name: str, mark: str) -> None:
        """Take the model out of every client's sight and free its name. `mark` brings it back."""
        self._update_model(project_id, name, "workspace = %s, name = %s", [trash_name(project_id), mark])

    def restore_model(self, project_id: UUID, mark: str, name: str) -> None:
        """Bring a trashed model back under `name`. Raises NotFound, Conflict "tracking.model_exists"."""
        try:
            with transaction.atomic():
                changed = execute(
                    "UPDATE mlflow.registered_models SET workspace = %s, name = %s"
                    " WHERE workspace = %s AND name = %s",
                    [workspace_name(project_id), name, trash_name(project_id), mark],
                )
        except IntegrityError as error:
            raise Conflict(
                "tracking.model_exists", f"There is already a registered model {name!r}."
            ) from error
        if not changed:
            raise no_model(name)

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
    ) -> VersionData:
        """The next version of a registered model, from a run.

        The model is the logged model `model_id` (m-…) of that run; without one, the artifact folder `source`
        of the run (a path such as "model"). With neither, the run's last logged model. Raises NotFound for an
        unknown model or run, Invalid "tracking.no_logged_model" when the run has logged no model.
        """
        workspace = workspace_name(project_id)
        run = fetch_one(
            "SELECT r.artifact_uri FROM mlflow.runs r JOIN mlflow.experiments e USING (experiment_id)"
            " WHERE r.run_uuid = %s AND e.workspace = %s AND r.lifecycle_stage = 'active'",
            [run_id, workspace],
        )
        if run is None:
            raise no_run(run_id)
        logged: tuple[Any, ...] | None = None
        if source is None:
            logged = fetch_one(
                "SELECT l.model_id, l.artifact_location FROM mlflow.logged_models l"
                " JOIN mlflow.experiments e USING (experiment_id)"
                " WHERE l.source_run_id = %s AND e.workspace = %s AND l.lifecycle_stage = 'active'"
                " AND (%s::text IS NULL OR l.model_id = %s)"
                " ORDER BY l.creation_timestamp_ms DESC, l.model_id DESC LIMIT 1",
                [run_id, workspace, model_id, model_id],
            )
            if logged is None:
                raise Invalid("tracking.no_logged_model", f"The run {run_id} has logged no such model.")
        uri = f"models:/{logged[0]}" if logged else f"runs:/{run_id}/{source}"
        location = str(logged[1]) if logged else f"{run[0]}/{source}"
        if not location_key(location, project_id):
            raise Invalid("tracking.no_logged_model", "The model's files do not lie in this project.")
        stamp = millis()
        self._update_model(project_id, name, "last_updated_time = %s", [stamp])  # and locks the model's row
        row = fetch_one(
            "INSERT INTO mlflow.model_versions (workspace, name, version, creation_time, last_updated_time,"
            " description, current_stage, source, storage_location, run_id, status)"
            " SELECT %s, %s, coalesce(max(version), 0) + 1, %s, %s, %s, 'None', %s, %s, %s, 'READY'"
            " FROM mlflow.model_versions WHERE workspace = %s AND name = %s RETURNING version",
            [workspace, name, stamp, stamp, description[:DESCRIPTION_LIMIT] or None,
             uri if logged else location, location, run_id, workspace, name],
        )  # fmt: skip
        assert row is not None
        number = int(row[0])
        labels = {check_key(k, "tag"): check_value(v, "tag", k, TAG_LIMIT) for k, v in (tags or {}).items()}
        if labels:
            execute(
                "INSERT INTO mlflow.model_version_tags (workspace, name, version, key, value)"
                " SELECT %s, %s, %s, k, v FROM unnest(%s::text[], %s::text[]) AS given (k, v)",
                [workspace, name, number, list(labels), list(labels.values())],
            )
        if logged:
            self._mark_logged_model(str(logged[0]), name, number)
        return VersionData(
            number=number,
            run_id=run_id,
            source=uri if logged else location,
            key=location_key(location, project_id),
            description=description,
            created_at=moment(stamp),
            tags=labels,
        )

    def versions(self, project_id: UUID, name: str) -> list[VersionData]:
        """All versions, newest first; deleted ones are marked."""
        return [
            VersionData(
                number=row[0],
                run_id=row[1] or "",
                source=row[2] or "",
                key=location_key(row[3] or "", project_id),
                description=row[4] or "",
                created_at=moment(row[5]),
                deleted=row[6] == DELETED_STAGE,
                tags={key: value or "" for key, value in (row[7] or {}).items()},
            )
            for row in fetch_all(_VERSIONS, [workspace_name(project_id), name])
        ]

    def trash_version(self, project_id: UUID, name: str, version: int) -> None:
        """Hide a version from every client, as MLflow's own deletion does, but keep what it says; its
        aliases go. Raises NotFound."""
        self._update_version(project_id, name, version, "current_stage = %s", DELETED_STAGE)
        execute(
            "DELETE FROM mlflow.registered_model_aliases WHERE workspace = %s AND name = %s AND version = %s",
            [workspace_name(project_id), name, version],
        )

    def restore_version(self, project_id: UUID, name: str, version: int) -> None:
        """Show a version again. Raises NotFound."""
        self._update_version(project_id, name, version, "current_stage = %s", "None")

    @staticmethod
    def _update_version(project_id: UUID, name: str, version: int, assignment: str, value: str) -> None:
        changed = execute(
            f"UPDATE mlflow.model_versions SET {assignment}, last_updated_time = %s"
            " WHERE workspace = %s AND name = %s AND version = %s",
            [value, millis(), workspace_name(project_id), name, version],
        )
        if not changed:
            raise NotFound("tracking.no_version", f"There is no version {version} of {name!r}.")

    def aliases(self, project_id: UUID, name: str) -> dict[str, int]:
        """Alias -> version number."""
        rows = fetch_all(
            "SELECT alias, version FROM mlflow.registered_model_aliases"
            " WHERE workspace = %s AND name = %s ORDER BY alias",
            [workspace_name(project_id), name],
        )
        return dict(rows)

    def set_alias(self, project_id: UUID, name: str, alias: str, version: int) -> None:
        """Let the alias name that version. Raises NotFound for an unknown or deleted version."""
        known = fetch_one(
            "SELECT 1 FROM mlflow.model_versions WHERE workspace = %s AND name = %s AND version = %s"
            " AND current_stage <> %s",
            [workspace_name(project_id), name, version, DELETED_STAGE],
        )
        if known is None:
            raise NotFound("tracking.no_version", f"There is no version {version} of {name!r}.")
        execute(
            "INSERT INTO mlflow.registered_model_aliases (workspace, name, alias, version)"
            " VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (workspace, name, alias) DO UPDATE SET version = EXCLUDED.version",
            [workspace_name(project_id), name, alias, version],
        )

    def delete_alias(self, project_id: UUID, name: str, alias: str) -> None:
        """Remove the alias; quiet when there is none."""
        execute(
            "DELETE FROM mlflow.registered_model_aliases WHERE workspace = %s AND name = %s AND alias = %s",
            [workspace_name(project_id), name, alias],
        )

    def _update_model(self, project_id: UUID, name: str, assignment: str, values: list[object]) -> None:
        changed = execute(
            f"UPDATE mlflow.registered_models SET {assignment} WHERE workspace = %s AND name = %s",
            [*values, workspace_name(project_id), name],
        )
        if not changed:
            raise no_model(name)

    @staticmethod
    def _mark_logged_model(model_id: str, name: str, number: int) -> None:
        """MLflow's own back reference on the logged model, read by its clients and UI."""
        key = "mlflow.modelVersions"
        row = fetch_one(
            "SELECT tag_value FROM mlflow.logged_model_tags WHERE model_id = %s AND tag_key = %s",
            [model_id, key],
        )
        entries = json.loads(row[0]) if row and row[0] else []
        entries.append({"name": name, "version": number})
        execute(
            "INSERT INTO mlflow.logged_model_tags (model_id, experiment_id, tag_key, tag_value)"
            " SELECT model_id, experiment_id, %s, %s FROM mlflow.logged_models WHERE model_id = %s"
            " ON CONFLICT (model_id, tag_key) DO UPDATE SET tag_value = EXCLUDED.tag_value",
            [key, json.dumps(entries), model_id],
        )

    @staticmethod
    def _check_model_name(name: str) -> None:
        if not name.strip() or any(char in name for char in "/:") or len(name) > NAME_LIMIT or "\x00" in name:
            raise Invalid(
                "tracking.bad_name", f"A model's name has 1 to {NAME_LIMIT} characters without '/' and ':'."
            )
