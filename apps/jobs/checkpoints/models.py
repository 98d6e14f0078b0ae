"""The checkpoint of a job: the files of its folder as they were last kept, whole."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models.functions import Now


class JobCheckpoint(models.Model):
    """fence: the attempt that wrote it; files: [{"path", "size", "sha256"}], of which the bytes lie in the object
    store; bytes: of all files."""

    job = models.OneToOneField(
        "jobs.Job", on_delete=models.CASCADE, primary_key=True, related_name="checkpoint"
    )
    fence = models.IntegerField()
    files: models.JSONField[Any, Any] = models.JSONField(default=list)
    bytes = models.BigIntegerField(default=0)
    saved_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "checkpoint"
        ordering: ClassVar[list[str]] = ["-saved_at"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["saved_at"], name="jobs_checkpoint_age")
        ]

    def __str__(self) -> str:
        return f"checkpoint of {self.job_id}"
