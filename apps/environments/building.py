"""The plan of a build, and what came out of it."""

from __future__ import annotations

import os
from pathlib import Path

from adapters.executors.protocol import OUTPUTS_NAME, Report
from apps.environments import places
from apps.environments.index import index_settings, local_folders
from apps.environments.sandbox.build import FOLDER
from foundation.tasks import SandboxPlan

#: The downloads and the installed files lie there at the same time, and share their bytes.
DISK_BYTES = 24 * 1000**3
SOURCE_BUILDS = "ATELIER_SOURCE_BUILDS"


def build_plan(
    *, lock: str = "", digest: str = "", requirements: str = "", hashes: dict[str, list[str]] | None = None
) -> SandboxPlan:
    """Resolve and install `requirements`, or install a `lock` whose digest is known."""
    settings = index_settings()
    folders = local_folders(settings)
    return SandboxPlan(
        program="apps.environments.sandbox.build:main",
        payload={
            "requirements": requirements,
            "hashes": hashes or {},
            "lock": lock,
            "folder": str(places.root() / (digest or "environment")),
            "source_builds": os.environ.get(SOURCE_BUILDS) == "1",
        },
        inputs={f"index-{number}": path for number, path in enumerate(folders)},
        env=settings,
        disk_bytes=DISK_BYTES,
        internet=True,
    )


def read_build(report: Report | None, folder: Path) -> tuple[Path | None, str]:
    """(the built environment, "") or (None, why not) of an attempt's folder."""
    if report is None:
        return None, "it was not finished in time."
    if not report.ok:
        return None, report.message
    made = folder / OUTPUTS_NAME / FOLDER
    return (made, "") if made.is_dir() and not made.is_symlink() else (None, "it left no folder.")
