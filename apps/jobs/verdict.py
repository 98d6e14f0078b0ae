"""From the end of a program to the end of an attempt: whose fault it was, in words."""

from __future__ import annotations

import errno
import signal as signals
from dataclasses import dataclass
from typing import Any

from django.db import InterfaceError, OperationalError

from adapters.executors.protocol import Cause, Exit, Report
from apps.jobs.attempts import Ending
from apps.jobs.states import Outcome
from foundation.errors import AtelierError, Unavailable

INTERNAL = "Something went wrong on our side while this job ran; the worker's log has the details."
LAUNCHER = "The process that watched the program went away."
DRAINED = "The worker was stopped; the job went back to the queue."
SILENT_DATABASE = "The database did not answer for so long that the program was stopped."
NO_SPACE = "The disk of the worker is full."
# Ends that a full disk may be behind: the program could not write what went wrong.
UNEXPLAINED = frozenset({"job.no_result", "job.internal", "job.failed", "job.crashed", "job.launcher_lost"})


@dataclass(frozen=True)
class Stop:
    """Why a supervisor ended an attempt before its program did."""

    outcome: str
    reason: str
    code: str = ""
    charged: bool = True


def refused(error: AtelierError) -> Ending:
    """A handler refused with a sentence for the user; a component that is down is tried again."""
    if isinstance(error, Unavailable):
        return Ending(Outcome.LOST, error.message, error.code, detail=error.detail)
    return Ending(Outcome.FAILED, error.message, error.code, detail=error.detail)


def surprised(error: BaseException) -> Ending:
    """Our bug, a full disk, or a database that went away (then the attempt is repeated)."""
    if isinstance(error, OperationalError | InterfaceError):
        return Ending(Outcome.LOST, "The database did not answer.", "job.database_lost")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Ending(Outcome.ERRORED, NO_SPACE, "job.disk_full")
    return Ending(Outcome.ERRORED, INTERNAL, "job.internal")


def gigabytes(count: float | None) -> str:
    """Bytes for a person: "6.1 GB", "512 MB"."""
    value = float(count or 0)
    return f"{value / 1e9:.1f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"


def of_limit(used: float | None, limit: float | None) -> str:
    """What was used of what was allowed: "6.1 GB of 4.0 GB", with more digits where they would be the same."""
    if gigabytes(used) != gigabytes(limit):
        return f"{gigabytes(used)} of {gigabytes(limit)}"
    return f"{(used or 0) / 1e9:.3f} GB of {(limit or 0) / 1e9:.3f} GB"


def seconds(count: float | None) -> str:
    """Seconds for a person: "90 s", "2 h 5 min"."""
    value = round(float(count or 0))
    if value < 180:
        return f"{value} s"
    hours, minutes = divmod(round(value / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def judge(end: Exit, report: Report | None, *, blame: str, stop: Stop | None) -> Ending:
    """The ending of a sandbox attempt, without its files and log.

    stop: what the supervisor itself had decided; blame: whose fault a crash is ("user" or "platform").
    """
    wanted = stop is None or not stop.charged  # a drained worker takes what is finished all the same
    if report is not None and report.ok and wanted and end.cause in (Cause.EXITED, Cause.STOPPED):
        return Ending(Outcome.SUCCEEDED, result=report.result, **usage(end))
    if stop is not None:
        return Ending(stop.outcome, stop.reason, stop.code, charged=stop.charged, **usage(end))
    exceeded = _exceeded(end)
    if exceeded is not None:
        return exceeded
    if end.cause == Cause.VANISHED:
        return Ending(Outcome.LOST, LAUNCHER, "job.launcher_lost", **usage(end))
    if report is not None and report.code == "job.isolation" and report.blame == "platform":
        return Ending(
            Outcome.LOST, report.message, report.code, **usage(end)
        )  # another try, or another worker
    if report is not None and not report.ok:
        outcome = Outcome.FAILED if report.blame == "user" else Outcome.ERRORED
        detail = {key: value for key, value in report.detail.items() if key != "traceback"}
        return Ending(outcome, report.message, report.code, detail=detail, **usage(end))
    return _crashed(end, blame)


def usage(end: Exit) -> dict[str, Any]:
    """What the attempt used, for its row."""
    return {
        "exit_code": end.code if end.signal is None else -end.signal,
        "cpu_seconds": end.cpu_seconds,
        "max_rss": end.max_rss,
        "wall_seconds": end.wall_seconds,
        "log_bytes": end.log_bytes,
    }


def _exceeded(end: Exit) -> Ending | None:
    used, limit = end.used, end.limit
    sentences = {
        Cause.WALL: (
            Outcome.TIMED_OUT,
            "job.timeout",
            f"Stopped after {seconds(limit)}, the time it was given.",
        ),
        Cause.CPU: (
            Outcome.TIMED_OUT,
            "job.cpu_limit",
            f"Stopped: used {seconds(used)} of {seconds(limit)} of processor time.",
        ),
        Cause.MEMORY: (
            Outcome.FAILED,
            "job.memory_limit",
            f"Killed: used {of_limit(used, limit)} of memory.",
        ),
        Cause.DISK: (
            Outcome.FAILED,
            "job.disk_limit",
            f"Killed: wrote {of_limit(used, limit)} of files.",
        ),
        Cause.PROCESSES: (
            Outcome.FAILED,
            "job.process_limit",
            f"Killed: ran {used or 0:.0f} processes at once; {limit or 0:.0f} are allowed.",
        ),
    }
    found = sentences.get(end.cause)
    return None if found is None else Ending(found[0], found[2], found[1], **usage(end))


def _crashed(end: Exit, blame: str) -> Ending:
    if end.signal in (signals.SIGKILL, signals.SIGTERM):
        reason = (
            f"The program was killed from outside ({signals.Signals(end.signal).name}); it had used "
            f"{gigabytes(end.max_rss)}. The machine may have run out of memory."
        )
        return Ending(Outcome.LOST, reason, "job.killed", **usage(end))
    outcome = Outcome.FAILED if blame == "user" else Outcome.ERRORED
    if end.signal is not None:
        name = signals.strsignal(end.signal) or f"signal {end.signal}"
        return Ending(outcome, f"The program crashed: {name.lower()}.", "job.crashed", **usage(end))
    reason = f"The program ended with exit code {end.code} and left no result."
    return Ending(outcome, reason, "job.no_result", **usage(end))
