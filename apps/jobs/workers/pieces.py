"""Logs of attempts on other machines while they run: pieces in the database, in the order of the file.

A worker sends them (courier.py); whoever reads a log looks here when neither the object store nor this machine has
it. They go when the attempt has ended and its whole log is in the object store.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db.models import F, Sum
from django.db.models.functions import Length

from adapters.executors.protocol import LOG_NAME
from adapters.storage import get_store
from apps.jobs.models import JobAttempt
from apps.jobs.workers.models import LogPiece

PIECE_BYTES = 64 * 1024
BATCH = 200


def end_of(job_id: uuid.UUID, fence: int) -> int:
    """How many bytes of an attempt's log have arrived."""
    last = LogPiece.objects.filter(job_id=job_id, fence=fence).order_by("-offset")
    found = last.annotate(end=F("offset") + Length("data")).values_list("end", flat=True).first()
    return int(found or 0)


def add(job_id: uuid.UUID, fence: int, offset: int, data: bytes) -> None:
    """Keep what follows the first `offset` bytes. A piece that is there already stays as it is."""
    LogPiece.objects.bulk_create(
        [
            LogPiece(job_id=job_id, fence=fence, offset=offset + at, data=data[at : at + PIECE_BYTES])
            for at in range(0, len(data), PIECE_BYTES)
        ],
        ignore_conflicts=True,
    )


def read(job_id: uuid.UUID, fence: int, offset: int, limit: int) -> bytes:
    """At most `limit` bytes of what has arrived, from a byte offset."""
    rows = LogPiece.objects.filter(
        job_id=job_id, fence=fence, offset__gt=offset - PIECE_BYTES, offset__lt=offset + limit
    )
    found = bytearray()
    for at, data in rows.order_by("offset").values_list("offset", "data"):
        if at <= offset + len(found):
            found += bytes(data)[offset + len(found) - at :]
    return bytes(found[:limit])


@dataclass(frozen=True)
class PieceSource:
    """What has arrived of a log, as a source of apps.jobs.logs."""

    job_id: uuid.UUID
    fence: int

    @property
    def size(self) -> int:
        """Bytes that have arrived."""
        return end_of(self.job_id, self.fence)

    def read(self, offset: int, limit: int) -> bytes:
        """At most `limit` bytes from `offset` on."""
        return read(self.job_id, self.fence, offset, limit)


def drop(job_id: uuid.UUID, fence: int) -> None:
    """Forget the pieces of an attempt whose whole log is kept."""
    kept = JobAttempt.objects.filter(job_id=job_id, number=fence, finished_at__isnull=False).exclude(
        log_key=""
    )
    if kept.exists():
        LogPiece.objects.filter(job_id=job_id, fence=fence).delete()


def settle() -> int:
    """Of attempts that have ended without leaving a log (their machine is gone), keep what had arrived of it; and
    remove pieces that nobody needs any more. Returns how many attempts were settled."""
    groups = LogPiece.objects.values("job_id", "fence").annotate(size=Sum(Length("data"))).order_by()[:BATCH]
    settled = 0
    for group in list(groups):
        job_id, fence = group["job_id"], group["fence"]
        attempt = JobAttempt.objects.filter(job_id=job_id, number=fence).first()
        if attempt is not None and attempt.finished_at is None:
            continue
        if attempt is not None and not attempt.log_key:
            _keep(attempt)
        LogPiece.objects.filter(job_id=job_id, fence=fence).delete()
        settled += 1
    return settled


def _keep(attempt: JobAttempt) -> None:
    rows = LogPiece.objects.filter(job_id=attempt.job_id, fence=attempt.number).order_by("offset")
    data = b"".join(bytes(piece) for piece in rows.values_list("data", flat=True))
    key = f"jobs/{attempt.job_id}/{attempt.number}/{LOG_NAME}"
    get_store().put_bytes(data, key)
    JobAttempt.objects.filter(pk=attempt.pk, log_key="").update(log_key=key, log_bytes=len(data))
