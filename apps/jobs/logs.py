"""Logs of jobs: written while they run, kept in the object store afterwards, read by offset."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from adapters.executors.joblog import LogWriter
from adapters.executors.program import job_logger
from adapters.executors.protocol import LOG_NAME
from adapters.storage import get_store
from apps.jobs.models import Job, JobAttempt
from apps.jobs.workers import pieces
from foundation.errors import Invalid, NotFound
from foundation.ui.terminal import readable as readable

logger = logging.getLogger(__name__)
CHUNK_BYTES = 256 * 1024
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class LogSource(Protocol):
    """The bytes of one attempt's log, finished or growing."""

    @property
    def size(self) -> int:
        """Bytes that are there now."""

    def read(self, offset: int, limit: int) -> bytes:
        """At most `limit` bytes from `offset` on; fewer only at the end."""


@dataclass(frozen=True)
class FileSource:
    """A log in a file of this machine. What is no plain file (any more) is an empty log."""

    path: Path

    @property
    def size(self) -> int:
        """As the protocol says."""
        try:
            found = self.path.lstat()
        except OSError:
            return 0
        return found.st_size if stat.S_ISREG(found.st_mode) else 0

    def read(self, offset: int, limit: int) -> bytes:
        """As the protocol says."""
        try:
            descriptor = os.open(self.path, _FLAGS)
        except OSError:
            return b""
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return b""
            file.seek(offset)
            return file.read(limit)


@dataclass(frozen=True)
class LogChunk:
    """A piece of a log. next_offset: bytes, to be asked for next; complete: nothing will follow. attempt: whose
    log it is; where nobody asked for a certain one, another attempt (whose log begins at 0) may follow."""

    text: str
    offset: int
    next_offset: int
    complete: bool
    attempt: int


class _Stream:
    def __init__(self, writer: LogWriter) -> None:
        self.writer = writer

    def write(self, text: str) -> None:
        self.writer.write(text.encode("utf-8", "replace"))

    def flush(self) -> None:
        """Nothing is held back."""


@contextlib.contextmanager
def open_log(path: Path) -> Iterator[logging.Logger]:
    """A logger that writes the log of a platform job."""
    writer = LogWriter(path)
    try:
        yield job_logger(_Stream(writer))
    finally:
        writer.close()


def key_of(job_id: uuid.UUID, fence: int) -> str:
    """Where the finished log of an attempt lies in the object store."""
    return f"jobs/{job_id}/{fence}/{LOG_NAME}"


def keep(path: Path, job_id: uuid.UUID, fence: int) -> tuple[str, int]:
    """Copy a finished log into the object store. Returns its key and size; ("", 0) when there is none or it
    cannot be kept: a log is never a reason to lose a result."""
    try:
        found = path.lstat()
        size = found.st_size
        if size == 0 or not stat.S_ISREG(found.st_mode):
            return "", 0
        key = key_of(job_id, fence)
        get_store().put(path, key)
        return key, size
    except FileNotFoundError:
        return "", 0
    except Exception:
        logger.exception("the log of job %s cannot be kept", job_id)
        return "", 0


def read_log(job: Job, *, offset: int = 0, attempt: int | None = None, limit: int = CHUNK_BYTES) -> LogChunk:
    """A piece of the log of an attempt (default: the latest), from a byte offset, cut at a character.

    Raises Invalid "job.log_offset" for a negative offset, NotFound "job.attempt_not_found".
    """
    if offset < 0:
        raise Invalid("job.log_offset", "offset is a whole number of bytes, 0 or more.", {"offset": offset})
    row = attempt_of(job, attempt)
    if row is None:
        return LogChunk("", 0, 0, job.is_terminal, 0)
    source = source_of(job, row)
    data = b"" if source is None else source.read(offset, limit)
    text, used = whole_characters(data)
    ended = row.finished_at is not None and (attempt is not None or job.is_terminal)
    return LogChunk(text, offset, offset + used, ended and len(data) < limit, row.number)


def attempt_of(job: Job, number: int | None) -> JobAttempt | None:
    """The attempt of that number, else the latest; None for a job that was never taken.

    Raises NotFound "job.attempt_not_found" for a number that the job does not have.
    """
    row = job.attempts.filter(number=job.fence if number is None else number).first()
    if row is None and number is not None:
        raise NotFound("job.attempt_not_found", f"This job has no attempt {number}.", {"attempt": number})
    return row


def source_of(job: Job, attempt: JobAttempt) -> LogSource | None:
    """Where the log of an attempt is read; None when it is gone."""
    if attempt.log_key:
        try:
            return FileSource(get_store().local(attempt.log_key))
        except NotFound:
            return None
    from django.conf import settings

    path = Path(settings.CONFIG.attempts_dir) / str(job.pk) / str(attempt.number) / LOG_NAME
    # What runs on another machine sends its log in pieces.
    return FileSource(path) if path.exists() else pieces.PieceSource(job.pk, attempt.number)


def pieces_of(source: LogSource, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """The bytes from start to end (default: what is there now), a few at a time."""
    stop = source.size if end is None else end
    while start < stop:
        data = source.read(start, min(CHUNK_BYTES * 4, stop - start))
        if not data:
            return
        yield data
        start += len(data)


def whole_characters(data: bytes) -> tuple[str, int]:
    """Decode up to the last whole character: the rest comes with the next piece."""
    for cut in range(min(4, len(data) + 1)):
        end = len(data) - cut
        try:
            return data[:end].decode(), end
        except UnicodeDecodeError as error:
            if error.start < end - 4:
                break
    return data.decode("utf-8", "replace"), len(data)
