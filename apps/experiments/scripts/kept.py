"""Code as it is kept: where its bytes lie, and reading them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

from adapters.storage import get_store
from adapters.storage.keys import content_key
from apps.accounts.models import Project
from apps.experiments.models import Run
from foundation.errors import NotFound


def code_key(project: Project, digest: str, source: Mapping[str, Any]) -> str:
    """Where code lies: by content, shared within a team. source: Run.code_source, {} for one file."""
    return content_key(project.team_id, digest, ".zip" if source else ".py", area="code")


def open_code(run: Run) -> BinaryIO:
    """The script of a run, or the zip of its files, to be read. Raises NotFound "run.no_code" when it has none."""
    key = code_key(run.project, run.code_digest, run.code_source) if run.code_digest else ""
    if not key or not get_store().exists(key):
        raise NotFound("run.no_code", f"The run '{run.name}' has no script of its own.", {"run": run.hex})
    return get_store().open(key)


def code_of(run: Run) -> bytes:
    """All of it as bytes. Raises NotFound "run.no_code"."""
    with open_code(run) as file:
        return file.read()


def root_of(run: Run) -> str:
    """The folder that holds all files of a run's code, with its slash; "" when there is none."""
    return str(run.code_source.get("root", ""))


@contextmanager
def files_of(run: Run) -> Iterator[zipfile.ZipFile]:
    """The files of a run whose code is an archive or a repository. Raises NotFound "run.no_code"."""
    with open_code(run) as file, zipfile.ZipFile(file) as archive:
        yield archive


def list_files(run: Run) -> list[tuple[str, int]]:
    """[(path, bytes)] of a run's code, sorted; the paths without the folder that holds them all."""
    if not run.code_source:
        return [(run.code_name, len(code_of(run)))]
    root = root_of(run)
    with files_of(run) as archive:
        return sorted((info.filename[len(root) :], info.file_size) for info in archive.infolist())


def read_file(run: Run, path: str) -> bytes:
    """One file of a run's code. Raises NotFound "run.no_code" or "run.no_code_file"."""
    if not run.code_source:
        data = code_of(run)
        if path == run.code_name:
            return data
    else:
        with files_of(run) as archive:
            try:
                return archive.read(root_of(run) + path)
            except KeyError:
                pass
    raise NotFound(
        "run.no_code_file",
        f"The code of the run has no file '{path[:120]}'.",
        {"path": path[:120]},
    )
