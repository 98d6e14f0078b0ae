"""The spool becomes Parquet: each closed file of gateway.capture turns into one segment in the object store.

Order of one sealing: write the Parquet file, put it into the store under a key made of the spool file's name,
insert the index row whose id is that name, remove the spool file. A crash between any two steps repeats the
earlier ones with the same result, so no inference is lost and none appears twice.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from apps.deployments import layout
from apps.deployments.models import Deployment, InferenceSegment
from apps.deployments.states import Origin

logger = logging.getLogger(__name__)

CLOSED, OPEN, BROKEN = ".jsonl", ".open", ".broken"


@dataclass(frozen=True)
class SpoolFile:
    """The content of one spool file: its header and its inferences, in the order of writing."""

    id: UUID
    header: dict[str, Any]
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def columns(self) -> list[tuple[str, str]]:
        """(name, type) of the features."""
        return [(column["name"], column["type"]) for column in self.header["columns"]]

    def table(self) -> Any:
        """Its inferences as an Arrow table (see layout)."""
        lines = self.lines
        count = len(lines)
        return layout.table_of(
            self.columns,
            [[line["x"][index] for line in lines] for index in range(len(self.header["columns"]))],
            {
                layout.ID: [line["id"] for line in lines],
                layout.TIME: [datetime.datetime.fromisoformat(line["t"]) for line in lines],
                layout.ORIGIN: [Origin.PREDICT.value] * count,
                layout.REVISION: [self.header["revision"]] * count,
                layout.MODEL: [self.header["model"]] * count,
                layout.PREDICTION: [line["y"] for line in lines],
                layout.PROBABILITIES: [line.get("p") for line in lines],
                layout.LATENCY: [line["ms"] for line in lines],
                layout.REQUEST: [line["q"] for line in lines],
            },
        )


def spool_folder() -> Path:
    """HOME/spool/inferences: where the gateway of this machine writes."""
    from django.conf import settings

    return Path(settings.CONFIG.home) / "spool" / "inferences"


def parse(name: UUID, data: bytes) -> SpoolFile | None:
    """The content of a spool file, or None while it has no header. A last line without its end (a machine
    that lost power) is left out."""
    whole = data.split(b"\n")[:-1]
    if not whole:
        return None
    return SpoolFile(name, json.loads(whole[0]), [json.loads(line) for line in whole[1:]])


def unsealed(deployment_id: UUID, *, folder: Path | None = None) -> list[tuple[Path, bytes]]:
    """All spool files of a deployment with their bytes as they are now. Files sealed meanwhile are skipped:
    call this BEFORE reading the index, and leave out those whose id the index holds."""
    found = []
    for path in _files((folder or spool_folder()) / str(deployment_id)):
        with contextlib.suppress(FileNotFoundError):
            found.append((path, path.read_bytes()))
            continue
        # Closed in between: the same inferences under the final name.
        with contextlib.suppress(FileNotFoundError):
            found.append((path.with_suffix(CLOSED), path.with_suffix(CLOSED).read_bytes()))
    return found


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in (CLOSED, OPEN))


def _name(path: Path) -> UUID:
    return UUID(path.stem)


def seal_all(*, folder: Path | None = None) -> int:
    """Seal every closed spool file, and open ones whose writer is gone. Returns the number of new segments.
    Safe to run in several processes at once."""
    base = folder or spool_folder()
    if not base.is_dir():
        return 0
    made = 0
    for directory in sorted(base.iterdir()):
        for path in _files(directory) if directory.is_dir() else ():
            try:
                made += _seal_if_free(path)
            except FileNotFoundError:
                logger.debug("%s was sealed by another process", path)
            except Exception:
                logger.exception("spool file %s cannot be sealed now", path)
    return made


def _seal_if_free(path: Path) -> int:
    """Seal one file under its lock. The writer of an .open file holds the lock while it lives."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        if not _still_there(path, file.fileno()):
            return 0
        return seal(path, file.read())


def _still_there(path: Path, descriptor: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def seal(path: Path, data: bytes) -> int:
    """Turn the bytes of one spool file into a segment and remove the file. Returns 1, or 0 when it was empty,
    already sealed, or belongs to a deployment that no longer exists."""
    try:
        spool = parse(_name(path), data)
    except ValueError:
        logger.exception("spool file %s is damaged; it is kept as %s", path, BROKEN)
        path.rename(path.with_suffix(BROKEN))
        return 0
    if spool is None or not spool.lines:
        path.unlink()
        return 0
    deployment_id = UUID(spool.header["deployment"])
    if not Deployment.objects.filter(pk=deployment_id).exists():
        logger.warning("spool file %s belongs to a deployment that was purged", path)
        path.unlink()
        return 0
    made = 0
    if not InferenceSegment.objects.filter(pk=spool.id, deployment_id=deployment_id).exists():
        times = sorted(datetime.datetime.fromisoformat(line["t"]) for line in spool.lines)
        key = segment_key(deployment_id, times[0], spool.id)
        size = _store_table(spool.table(), key)
        row = InferenceSegment(
            id=spool.id,
            deployment_id=deployment_id,
            revision=spool.header["revision"],
            key=key,
            rows=len(spool.lines),
            bytes=size,
            start=times[0],
            end=times[-1],
        )
        InferenceSegment.objects.bulk_create([row], ignore_conflicts=True)
        made = 1
    path.unlink()
    return made


def segment_key(deployment_id: UUID, start: datetime.datetime, name: object) -> str:
    """Where a segment lies in the object store: one folder per deployment and month."""
    return f"deployments/{deployment_id.hex}/inferences/{start:%Y-%m}/{name}.parquet"


def _store_table(table: Any, key: str) -> int:
    import pyarrow.parquet as pq

    from adapters.storage import get_store

    with tempfile.TemporaryDirectory(prefix="atelier-segment-") as folder:
        path = Path(folder) / "segment.parquet"
        pq.write_table(table, path, compression="zstd")
        return get_store().put(path, key)


def spool_tables(
    deployment_id: UUID, sealed: set[UUID], files: list[tuple[Path, bytes]]
) -> Iterator[SpoolFile]:
    """The spool files among `files` that the index does not hold yet, parsed."""
    for path, data in files:
        if _name(path) in sealed:
            continue
        try:
            spool = parse(_name(path), data)
        except ValueError:
            logger.warning("spool file %s of %s cannot be read", path, deployment_id)
            continue
        if spool is not None and spool.lines:
            yield spool
