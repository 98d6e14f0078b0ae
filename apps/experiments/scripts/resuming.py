"""Going on from the checkpoint of an earlier run."""

from __future__ import annotations

from apps.experiments.models import Run
from apps.jobs.checkpoints.models import JobCheckpoint
from apps.jobs.models import Job
from foundation.errors import Invalid


def gone(run: str) -> Invalid:
    """The error where a run has no checkpoint to go on from."""
    return Invalid(
        "run.no_checkpoint",
        "That run has no checkpoint: it has written none, or it ended more than a week ago.",
        {"field": "resume", "run": run[:60]},
    )


def check_resume(run: Run) -> str:
    """The id of a run whose checkpoint can be taken. Raises Invalid "run.no_checkpoint"."""
    if run.job is None or not JobCheckpoint.objects.filter(job=run.job).exists():
        raise gone(run.hex)
    return run.hex


def checkpoint_of(run: Run) -> JobCheckpoint | None:
    """What is kept of a run, or None."""
    return JobCheckpoint.objects.filter(job=run.job_id).first() if run.job_id and run.code_digest else None


def told_checkpoint(job: Job, found: JobCheckpoint | None) -> str:
    """What the log says about where an attempt begins; "" when it begins anew."""
    if found is None:
        return ""
    files = "one file" if len(found.files) == 1 else f"{len(found.files):,} files"
    whose = f"attempt {found.fence}" if found.job_id == job.pk else "the run that this one goes on from"
    return f"Goes on from the checkpoint of {whose}: {files}, {found.bytes:,} bytes."
