"""The spool: every answered inference is appended to a local file before its answer leaves.

Layout below the spool folder: <deployment id>/<uuid7>.open while it is written (the writer holds an exclusive
flock on it), renamed to <uuid7>.jsonl when it is closed. The first line is a header (what the rows mean), each
further line one inference. `apps.deployments.segments` turns closed files into Parquet segments; a file whose
writer died is recognised by its free lock. Lines reach the kernel before the answer, so a kill -9 loses none.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from foundation.errors import NoSpace
from foundation.ids import uuid7
from gateway.ports import Route

logger = logging.getLogger(__name__)

FORMAT = 1
MAX_BYTES = 4 * 1024 * 1024
MAX_SECONDS = 20.0


@dataclass
class _File:
    path: Path
    descriptor: int
    revision: int
    size: int
    began: float


def encode(lines: list[dict[str, Any]]) -> bytes:
    """Inferences as the lines of a spool file."""
    return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)


class Spool:
    """Implements ports.RecordInference. One instance per process; used from the event loop only.

    folder: made on first use; max_bytes and max_seconds: when a file is closed for sealing.
    """

    def __init__(self, folder: Path, *, max_bytes: int = MAX_BYTES, max_seconds: float = MAX_SECONDS) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.max_seconds = max_seconds
        self._files: dict[UUID, _File] = {}

    def __call__(self, route: Route, lines: list[dict[str, Any]]) -> None:
        """Append the inferences of one request. Raises NoSpace "deployments.capture"."""
        self.append(route, encode(lines))

    def append(self, route: Route, data: bytes) -> None:
        """Append encoded inferences with one write. Raises NoSpace "deployments.capture"."""
        try:
            file = self._file(route)
            self._write(file, data)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE):
                raise
            raise NoSpace(
                "deployments.capture",
                "The prediction was made but cannot be recorded, because the studio's disk is full. "
                "No prediction leaves without a record.",
            ) from error
        if file.size >= self.max_bytes:
            self._finish(route.deployment_id)

    def rotate(self, *, everything: bool = False) -> None:
        """Close files that are old enough (or all of them) so that they can be sealed."""
        limit = time.monotonic() - self.max_seconds
        for deployment in [key for key, file in self._files.items() if everything or file.began <= limit]:
            self._finish(deployment)

    def _write(self, file: _File, data: bytes) -> None:
        """One write; after a short one (a disk that fills up) the file is cut back, so no half line stays."""
        written = os.write(file.descriptor, data)
        if written < len(data):
            os.ftruncate(file.descriptor, file.size)
            raise OSError(errno.ENOSPC, "short write to the spool")
        file.size += written

    def _file(self, route: Route) -> _File:
        file = self._files.get(route.deployment_id)
        if file is not None and file.revision == route.revision:
            return file
        if file is not None:
            self._finish(route.deployment_id)
        folder = self.folder / str(route.deployment_id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{uuid7()}.open"
        # Locked before it has its name: a sealer never finds an open file whose writer lives and whose lock is free.
        nameless = path.with_suffix(".new")
        descriptor = os.open(
            nameless, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        nameless.rename(path)
        file = _File(path, descriptor, route.revision, 0, time.monotonic())
        header = {
            "format": FORMAT,
            "deployment": str(route.deployment_id),
            "revision": route.revision,
            "model": route.model,
            "columns": [{"name": c.name, "type": c.type} for c in route.signature.columns],
            "classes": list(route.signature.classes),
        }
        try:
            self._write(file, json.dumps(header, separators=(",", ":")).encode() + b"\n")
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        self._files[route.deployment_id] = file
        return file

    def _finish(self, deployment: UUID) -> None:
        file = self._files.pop(deployment)
        file.path.rename(file.path.with_suffix(".jsonl"))
        os.close(file.descriptor)
