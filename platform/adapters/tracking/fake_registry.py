"""The registry half of the in-memory twin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from adapters.tracking.limits import TAG_LIMIT, check_key, check_value
from adapters.tracking.protocol import LoggedModel, RegisteredModel, VersionData, location_key
from foundation.clock import now
from foundation.errors import Conflict, Invalid, NotFound


@dataclass
class _Model:
    description: str = ""
    versions: list[VersionData] = field(default_factory=list)
    aliases: dict[str, int] = field(default_factory=dict)


class FakeRegistry:
    """Registered models in a dictionary keyed by (project, name)."""

    def __init__(self) -> None:
        self._models: dict[tuple[UUID, str], _Model] = {}
        self._trash: dict[tuple[UUID, str], _Model] = {}

    def _run_models(self, project_id: UUID, run_id: str) -> tuple[str, list[LoggedModel]]:
        raise NotFound("tracking.no_run", f"There is no run {run_id[:40]!r}.")

    def create_model(self, project_id: UUID, name: str, *, description: str = "") -> None:
        """As the real one."""
        self._check_name(project_id, name)
        self._models[(project_id, name)] = _Model(description)

    def models(self, project_id: UUID) -> dict[str, RegisteredModel]:
        """As the real one."""
        return {
            name: RegisteredModel(
                name, model.description, max((v.number for v in model.versions if not v.deleted), default=0)
            )
            for (owner, name), model in self._models.items()
            if owner == project_id
        }

    def describe_model(self, project_id: UUID, name: str, description: str) -> None:
        """As the real one."""
        self._model(project_id, name).description = description

    def describe_version(self, project_id: UUID, name: str, version: int, description: str) -> None:
        """As the real one."""
        self._change_version(project_id, name, version, description=description)

    def rename_model(self, project_id: UUID, name: str, new_name: str) -> None:
        """As the real one."""
        model = self._model(project_id, name)
        self._check_name(project_id, new_name)
        self._models[(project_id, new_name)] = model
        del self._models[(project_id, name)]

    def trash_model(self, project_id: UUID, name: str, mark: str) -> None:
        """As the real one."""
        self._trash[(project_id, mark)] = self._model(project_id, name)
        del self._models[(project_id, name)]

    def restore_model(self, project_id: UUID, mark: str, name: str) -> None:
        """As the real one."""
        if (project_id, mark) not in self._trash:
            raise NotFound("tracking.no_model", f"There is no registered model {name!r} in this project.")
        self._check_name(project_id, name)
        self._models[(project_id, name)] = self._trash.pop((project_id, mark))

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
        """As the real one."""
        location, logged = self._run_models(project_id, run_id)
        if source is None:
            wanted = [model for model in logged if model_id in (None, model.id)]
            if not wanted:
                raise Invalid("tracking.no_logged_model", f"The run {run_id} has logged no such model.")
            uri, place = f"models:/{wanted[-1].id}", wanted[-1].location
        else:
            uri = place = f"{location}/{source}"
        if not location_key(place, project_id):
            raise Invalid("tracking.no_logged_model", "The model's files do not lie in this project.")
        model = self._model(project_id, name)
        labels = {check_key(k, "tag"): check_value(v, "tag", k, TAG_LIMIT) for k, v in (tags or {}).items()}
        version = VersionData(
            number=len(model.versions) + 1,
            run_id=run_id,
            source=uri,
            key=location_key(place, project_id),
            description=description,
            created_at=now(),
            tags=labels,
        )
        model.versions.append(version)
        return version

    def versions(self, project_id: UUID, name: str) -> list[VersionData]:
        """As the real one."""
        model = self._models.get((project_id, name))
        return list(reversed(model.versions)) if model else []

    def trash_version(self, project_id: UUID, name: str, version: int) -> None:
        """As the real one."""
        self._change_version(project_id, name, version, deleted=True)
        model = self._model(project_id, name)
        model.aliases = {alias: number for alias, number in model.aliases.items() if number != version}

    def restore_version(self, project_id: UUID, name: str, version: int) -> None:
        """As the real one."""
        self._change_version(project_id, name, version, deleted=False)

    def _change_version(self, project_id: UUID, name: str, version: int, **changes: Any) -> None:
        model = self._models.get((project_id, name))
        if model is None or not 1 <= version <= len(model.versions):
            raise NotFound("tracking.no_version", f"There is no version {version} of {name!r}.")
        model.versions[version - 1] = replace(model.versions[version - 1], **changes)

    def aliases(self, project_id: UUID, name: str) -> dict[str, int]:
        """As the real one."""
        model = self._models.get((project_id, name))
        return dict(sorted(model.aliases.items())) if model else {}

    def set_alias(self, project_id: UUID, name: str, alias: str, version: int) -> None:
        """As the real one."""
        model = self._models.get((project_id, name))
        if model is None or not 1 <= version <= len(model.versions) or model.versions[version - 1].deleted:
            raise NotFound("tracking.no_version", f"There is no version {version} of {name!r}.")
        model.aliases[alias] = version

    def delete_alias(self, project_id: UUID, name: str, alias: str) -> None:
        """As the real one."""
        model = self._models.get((project_id, name))
        if model is not None:
            model.aliases.pop(alias, None)

    def _model(self, project_id: UUID, name: str) -> _Model:
        model = self._models.get((project_id, name))
        if model is None:
            raise NotFound("tracking.no_model", f"There is no registered model {name!r} in this project.")
        return model

    def _check_name(self, project_id: UUID, name: str) -> None:
        if not name.strip() or any(char in name for char in "/:\x00") or len(name) > 256:
            raise Invalid("tracking.bad_name", "A model's name has 1 to 256 characters without '/' and ':'.")
        if (project_id, name) in self._models:
            raise Conflict("tracking.model_exists", f"There is already a registered model {name!r}.")
