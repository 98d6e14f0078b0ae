"""The program that runs somebody's own script as an MLflow run: lay out, run, watch, judge, keep.

Payload: run_id, project, script (its path), packed (whether the code is a zip of files), root (the folder in it
that holds them), parameters, variables, channels [{name, format, header}]. Inputs: "code", and the Parquet parts of
each channel as "<channel>/part-00000". The answer is what the run's row keeps: model, files, left_out, model_files,
environment.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.tracking import saved_file
from adapters.tracking.client import OutputLog, run_log
from apps.experiments.sandbox import environment
from apps.experiments.sandbox.script_channels import lay_out, restore
from apps.experiments.sandbox.script_child import run_forked
from apps.experiments.sandbox.script_contract import (
    Folders,
    arguments,
    read_last_line,
    read_text,
    variables,
    write_config,
)
from apps.experiments.sandbox.script_main import ANSWER_BYTES
from apps.experiments.sandbox.script_outputs import keep
from apps.experiments.sandbox.unpacking import unpack
from foundation.tasks import Context, UserError

LOOK_SECONDS = 0.2
HINTS = {"ModuleNotFoundError": " A script has the packages that the studio itself uses."}
FAILURE_BYTES = 2000
FRAME = ("file", "line", "function", "text")


@dataclass(frozen=True)
class End:
    """How a script ended. told: what it said about an exception or a text it exited with."""

    code: int | None
    signal: int | None
    memory: int
    told: dict[str, Any]
    stopped: bool


def main(ctx: Context) -> dict[str, Any]:
    """Run the script and keep what it left, through the stock MLflow client."""
    return run(ctx, lambda: run_log(str(ctx.payload["run_id"])))


def run(ctx: Context, open_log: Callable[[], OutputLog]) -> dict[str, Any]:
    """Run the script; keep its files also when it failed. Raises UserError where it did."""
    folders = Folders(ctx.folder)
    folders.make()
    name = str(ctx.payload["script"])
    base = folders.code / str(ctx.payload.get("root") or "")
    script = base / name
    if ctx.payload.get("packed"):
        ctx.log.info("Unpacked %s files of code.", f"{unpack(ctx.inputs['code'], folders.code):,}")
    else:
        shutil.copyfile(ctx.inputs["code"], script)
    restore(ctx, folders)
    parameters: dict[str, Any] = ctx.payload["parameters"]
    channels = {str(c["name"]): str(c["format"]) for c in ctx.payload["channels"]}
    ctx.progress(0, None, "Laying out the inputs")
    lay_out(
        ctx, folders, channels, [str(c["name"]) for c in ctx.payload["channels"] if not c.get("header", True)]
    )
    write_config(folders, parameters, channels)
    ctx.progress(0, None, f"Running {name}")
    contract = variables(
        folders,
        script=name,
        parameters=parameters,
        channels=channels,
        run_id=str(ctx.payload["run_id"]),
        project=str(ctx.payload["project"]),
        processors=environment.processors(),
    )
    given = {**ctx.payload.get("variables", {}), **contract, "SM_MODULE_DIR": str(base)}
    interpreter = str(ctx.payload.get("interpreter") or "")
    end = _watch(ctx, folders, script, base, arguments(parameters), given)
    if interpreter and end.told.get("type") == "ModuleNotFoundError":
        end.told["hint"] = f" Add it to the requirements of the environment {ctx.payload.get('packages')}."
    if end.stopped:
        raise UserError("The script was stopped.", code="script.stopped")
    if end.code == 0:
        ctx.progress(1, 1, "Keeping what it wrote")
        kept = keep(
            ctx, folders, open_log, wrap=lambda file: _wrap(ctx, folders, base, file, list(channels), given)
        )
        return {**kept, "environment": environment.describe(interpreter)}
    problem = judge(end, name, read_text(folders.failure, FAILURE_BYTES))
    if not (isinstance(problem, UserError) and problem.code == "job.disk_limit"):
        keep(ctx, folders, open_log, failed=True)
    raise problem


def _wrap(
    ctx: Context, folders: Folders, base: Path, file: Path, channels: list[str], given: dict[str, str]
) -> Path | None:
    """Let a process like the script's own make an MLflow model of a file: loading it runs what it holds."""
    place = folders.root / "wrapping"
    place.mkdir()
    program, made = place / "wrapper.py", place / "model"
    shutil.copyfile(Path(saved_file.__file__), program)
    places = [str(folders.channel(name)) for name in channels]
    end = _watch(ctx, folders, program, place, [str(file), str(made), str(base), *places], given)
    if end.stopped:
        raise UserError("The script was stopped.", code="script.stopped")
    return made if (made / "MLmodel").is_file() else None


def _watch(
    ctx: Context, folders: Folders, script: Path, base: Path, argv: list[str], given: dict[str, str]
) -> End:
    """Fork the script and follow it to its end."""
    stopped = [False]

    def stop(number: int, frame: Any) -> None:
        stopped[0] = True  # the script has got the same signal: it may end in its own way

    before = signal.signal(signal.SIGTERM, stop)
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    me = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(reading)
        run_forked(
            script,
            base=base,
            work=folders.root,
            arguments=argv,
            variables=given,
            answer=writing,
            parent=me,
            interpreter=str(ctx.payload.get("interpreter") or ""),
        )
    os.close(writing)
    told, said, listening = b"", "", True
    with os.fdopen(reading, "rb", buffering=0) as answer:
        while True:
            if select.select([answer] if listening else [], [], [], LOOK_SECONDS if listening else 0.05)[0]:
                piece = answer.read(ANSWER_BYTES) or b""
                told, listening = (told + piece)[: 2 * ANSWER_BYTES], bool(piece)
            pid, status, used = os.wait4(child, os.WNOHANG)
            said = _progress(ctx, folders, said)
            if pid:
                break
    _end_session(child)
    signal.signal(signal.SIGTERM, before)
    return End(
        code=os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
        memory=used.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        told=_read(told),
        stopped=stopped[0],
    )


def _end_session(child: int) -> None:
    """What a script leaves in its session does not write into the folders that are kept now."""
    try:
        os.killpg(child, signal.SIGKILL)
    except OSError:
        return


def _progress(ctx: Context, folders: Folders, said: str) -> str:
    """Pass on what the script says of its progress, once for each new line."""
    line = read_last_line(folders.progress)
    if not line or line == said:
        return said
    try:
        news = json.loads(line)
    except (ValueError, RecursionError):
        return line
    if isinstance(news, dict):
        ctx.report(news.get("step"), news.get("total"), str(news.get("message") or ""))  # type: ignore[arg-type]
    return line


def _read(told: bytes) -> dict[str, Any]:
    try:
        content = json.loads(told) if told else {}
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def judge(end: End, name: str, failure: str = "") -> UserError | OSError:
    """Why a script did not end well, as the error that ends the job. failure: its own words, if it left any."""
    lead = f"{failure} " if failure else ""
    told = end.told
    if end.signal == signal.SIGKILL:
        return UserError(
            f"{lead}The script was killed after it had used {end.memory / 1e9:.1f} GB of memory; the machine "
            "may have run out of it.",
            code="script.killed",
        )
    if end.signal is not None:
        what = (signal.strsignal(end.signal) or f"signal {end.signal}").lower()
        return UserError(f"{lead}The script crashed: {what}.", code="script.crashed")
    kind = told.get("kind")
    if kind == "disk":
        import errno

        return OSError(errno.ENOSPC, "the disk is full")
    if kind == "memory":
        return UserError(f"{lead}The script ran out of memory{_place(told, name)}.", code="job.out_of_memory")
    if kind == "exit":
        return UserError(lead + str(told.get("message", ""))[:2000], code="script.exit_code")
    if kind == "exception":
        return _exception(told, name, lead)
    return UserError(
        f"{lead}The script ended with code {end.code}; the end of its log tells more.",
        code="script.exit_code",
        detail={"exit_code": end.code},
    )


def _exception(told: dict[str, Any], name: str, lead: str) -> UserError:
    if told.get("too_large"):
        return UserError(
            f"{lead}Stopped: the script wrote more than the {_disk_limit():.1f} GB of files that it may"
            f"{_place(told, name)}.",
            code="job.disk_limit",
        )
    lines = str(told.get("message") or "").strip().splitlines() or [""]  # the others stand in the log
    said = f"{told.get('type')}: {lines[0].rstrip('.')}".removesuffix(": ")
    more = str(told.get("hint") or HINTS.get(str(told.get("type")), ""))
    if "skops_trusted_types" in lines[0]:
        more = ' Give log_model or save_model serialization_format="cloudpickle".'
    frames = [frame for frame in told.get("frames") or () if isinstance(frame, dict)]
    return UserError(
        f"{lead}{said}{_place(told, name)}.{more}",
        code="script.failed",
        detail={"frames": [{k: frame.get(k) for k in FRAME} for frame in frames]},
    )


def _disk_limit() -> float:
    """The size that no file of this process exceeds, in GB."""
    import resource

    return resource.getrlimit(resource.RLIMIT_FSIZE)[0] / 1e9


def _place(told: dict[str, Any], name: str) -> str:
    frames = told.get("frames") or []
    if not frames or not isinstance(frames[-1], dict):
        return ""
    last = frames[-1]
    inside = f", in {last['function']}" if last.get("function") not in (None, "<module>") else ""
    return f" ({last.get('file') or name}, line {last.get('line')}{inside})"
