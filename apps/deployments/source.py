"""Which model version a reference names: "churn@production" (an alias) or "churn/3" (a version)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

from apps.accounts.models import Project
from foundation.errors import Invalid

_REFERENCE = re.compile(
    r"(?P<name>[^/\x00]{1,256})(?:@(?P<alias>[^/@\x00]{1,255})|/(?P<number>[1-9][0-9]{0,8}))"
)


@dataclass(frozen=True)
class Source:
    """A resolved reference. ref: as it was asked for; alias: "" for a fixed version; prefix: folder of the
    model's files in the object store."""

    ref: str
    model_name: str
    number: int
    version_id: UUID
    alias: str
    prefix: str

    @property
    def label(self) -> str:
        """As answers name it: "churn/3"."""
        return f"{self.model_name}/{self.number}"


def parse(reference: object) -> tuple[str, str, int]:
    """(model name, alias or "", number or 0). Raises Invalid "deployment.model"."""
    found = _REFERENCE.fullmatch(reference) if isinstance(reference, str) else None
    if found is None:
        raise Invalid(
            "deployment.model",
            'The model is given as "name@alias" (churn@production, then followed) or "name/version" (churn/3).',
            {"field": "model"},
        )
    return found["name"], found["alias"] or "", int(found["number"] or 0)


def resolve(project: Project, reference: object) -> Source:
    """The model version that the reference names now. Raises Invalid for another form, and the registry's
    NotFound for an unknown model, version or alias."""
    name, alias, number = parse(reference)
    from apps.registry.queries import version_for_deployment

    version = version_for_deployment(project, name, alias=alias, number=number)
    return Source(str(reference), name, version.number, version.id, alias, version.prefix)


def choices(project: Project) -> list[tuple[str, list[tuple[str, str]]]]:
    """What can be deployed, for a select: per model its aliases, then its versions, newest first."""
    from apps.registry.queries import deployable_versions

    groups: list[tuple[str, list[tuple[str, str]]]] = []
    for model, aliases, numbers in deployable_versions(project):
        options = [
            (f"{model}@{alias}", f"{model}@{alias} (now version {number})") for alias, number in aliases
        ]
        options += [(f"{model}/{number}", f"{model} version {number}") for number in numbers]
        if options:
            groups.append((model, options))
    return groups
