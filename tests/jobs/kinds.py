"""Job kinds of the tests, with a ledger of what the engine called. Registered by the fixture `ledger`."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from apps.jobs.handlers import JobContext, handles
from apps.jobs.models import Job
from foundation.errors import Invalid, Unavailable
from foundation.tasks import SandboxPlan

PROGRAMS = "tests.jobs.programs"
LEDGER: dict[str, list[Any]] = defaultdict(list)


class Sandboxed:
    """spec: {"program", "plan": {...}, "refuse": "prepare"/"collect"/"complete", "bug": ...}."""

    def _mischief(self, job: Job, step: str) -> None:
        LEDGER[step].append((job.pk, job.fence, job.state))
        if job.spec.get("refuse") == step:
            raise Invalid("test.refused", f"Refused in {step}.", {"step": step})
        if job.spec.get("down") == step:
            raise Unavailable("test.down", f"The component of {step} does not answer.")
        if job.spec.get("bug") == step:
            raise RuntimeError(f"bug in {step}")

    def prepare(self, job: Job) -> SandboxPlan:
        self._mischief(job, "prepare")
        return SandboxPlan(
            program=f"{job.spec.get('module', PROGRAMS)}:{job.spec.get('program', 'echo')}",
            **job.spec.get("plan", {}),
        )

    def started(self, job: Job) -> None:
        self._mischief(job, "started")

    def collect(self, job: Job, result: dict[str, Any], files: Path) -> dict[str, Any]:
        self._mischief(job, "collect")
        return {**result, "files": sorted(path.name for path in files.iterdir())}

    def complete(self, job: Job, result: dict[str, Any], files: Path) -> None:
        self._mischief(job, "complete")

    def ended(self, job: Job) -> None:
        self._mischief(job, "ended")


class Platform:
    """spec: {"steps": how many progress reports, "pause": seconds between, "refuse": true, "bug": true}."""

    def run(self, ctx: JobContext) -> dict[str, Any]:
        LEDGER["run"].append(ctx.job.pk)
        ctx.log.info("platform work begins")
        if ctx.job.spec.get("refuse"):
            raise Invalid("test.refused", "Refused in run.")
        if ctx.job.spec.get("bug"):
            raise RuntimeError("bug in run")
        for step in range(ctx.job.spec.get("steps", 1)):
            ctx.progress(step, ctx.job.spec.get("steps", 1), "step")
            time.sleep(ctx.job.spec.get("pause", 0.0))
        (ctx.files / "made.txt").write_text("made")
        return {"done": True}

    def ended(self, job: Job) -> None:
        LEDGER["ended"].append((job.pk, job.fence, job.state))


def register() -> None:
    """Make the kinds known to this process."""
    handles("test.sandbox", where="sandbox")(Sandboxed)
    handles("test.platform", where="platform")(Platform)
