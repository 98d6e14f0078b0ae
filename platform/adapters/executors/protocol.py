"""The contract of executors: start a SandboxPlan in a folder, watch it, stop it, read what it reported."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from foundation.tasks import SandboxPlan

LOG_NAME = "log.txt"
RESULT_NAME = "result.json"
OUTPUTS_NAME = "outputs"
MAX_RESULT_BYTES = 32 * 1024 * 1024
MAX_DETAIL = 64 * 1024
LITTLE_SPACE = 1024 * 1024


class Cause(StrEnum):
    """Why a program is over."""

    EXITED = "exited"  # by itself: exit code or a signal nobody here sent
    STOPPED = "stopped"  # asked to, by terminate() or kill()
    WALL = "wall"  # plan.wall_seconds
    CPU = "cpu"  # plan.cpu_seconds
    MEMORY = "memory"  # plan.memory_bytes
    DISK = "disk"  # plan.disk_bytes
    PROCESSES = "processes"  # too many processes at once
    VANISHED = "vanished"  # the launcher itself died: nobody knows


@dataclass(frozen=True)
class Stats:
    """A sample of the program's process tree. Seconds and bytes; memory above the warm parent's own."""

    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    processes: int = 0


@dataclass(frozen=True)
class Exit:
    """The end of a program. `limit` is the limit that was exceeded, in its own unit, `used` what was seen."""

    cause: Cause
    code: int | None = None
    signal: int | None = None
    cpu_seconds: float = 0.0
    max_rss: int = 0
    wall_seconds: float = 0.0
    log_bytes: int = 0
    used: float | None = None
    limit: float | None = None


@dataclass(frozen=True)
class Report:
    """What the program said about itself. blame: "" on success, else "user" or "platform"."""

    ok: bool
    result: dict[str, Any] = field(default_factory=dict)
    blame: str = ""
    code: str = ""
    message: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


class Handle(Protocol):
    """One running program."""

    folder: Path
    warm: bool

    @property
    def launched(self) -> bool:
        """Whether the process exists (its imports may still go on)."""

    @property
    def started(self) -> bool:
        """Whether the first line of the program's main() has been reached."""

    @property
    def progress(self) -> dict[str, Any]:
        """The last reported {"step", "total", "message"}, or {}."""

    def poll(self, timeout: float = 0.0) -> Exit | None:
        """Wait up to `timeout` seconds for news; the end, when there is one. Returns early on any news."""

    def wait(self, timeout: float | None = None) -> Exit | None:
        """Wait for the end. None when the time is over."""

    def terminate(self, grace: float = 10.0) -> None:
        """Ask the whole tree to end (SIGTERM); what is left after `grace` seconds is killed."""

    def kill(self) -> None:
        """End the whole tree now."""

    def stats(self) -> Stats:
        """The latest sample."""

    def report(self) -> Report | None:
        """What the program left in its result file; None when it left nothing readable."""

    def close(self) -> None:
        """Let go of it. A program that still runs is killed."""


class Executor(Protocol):
    """A way to run programs."""

    name: str

    @property
    def tier(self) -> int:
        """How strongly it isolates (docs/isolation.md)."""

    def start(self, plan: SandboxPlan, folder: Path) -> Handle:
        """Start a program. `folder` is made when missing; below it lie the log, the result, work/ (the
        current folder), home/, tmp/ and outputs/.

        Raises OSError when nothing can be started.
        """

    def renew(self) -> None:
        """Throw away what is kept ready: a program could not be launched from it."""

    def close(self) -> None:
        """End whatever is kept ready. Running programs are killed."""


def clean_json(value: Any) -> Any:
    """A JSON value that PostgreSQL's jsonb takes: no NaN, no infinity, no NUL, no lone surrogate."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {clean_json(str(key)): clean_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean_json(item) for item in value]
    return value


def clean_progress(value: Any) -> dict[str, Any]:
    """A progress report as it may be stored and shown: {"step", "total", "message"}, nothing else. Programs
    write into the pipe themselves, so a report may hold anything; what is no number counts as unknown."""
    if not isinstance(value, dict) or not value:
        return {}
    message = value.get("message")
    return {
        "step": _plain_number(value.get("step")),
        "total": _plain_number(value.get("total")),
        "message": clean_json(message[:200]) if isinstance(message, str) else "",
    }


def _plain_number(value: Any) -> float | int | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if not math.isfinite(number):
        return None
    return value if isinstance(value, int) and abs(number) < 2**53 else number


def disk_is_full(folder: Path) -> bool:
    """Whether next to nothing can be written where the folder lies; False when nobody can tell."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < LITTLE_SPACE or (found.f_files > 0 and found.f_favail == 0)


def read_report(folder: Path) -> Report | None:
    """Read the result file. The program may have written anything there: no link is followed, the size is
    capped, and what is not a report counts as none."""
    try:
        descriptor = os.open(folder / RESULT_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        raw = file.read(MAX_RESULT_BYTES + 1)
    try:
        data = clean_json(json.loads(raw)) if len(raw) <= MAX_RESULT_BYTES else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or not isinstance(data.get("ok"), bool):
        return None
    result, detail = data.get("result"), data.get("detail")
    return Report(
        ok=data["ok"],
        result=result if isinstance(result, dict) else {},
        blame="" if data["ok"] else "user" if data.get("blame") == "user" else "platform",
        code=str(data.get("code") or "")[:80],
        message=str(data.get("message") or "")[:4000],
        detail=detail if isinstance(detail, dict) and len(json.dumps(detail)) <= MAX_DETAIL else {},
    )
