"""What a sandboxed program sees of the studio: its plan, its context, and the error that blames the user.

Standard library only: this module is imported in the isolated child, which has neither Django nor a
database. A program is a function `main(ctx: Context) -> dict` named as "package.module:function".
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class UserError(Exception):
    """The user's data, parameters or code are at fault: the job ends as *failed* with this sentence."""

    def __init__(self, message: str, code: str = "job.failed", detail: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.detail = detail or {}


@dataclass(frozen=True)
class SandboxPlan:
    """Everything a launcher needs to run one program in isolation.

    program: "package.module:function"; payload: JSON given to it; inputs: name -> local path the child may
    read; env: extra environment variables; blame: whose fault an unexpected exception is ("platform" ->
    errored, "user" -> failed); limits in bytes and seconds, None = the worker's default; network: whether
    the program talks to the studio's own API; internet: whether it also reaches other machines (a package
    index, a git server; only for programs of ours that run nobody's code); interpreter: the Python of another
    environment, in which the program starts what it was given: `<environment>/bin/python`, so that the child
    may read and execute what lies below `<environment>`; checkpoint: the folder, below its working folder, that is
    kept while it runs and given to the next attempt.
    """

    program: str
    payload: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    blame: str = "platform"
    memory_bytes: int | None = None
    cpu_seconds: int | None = None
    wall_seconds: int | None = None
    disk_bytes: int | None = None
    stdout_bytes: int | None = None
    processes: int | None = None
    network: bool = False
    warm: bool = True
    internet: bool = False
    interpreter: str = ""
    checkpoint: str = ""


def _no_progress(step: float, total: float | None, message: str) -> None:
    return None


@dataclass
class Context:
    """Handed to a program's main(): payload, inputs, folders, a log the user reads, and progress."""

    payload: dict[str, Any]
    inputs: dict[str, Path]
    folder: Path
    outputs: Path
    log: logging.Logger
    report: Callable[[float, float | None, str], None] = _no_progress

    def progress(self, step: float, total: float | None = None, message: str = "") -> None:
        """Tell the reader how far the work is: `step` of `total` (any unit), with a short message."""
        self.report(step, total, message)
