"""Logs of jobs: written while they run, kept in the object store afterwards, read by offset."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import stat
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from adapters.executors.joblog import LogWriter
from adapters.executors.program import job_logger
from adapters.executors.protocol import LOG_NAME
from adapters.storage import get_store
from apps.jobs.models import Job, JobAttempt
from foundation.errors import Invalid, NotFound

logger = logging.getLogger(__name__)
CHUNK_BYTES = 256 * 1024
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
# Terminal control sequences: CSI (colours, cursor), OSC (titles, links), and the two-character ones.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")


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
    number = job.fence if attempt is None else attempt
    row = job.attempts.filter(number=number).first()
    if row is None:
        if attempt is not None:
            raise NotFound(
                "job.attempt_not_found", f"This job has no attempt {attempt}.", {"attempt": attempt}
            )
        return LogChunk("", 0, 0, job.is_terminal, 0)
    path = _path_of(job, row)
    data = b"" if path is None else _read(path, offset, limit)
    text, used = _whole_characters(data)
    ended = row.finished_at is not None and (attempt is not None or job.is_terminal)
    return LogChunk(text, offset, offset + used, ended and len(data) < limit, number)


def open_whole(job: Job, *, attempt: int | None = None) -> BinaryIO | None:
    """The whole log of an attempt (default: the latest) as a file; None when there is none."""
    row = job.attempts.filter(number=job.fence if attempt is None else attempt).first()
    path = None if row is None else _path_of(job, row)
    if path is None:
        return None
    try:
        return os.fdopen(os.open(path, _FLAGS), "rb")
    except OSError:
        return None


def readable(text: str) -> str:
    """A log as a person reads it: without terminal colours, and of a progress bar that rewrites its line
    only the last state."""
    text = _ANSI.sub("", text)
    if "\r" not in text:
        return text
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


def _path_of(job: Job, attempt: JobAttempt) -> Path | None:
    if attempt.log_key:
        try:
            return get_store().local(attempt.log_key)
        except NotFound:
            return None
    from django.conf import settings

    return Path(settings.CONFIG.attempts_dir) / str(job.pk) / str(attempt.number) / LOG_NAME


def _read(path: Path, offset: int, limit: int) -> bytes:
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        return b""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(offset)
        return file.read(limit)


def _whole_characters(data: bytes) -> tuple[str, int]:
    """Decode up to the last whole character: the rest comes with the next piece."""
    for cut in range(min(4, len(data) + 1)):
        end = len(data) - cut
        try:
            return data[:end].decode(), end
        except UnicodeDecodeError as error:
            if error.start < end - 4:
                break
    return data.decode("utf-8", "replace"), len(data)
