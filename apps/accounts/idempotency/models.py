"""The first answers to requests that carried an Idempotency-Key."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class KeyedAnswer(models.Model):
    """The answer to one key at one address for one caller, for 24 hours.

    slot: digest of caller, address and key; request: digest of what was asked, keyed with the studio's secret,
    since a body may hold a password; body: encrypted, since an answer may hold a token's secret.
    """

    slot = models.CharField(max_length=64, primary_key=True)
    request = models.CharField(max_length=64)
    status = models.SmallIntegerField()
    headers = models.JSONField(default=dict)
    body = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        verbose_name = "keyed answer"

    def __str__(self) -> str:
        return f"{self.status} of {self.created_at}"
