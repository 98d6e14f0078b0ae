"""The fake twin of `local`: the program runs in a thread of this process. For fast tests only: no isolation,
no limits, and a program can be stopped only where it reports progress or writes to its log."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

from adapters.executors import program
from adapters.executors.joblog import LogWriter
from adapters.executors.protocol import (
    LOG_NAME,
    OUTPUTS_NAME,
    RESULT_NAME,
    Cause,
    Exit,
    Report,
    Stats,
    read_report,
)
from foundation.tasks import SandboxPlan


class Stopped(BaseException):
    """Raised inside a program that has been told to stop."""


class _Stream:
    """A text stream into a LogWriter that stops the program when it has been told to."""

    def __init__(self, writer: LogWriter, handle: InProcessHandle) -> None:
        self.writer = writer
        self.handle = handle

    def write(self, text: str) -> None:
        self.handle.check()
        self.writer.write(text.encode())

    def flush(self) -> None:
        """Nothing is held back."""


class InProcessHandle:
    """One program in a thread."""

    warm = True
    launched = True
    pid: int | None = None

    def __init__(self, plan: SandboxPlan, folder: Path) -> None:
        self.folder = folder
        self.started = False
        self.progress: dict[str, Any] = {}
        self._plan = plan
        self._stop = threading.Event()
        self._news = threading.Event()
        self._exit: Exit | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def log_path(self) -> Path:
        """The growing log."""
        return self.folder / LOG_NAME

    def check(self) -> None:
        """Raises Stopped when the program has been told to stop."""
        if self._stop.is_set():
            raise Stopped

    def _report(self, step: float, total: float | None, message: str) -> None:
        self.check()
        self.progress = {"step": step, "total": total, "message": message}
        self._news.set()

    def _begin(self) -> None:
        self.started = True
        self._news.set()

    def _run(self) -> None:
        began = time.monotonic()
        writer = LogWriter(self.log_path, self._plan.stdout_bytes)
        log = program.job_logger(_Stream(writer, self))
        context = program.make_context(self._plan, self.folder, log, self._report)
        cause, code = Cause.EXITED, 0
        try:
            report = program.call(self._plan, context, self._begin)
            program.write_report(self.folder, report)
            code = 0 if report["ok"] else 1
        except Stopped:
            cause = Cause.STOPPED
        writer.close()
        self._exit = Exit(
            cause,
            code=None if cause == Cause.STOPPED else code,
            signal=15 if cause == Cause.STOPPED else None,
            wall_seconds=time.monotonic() - began,
            log_bytes=writer.written,
        )
        self._news.set()

    def poll(self, timeout: float = 0.0) -> Exit | None:
        """Wait for news."""
        if self._exit is None and timeout > 0:
            self._news.wait(timeout)
            self._news.clear()
        return self._exit

    def wait(self, timeout: float | None = None) -> Exit | None:
        """Wait for the end."""
        self._thread.join(timeout)
        return self._exit

    def terminate(self, grace: float = 10.0) -> None:
        """Tell the program to stop at its next report."""
        self._stop.set()

    def kill(self) -> None:
        """The same: a thread cannot be killed."""
        self._stop.set()

    def stats(self) -> Stats:
        """Nothing is measured."""
        return Stats(processes=0 if self._exit else 1)

    def report(self) -> Report | None:
        """What the program left in its result file."""
        return read_report(self.folder)

    def close(self) -> None:
        """Tell it to stop and wait a moment."""
        self._stop.set()
        self._thread.join(5)


class InProcessExecutor:
    """Runs programs in threads of this process."""

    name = "inprocess"
    tier = 0

    def start(self, plan: SandboxPlan, folder: Path) -> InProcessHandle:
        """Start a program in `folder`."""
        for name in ("work", "home", "tmp", OUTPUTS_NAME):
            os.makedirs(folder / name, exist_ok=True)
        (folder / RESULT_NAME).unlink(missing_ok=True)
        return InProcessHandle(plan, folder)

    def renew(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is kept."""
