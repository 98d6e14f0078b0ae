"""The fault suite's kinds of jobs, and the points at which a process kills itself.

spec: {"steps", "pause", "crash": a point, "knock": whether the child calls the studio with its token}. Each job
crashes once at its point, remembered by a file that outlives the process. A success leaves exactly one row in
`faults_effect`, written in the fenced transaction, and one file under a key that carries the fence.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

from django.db import connection

from apps.jobs import attempts, tokens
from apps.jobs.handlers import JobContext, handles
from apps.jobs.models import Job
from foundation.tasks import SandboxPlan
from tests.faults.ledger import note

FOLDER = "ATELIER_FAULTS_FOLDER"  # of the ledger, the artefacts and the memory of crashes
#: In the handler and around the claim and the end: where a worker may die.
HANDLER_POINTS = ("prepare", "started", "collect", "complete")
ENGINE_POINTS = ("claimed", "finishing", "finished")
TABLE = """create table if not exists faults_effect (
    id bigserial primary key, job_id uuid not null, fence int not null, key text not null, sha256 text not null)"""


def folder() -> Path:
    """Where everything outside the platform lies."""
    return Path(os.environ[FOLDER])


def ledger() -> Path:
    """The ledger's file."""
    return folder() / "ledger"


def crash_at(job: Job, point: str) -> None:
    """SIGKILL for this process when the job asks for it at this point, once."""
    if job.spec.get("crash") != point:
        return
    try:
        os.close(os.open(folder() / f"crash-{job.pk}-{point}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    note(ledger(), "crash", job=str(job.pk), fence=job.fence, point=point)
    os.kill(os.getpid(), signal.SIGKILL)


class _Work:
    def started(self, job: Job) -> None:
        crash_at(job, "started")

    def collect(self, job: Job, result: dict[str, Any], files: Path) -> dict[str, Any]:
        key = f"made/{job.pk}/{job.fence}"
        target = folder() / key
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files / "made.txt", target)
        crash_at(job, "collect")
        return {**result, "key": key}

    def complete(self, job: Job, result: dict[str, Any], files: Path) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "insert into faults_effect (job_id, fence, key, sha256) values (%s, %s, %s, %s)",
                [job.pk, job.fence, result["key"], result["sha256"]],
            )
        crash_at(job, "complete")


class Sandboxed(_Work):
    """In a child."""

    def prepare(self, job: Job) -> SandboxPlan:
        crash_at(job, "prepare")
        payload = {
            "ledger": str(ledger()),
            "job": str(job.pk),
            "fence": job.fence,
            "steps": job.spec.get("steps", 1),
            "pause": job.spec.get("pause", 0.0),
            "size": job.spec.get("size", 0),
        }
        if job.spec.get("knock"):
            payload |= {"token": tokens.issue(job), "url": os.environ["ATELIER_FAULTS_KNOCK"]}
        return SandboxPlan(program="tests.faults.programs:work", payload=payload)


class InWorker(_Work):
    """In the worker itself."""

    def run(self, ctx: JobContext) -> dict[str, Any]:
        job, spec = ctx.job, ctx.job.spec
        note(ledger(), "begin", job=str(job.pk), fence=job.fence)
        for step in range(spec.get("steps", 1)):
            ctx.progress(step, spec.get("steps", 1), "working")
            _rest(ctx, spec.get("pause", 0.0))
        content = f"{job.pk} by {job.fence}\n".encode()
        (ctx.files / "made.txt").write_bytes(content)
        note(ledger(), "end", job=str(job.pk), fence=job.fence)
        return {"fence": job.fence, "sha256": hashlib.sha256(content).hexdigest()}


def _rest(ctx: JobContext, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ctx.check_cancelled()
        time.sleep(0.02)


def register() -> None:
    """Make the kinds known to this process, and let it die at the engine's own points, too."""
    handles("fault.sandbox", where="sandbox")(Sandboxed)
    handles("fault.platform", where="platform")(InWorker)
    claim, finish = attempts.claim, attempts.finish

    def claim_and_die(**named: Any) -> Job | None:
        job = claim(**named)
        if job is not None:
            crash_at(job, "claimed")
        return job

    def finish_and_die(**named: Any) -> Job | None:
        _at(named["job_id"], "finishing")
        job = finish(**named)
        if job is not None and job.is_terminal:
            crash_at(job, "finished")
        return job

    attempts.claim = claim_and_die
    attempts.finish = finish_and_die


def _at(job_id: Any, point: str) -> None:
    job = Job.objects.filter(pk=job_id).first()
    if job is not None:
        crash_at(job, point)
