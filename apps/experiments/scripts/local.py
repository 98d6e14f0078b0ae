"""Running a script from the terminal under the training contract: no queue, no database, the same sandbox."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
import time
import uuid
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from adapters.executors.local import LocalExecutor
from adapters.executors.protocol import LOG_NAME, OUTPUTS_NAME, Cause, Exit, Handle, Report
from apps.experiments.sandbox.script_contract import CHECKPOINTS_NAME
from apps.experiments.sandbox.script_local import RUNS
from apps.experiments.scripts.checking import CODE_BYTES, Code
from apps.experiments.scripts.handler import PROCESSES
from apps.experiments.scripts.intake import read_upload
from apps.experiments.scripts.received import Received
from apps.experiments.scripts.spec import DISK_BYTES, check_channels, read_parameters
from apps.experiments.scripts.variables import read_variables
from foundation.errors import AtelierError, Invalid
from foundation.tasks import SandboxPlan

LOOK_SECONDS = 0.1
GRACE_SECONDS = 10.0
PIECE = 64 * 1024
TIMED_OUT, INTERRUPTED, REFUSED = 124, 130, 2


@dataclass(frozen=True)
class LocalRun:
    """What is to run. code: a file, an archive or a folder; inputs: channel -> file or folder; environment: a
    requirements file; resume: a folder of checkpoints; output: a folder that does not exist yet."""

    code: Path
    output: Path
    entry_point: str = ""
    inputs: Mapping[str, Path] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    environment: Path | None = None
    resume: Path | None = None
    timeout: int | None = None


@dataclass(frozen=True)
class Ended:
    """How it ended. code: the exit code of the command; sentence: why, "" for success; output: what it left."""

    code: int
    sentence: str
    output: Path


def run_local(wanted: LocalRun, out: TextIO) -> Ended:
    """Run it to its end, its log on `out` as it grows. Raises AtelierError for what cannot be started."""
    if wanted.output.exists():
        raise Invalid("local.output", f"{wanted.output} exists already: name a folder that does not.")
    code = read_code(wanted.code, wanted.entry_point)
    with tempfile.TemporaryDirectory(prefix="atelier-local-") as scratch:
        folder = Path(scratch)
        plan = make_plan(wanted, code, folder)
        executor = LocalExecutor(warm=False)
        try:
            if wanted.environment is not None:
                plan = in_environment(plan, executor, wanted.environment, folder, out)
            attempt = folder / "attempt"
            with attending(executor.start(plan, attempt), attempt / LOG_NAME, out) as (end, report):
                ended = told(end, report, wanted)
        finally:
            executor.close()
        outputs = attempt / OUTPUTS_NAME
        outputs.mkdir(exist_ok=True)
        shutil.copyfile(attempt / LOG_NAME, outputs / LOG_NAME)
        wanted.output.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(outputs, wanted.output)
    return ended


def read_code(path: Path, entry_point: str) -> Code:
    """The script, the archive or all files of the folder, checked as an upload would be."""
    if not path.exists():
        raise Invalid("local.missing", f"There is no file or folder {path}.")
    if path.is_dir():
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files_below(path):
                archive.write(file, file.relative_to(path).as_posix())
        return read_upload(Received("folder.zip", packed.getvalue()), entry_point)
    with path.open("rb") as opened:
        head = opened.read(CODE_BYTES + 1)
    return read_upload(Received(path.name, head, path=path), entry_point)


def files_below(folder: Path) -> Iterator[Path]:
    """The regular files below a folder, without links and without what begins with a dot."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(n for n in folders if not n.startswith(".") and n != "__pycache__")
        for name in sorted(names):
            path = Path(place, name)
            if not name.startswith(".") and path.is_file() and not path.is_symlink():
                yield path


def make_plan(wanted: LocalRun, code: Code, folder: Path) -> SandboxPlan:
    """The same plan as the job of a script has, with inputs as they lie on the disk."""
    stored = folder / ("code.zip" if code.source else "code.py")
    stored.write_bytes(code.data)
    inputs = {"code": str(stored)}
    check_channels(wanted.inputs)
    for channel, path in wanted.inputs.items():
        inputs |= {f"{channel}/{name}": str(file) for name, file in input_files(channel, path)}
    places: list[dict[str, str]] = []
    if wanted.resume is not None:
        if not wanted.resume.is_dir():
            raise Invalid("local.missing", f"There is no folder {wanted.resume} of checkpoints.")
        for number, file in enumerate(files_below(wanted.resume)):
            inputs[f"checkpoint/{number}"] = str(file.absolute())
            places.append(
                {"path": file.relative_to(wanted.resume).as_posix(), "input": f"checkpoint/{number}"}
            )
    variables = read_variables(dict(wanted.variables))
    return SandboxPlan(
        program="apps.experiments.sandbox.script_local:main",
        payload={
            "run_id": uuid.uuid4().hex,
            "project": "local",
            "script": code.name,
            "packed": bool(code.source),
            "root": code.source.get("root", ""),
            "parameters": read_parameters(dict(wanted.parameters)),
            "variables": {"MLFLOW_ALLOW_FILE_STORE": "true", **variables},
            "channels": [{"name": name, "format": "files"} for name in wanted.inputs],
            "checkpoint": places,
            "checkpoint_told": f"Goes on from {wanted.resume}." if places else "",
        },
        inputs=inputs,
        env={
            "MLFLOW_TRACKING_URI": (folder / "attempt" / "work" / RUNS).as_uri(),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
        },
        wall_seconds=wanted.timeout,
        disk_bytes=DISK_BYTES + sum(Path(path).stat().st_size for path in inputs.values()),
        processes=PROCESSES,
        checkpoint=CHECKPOINTS_NAME,
        warm=False,
    )


def input_files(channel: str, path: Path) -> list[tuple[str, Path]]:
    """[(name in the folder of the channel, file)] of what was given for it."""
    if path.is_dir():
        found = [(file.relative_to(path).as_posix(), file.absolute()) for file in files_below(path)]
        if not found:
            raise Invalid("local.missing", f"The folder {path} of the channel '{channel}' holds no file.")
        return found
    if not path.is_file():
        raise Invalid("local.missing", f"There is no file or folder {path} for the channel '{channel}'.")
    return [(path.name, path.absolute())]


@contextmanager
def attending(handle: Handle, log: Path, out: TextIO) -> Iterator[tuple[Exit, Report | None]]:
    """Show the log of a program until its end; Ctrl-C asks it to end, a second time it is killed."""
    shown, asked = 0, 0
    try:
        end: Exit | None = None
        while end is None:
            try:
                end = handle.poll(LOOK_SECONDS)
                shown = show(log, shown, out)
            except KeyboardInterrupt:
                asked += 1
                handle.terminate(GRACE_SECONDS) if asked == 1 else handle.kill()
        show(log, shown, out)
        yield end, handle.report()
    finally:
        handle.close()


def show(log: Path, offset: int, out: TextIO) -> int:
    """Print what is new in a log; returns how far it was read."""
    if not log.exists():
        return offset
    with log.open("rb") as file:
        file.seek(offset)
        while piece := file.read(PIECE):
            offset += len(piece)
            out.write(piece.decode("utf-8", "replace"))
    out.flush()
    return offset


def told(end: Exit, report: Report | None, wanted: LocalRun) -> Ended:
    """The exit code of the command and the reason."""
    if end.cause == Cause.WALL:
        return Ended(TIMED_OUT, f"Stopped after {wanted.timeout} s, the time it was given.", wanted.output)
    if end.cause == Cause.STOPPED:
        return Ended(INTERRUPTED, "Stopped.", wanted.output)
    if report is not None and report.ok:
        return Ended(0, "", wanted.output)
    if report is not None:
        code = report.detail.get("exit_code")
        return Ended(code if isinstance(code, int) and 0 < code < 256 else 1, report.message, wanted.output)
    limit = {Cause.MEMORY: "memory", Cause.DISK: "files", Cause.PROCESSES: "processes"}.get(end.cause)
    why = f"it used more {limit} than it may" if limit else f"it was killed by signal {end.signal}"
    return Ended(1, f"Ended without a result: {why}.", wanted.output)


def in_environment(
    plan: SandboxPlan, executor: LocalExecutor, requirements: Path, folder: Path, out: TextIO
) -> SandboxPlan:
    """The plan with the Python of an environment, which is built once and kept for the next time."""
    from apps.environments.building import build_plan, read_build
    from apps.environments.requirements import parse_requirements, request_digest
    from runtime.config import load

    if not requirements.is_file():
        raise Invalid("local.missing", f"There is no file {requirements} of requirements.")
    checked = parse_requirements(requirements.read_text(encoding="utf-8", errors="replace"))
    place = Path(load().home) / "local" / "environments" / request_digest(checked)
    interpreter = place / "bin" / "python"
    if not interpreter.exists():
        out.write(f"Building the environment of {requirements} …\n")
        place.parent.mkdir(parents=True, exist_ok=True)  # the home may not exist: there need be no studio
        build = build_plan(
            requirements=checked.text, hashes={name: list(found) for name, found in checked.hashes.items()}
        )
        build = replace(build, payload={**build.payload, "folder": str(place)}, warm=False)
        attempt = folder / "build"
        with attending(executor.start(build, attempt), attempt / LOG_NAME, out) as (_, report):
            made, why = read_build(report, attempt)
        if made is None:
            raise Invalid("environment.failed", f"The environment cannot be built: {why}")
        shutil.rmtree(place, ignore_errors=True)
        shutil.move(made, place)
    payload = {**plan.payload, "interpreter": str(interpreter), "packages": f"in {requirements.name}"}
    return replace(plan, payload=payload, interpreter=str(interpreter))


def free_folder(base: Path) -> Path:
    """The first of local-run-1, local-run-2 … that does not exist."""
    number = 1
    while (base / f"local-run-{number}").exists():
        number += 1
    return base / f"local-run-{number}"


def pairs(given: Sequence[str], what: str) -> dict[str, str]:
    """NAME=VALUE arguments by name. Raises Invalid for one without a name, or that comes twice."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise Invalid("local.argument", f"--{what} takes NAME=VALUE, not '{text[:100]}'.")
        if name in found:
            raise Invalid("local.argument", f"--{what} names '{name[:60]}' twice.")
        found[name] = value
    return found


def summary(ended: Ended, began: float) -> list[str]:
    """The last lines that the command prints."""
    seconds = time.monotonic() - began
    how = "Succeeded" if ended.code == 0 else f"Failed (exit code {ended.code})"
    lines = [f"{how} after {seconds:.1f} s.{' ' + ended.sentence if ended.sentence else ''}"]
    lines += [f"  {name} = {value:g}" for name, value in metrics_below(ended.output / RUNS)]
    left = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in ended.output.iterdir())
    return [*lines, f"It left {', '.join(left)} in {ended.output}."]


def metrics_below(runs: Path) -> list[tuple[str, float]]:
    """The last value of each metric that the script has logged with MLflow, of the first run that has any."""
    for folder in sorted(runs.glob("*/*/metrics"), key=lambda place: place.stat().st_mtime):
        found = []
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            try:
                found.append((file.relative_to(folder).as_posix(), float(file.read_text().split()[-2])))
            except (ValueError, IndexError, OSError):
                continue
        if found:
            return found[:40]
    return []


def print_error(error: AtelierError) -> None:
    """What could not be started, on the terminal."""
    print(f"Atelier: {error.message}", file=sys.stderr)
