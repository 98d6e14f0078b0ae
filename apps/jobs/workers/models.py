"""What a worker on another machine shows of a log while its attempt runs."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now


class LogPiece(models.Model):
    """A piece of the log of a running attempt whose folder the web process cannot read.

    offset: bytes of the log before it; the pieces of one attempt follow each other without a gap. They are removed
    when the attempt has ended and its whole log lies in the object store. No foreign key: a piece may come late.
    """

    id = models.BigAutoField(primary_key=True)
    job_id = models.UUIDField()
    fence = models.IntegerField()
    offset = models.BigIntegerField()
    data = models.BinaryField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["job_id", "fence", "offset"], name="jobs_log_piece_once"),
        ]

    def __str__(self) -> str:
        return f"{len(self.data)} bytes at {self.offset} of {self.job_id}/{self.fence}"
