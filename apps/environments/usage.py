"""How many bytes the packages of environments take on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from apps.accounts.usage import BYTES, Gauge, register_meter
from apps.environments.models import Environment, EnvironmentFolder


def package_bytes(projects: Sequence[UUID]) -> Mapping[UUID, Mapping[str, float]]:
    """Bytes of the packages that a project's environments use and some host has, each lock counted once. What
    several projects share, each of them counts."""
    here = dict(EnvironmentFolder.objects.values_list("digest", "size"))
    rows = Environment.objects.alive().filter(project__in=projects, digest__in=here)
    found: dict[UUID, float] = {}
    for project, digest in set(rows.order_by().values_list("project", "digest")):
        found[project] = found.get(project, 0.0) + here[digest]
    return {project: {"environments": total} for project, total in found.items()}


register_meter(package_bytes, Gauge("environments", "Environments", BYTES))
