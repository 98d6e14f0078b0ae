"""What the model processes of a deployment wrote: one file per deployment, shared by its revisions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from apps.deployments.models import Deployment

CHUNK = 256 * 1024


@dataclass(frozen=True)
class LogPart:
    """A piece of the log. next: the offset (bytes) after it."""

    text: str
    next: int


def log_path(deployment: Deployment) -> Path:
    """The file below HOME/logs."""
    from django.conf import settings

    return Path(settings.CONFIG.log_dir) / "deployments" / f"{deployment.pk.hex}.log"


def read_log(deployment: Deployment, offset: int = 0) -> LogPart:
    """At most CHUNK bytes from `offset`; an offset beyond the end (the file was cut) begins anew. Bytes that
    are not UTF-8 are shown as replacement characters."""
    path = log_path(deployment)
    try:
        size = path.stat().st_size
        begin = offset if offset <= size else 0
        with path.open("rb") as file:
            file.seek(begin)
            data = file.read(CHUNK)
    except FileNotFoundError:
        return LogPart("", 0)
    return LogPart(data.decode("utf-8", "replace").replace("\x00", "�"), begin + len(data))


def tail_offset(deployment: Deployment, size: int = 64 * 1024) -> int:
    """Where the last `size` bytes begin."""
    try:
        return max(0, log_path(deployment).stat().st_size - size)
    except FileNotFoundError:
        return 0
