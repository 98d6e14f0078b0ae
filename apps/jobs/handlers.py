"""Which code answers for which kind of job.

An app registers its kinds in its tasks.py, which is imported when Django is ready::

    @handles("datasets.ingest", where="sandbox")
    class Ingest:
        def prepare(self, job): ...              # -> SandboxPlan, in the worker, before the child exists
        def started(self, job): ...              # optional, inside the transition to running
        def collect(self, job, result, files):   # optional, outside any transaction: slow copying of files
            ...                                  # into the object store; returns the result for complete()
        def complete(self, job, result, files):  # optional, inside the fenced success transaction
        def ended(self, job): ...                # optional, inside the transaction of every other end

    @handles("jobs.sweep", where="platform")
    class Sweep:
        def run(self, ctx): ...                  # -> dict; instead of prepare()

A handler raises an AtelierError to end the job as failed with that sentence; anything else it raises is
our bug, and the job ends as errored. tasks.py must stay light: web and scheduler import it at start.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from apps.jobs.models import Job
from apps.jobs.states import Where
from foundation.tasks import SandboxPlan

C = TypeVar("C", bound=type[Any])


class JobStopped(BaseException):
    """Raised inside a platform job by check_cancelled(): asked to stop, out of time, or the lease was lost.

    Not an Exception, so that a handler's own `except Exception` cannot swallow it.
    """


@dataclass
class JobContext:
    """What a platform job is given: the row, a log the user reads, progress, and the question whether to stop."""

    job: Job
    log: logging.Logger
    report: Callable[[float, float | None, str], None]
    should_stop: Callable[[], bool]
    files: Path

    def progress(self, step: float, total: float | None = None, message: str = "") -> None:
        """Tell the reader how far the work is. Also a place where the job may be stopped."""
        self.check_cancelled()
        self.report(step, total, message)

    def check_cancelled(self) -> None:
        """Raises JobStopped when the job must end now. Long loops call it between steps."""
        if self.should_stop():
            raise JobStopped


@dataclass(frozen=True)
class Registered:
    """A kind of job with its handler. Absent optional methods do nothing."""

    kind: str
    where: str
    handler: Any = field(repr=False)

    def prepare(self, job: Job) -> SandboxPlan:
        """The plan of a sandbox job."""
        plan: SandboxPlan = self.handler.prepare(job)
        return plan

    def run(self, ctx: JobContext) -> dict[str, Any]:
        """Run a platform job; returns its result."""
        return dict(self.handler.run(ctx) or {})

    def started(self, job: Job) -> None:
        """Tell the handler that the job is running."""
        self._call("started", job)

    def collect(self, job: Job, result: dict[str, Any], files: Path) -> dict[str, Any]:
        """Let the handler copy files away; returns the result for complete()."""
        method = getattr(self.handler, "collect", None)
        return result if method is None else dict(method(job, result, files))

    def complete(self, job: Job, result: dict[str, Any], files: Path) -> None:
        """Tell the handler of success."""
        self._call("complete", job, result, files)

    def ended(self, job: Job) -> None:
        """Tell the handler of any other end."""
        self._call("ended", job)

    def has(self, method: str) -> bool:
        """Whether the handler wants to be told that."""
        return hasattr(self.handler, method)

    def _call(self, name: str, *args: Any) -> None:
        method = getattr(self.handler, name, None)
        if method is not None:
            method(*args)


_registry: dict[str, Registered] = {}


def handles(kind: str, *, where: str) -> Callable[[C], C]:
    """Class decorator: register an instance of the class for a kind ("<app>.<verb>") of job."""
    place = Where(where)

    def register(cls: C) -> C:
        known = _registry.get(kind)
        if known is not None and type(known.handler).__qualname__ != cls.__qualname__:
            raise ValueError(f"two handlers for the job kind {kind}")
        needed = "prepare" if place is Where.SANDBOX else "run"
        if not hasattr(cls, needed):
            raise TypeError(f"the handler of {kind} needs {needed}()")
        _registry[kind] = Registered(kind, place.value, cls())
        return cls

    return register


def handler_for(kind: str) -> Registered:
    """The handler of a kind. Raises LookupError for an unknown one."""
    try:
        return _registry[kind]
    except KeyError:
        raise LookupError(f"no handler is registered for the job kind {kind}") from None


def kinds() -> list[str]:
    """All registered kinds, sorted."""
    return sorted(_registry)


def forget(kind: str) -> None:
    """Remove a kind (tests register their own)."""
    _registry.pop(kind, None)
