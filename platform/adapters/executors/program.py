"""The child's last step: call the program's main() and write down how it ended.

Standard library and foundation only. A program is "package.module:function", called with one Context.
"""

from __future__ import annotations

import errno
import importlib
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adapters.executors.protocol import (
    MAX_RESULT_BYTES,
    OUTPUTS_NAME,
    RESULT_NAME,
    clean_json,
    clean_progress,
)
from foundation.errors import AtelierError
from foundation.tasks import Context, SandboxPlan, UserError

PROGRESS_STEP_SECONDS = 0.1
NOT_ISOLATED = 71
OUR_BUG = "Something went wrong on our side while this job ran."


def job_logger(stream: Any) -> logging.Logger:
    """The logger whose lines the user reads in the job's log."""
    logger = logging.Logger("atelier.job", logging.INFO)
    handler = logging.StreamHandler(stream)
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    return logger


class ProgressPipe:
    """Sends progress to the nanny without ever blocking the program: at most every 0.1 s, latest wins."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._sent = 0.0
        self._held: dict[str, Any] | None = None
        os.set_blocking(descriptor, False)

    def report(self, step: float, total: float | None, message: str) -> None:
        """Called by Context.progress()."""
        self._held = clean_progress({"step": step, "total": total, "message": str(message)})
        if time.monotonic() - self._sent >= PROGRESS_STEP_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send what was held back."""
        if self._held is not None and self.send({"progress": self._held}):
            self._held = None
            self._sent = time.monotonic()

    def send(self, message: dict[str, Any]) -> bool:
        """Write one line; False when the pipe is full or gone."""
        try:
            os.write(self.descriptor, json.dumps(message, default=str).encode() + b"\n")
        except OSError:
            return False
        return True


def make_context(
    plan: SandboxPlan, folder: Path, log: logging.Logger, report: Callable[[float, float | None, str], None]
) -> Context:
    """What main() is given."""
    return Context(
        payload=plan.payload,
        inputs={name: Path(path) for name, path in plan.inputs.items()},
        folder=folder / "work",
        outputs=folder / OUTPUTS_NAME,
        log=log,
        report=report,
    )


def resolve(program: str) -> Callable[[Context], dict[str, Any] | None]:
    """Import "package.module:function". Raises ImportError or AttributeError."""
    module, _, name = program.partition(":")
    function: Callable[[Context], dict[str, Any] | None] = getattr(importlib.import_module(module), name)
    return function


def call(plan: SandboxPlan, context: Context, on_start: Callable[[], object]) -> dict[str, Any]:
    """Run the program; returns the report that belongs into the result file, whatever happens."""
    blame = "platform"
    try:
        main = resolve(plan.program)
        blame = plan.blame
        on_start()
        result = main(context)
        return {"ok": True, "result": clean_json(_plain(result or {}))}
    except UserError as error:
        context.log.error("%s", error.message)
        return _failure("user", error.code, error.message, error.detail)
    except AtelierError as error:
        context.log.error("%s", error.message)
        return _failure("user", error.code, error.message, error.detail)
    except MemoryError:
        context.log.error("Out of memory.")
        return _failure("user", "job.out_of_memory", "The program ran out of memory.", {})
    except SystemExit as error:
        return _after_exit(error, blame)
    except Exception as error:
        return _unexpected(error, blame, context.log)


def _plain(value: Any) -> Any:
    """Let numpy and pandas scalars pass as plain numbers, paths and the like as text."""
    return json.loads(json.dumps(value, default=lambda v: v.item() if hasattr(v, "item") else str(v)))


def _failure(blame: str, code: str, message: str, detail: dict[str, Any]) -> dict[str, Any]:
    return {
        "ok": False,
        "blame": blame,
        "code": code,
        "message": message,
        "detail": clean_json(_plain(detail)),
    }


def _after_exit(error: SystemExit, blame: str) -> dict[str, Any]:
    if error.code in (None, 0):
        return {"ok": True, "result": {}}
    said = error.code if isinstance(error.code, str) else f"The program ended with exit code {error.code}."
    return _failure(blame, "job.failed", str(said)[:2000], {})


def _unexpected(error: Exception, blame: str, log: logging.Logger) -> dict[str, Any]:
    text = "".join(traceback.format_exception(error))[-20_000:]
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        log.error("The disk is full.")
        return _failure("platform", "job.disk_full", "The disk of the worker is full.", {})
    if blame == "user":
        log.error("%s", text.rstrip())
        said = f"{type(error).__name__}: {error}".strip().removesuffix(":")
        return _failure("user", "job.failed", said[:2000], {})
    log.error(OUR_BUG)
    return _failure("platform", "job.internal", OUR_BUG, {"traceback": text})


def not_isolated(error: OSError) -> dict[str, Any]:
    """The report of a program that was not started, since it could not be shut in as it must be."""
    said = f"The worker could not isolate the job, so it was not started: {error.strerror or error}."
    return _failure("platform", "job.isolation", said, {})


def write_report(folder: Path, report: dict[str, Any], *, descriptor: int | None = None) -> None:
    """Write the result file: in one step, so that it is whole or absent, or through the descriptor of one that
    was opened for the program (what is cut off there counts as none)."""
    partial = folder / f"{RESULT_NAME}.part"
    text = json.dumps(report)
    if len(text) > MAX_RESULT_BYTES:
        said = (
            f"The result is larger than {MAX_RESULT_BYTES >> 20} MB; what is so large has to be written "
            "to a file."
        )
        text = json.dumps(_failure("user", "job.result_size", said, {}))
    if descriptor is not None:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        return
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, folder / RESULT_NAME)


def run_in_child(
    plan: SandboxPlan, folder: Path, progress_descriptor: int, *, result: int | None = None
) -> int:
    """Everything the child does once it is confined. Returns its exit code."""
    pipe = ProgressPipe(progress_descriptor)
    context = make_context(plan, folder, job_logger(sys.stderr), pipe.report)
    report = call(plan, context, lambda: pipe.send({"started": True}))
    pipe.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    write_report(folder, report, descriptor=result)
    return 0 if report["ok"] else 1
