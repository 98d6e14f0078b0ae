"""How many bytes the versions of datasets keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from django.db import connection

from apps.accounts.usage import BYTES, Gauge, register_meter


def kept_bytes(projects: Sequence[UUID]) -> Mapping[UUID, Mapping[str, float]]:
    """Bytes of the parts of all versions; parts that versions of a project share count once."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT project_id, sum(bytes) FROM (SELECT DISTINCT v.project_id, p.key, p.bytes"
            " FROM datasets_versionpart p JOIN datasets_datasetversion v ON v.id = p.version_id"
            " WHERE v.project_id = ANY(%s)) AS parts GROUP BY project_id",
            [list(projects)],
        )
        return {project: {"datasets": float(total)} for project, total in cursor.fetchall()}


register_meter(kept_bytes, Gauge("datasets", "Datasets", BYTES))
