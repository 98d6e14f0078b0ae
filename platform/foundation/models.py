"""Abstract model bases: UUIDv7 keys, time stamps, trash. No tables of their own."""

from __future__ import annotations

from typing import Any, Self

from django.db import models
from django.db.models.functions import Now

from foundation.clock import now
from foundation.ids import uuid7


class TrashQuerySet(models.QuerySet[Any]):
    """Queries over rows that can be moved to the trash."""

    def alive(self) -> Self:
        """Rows that are not in the trash."""
        return self.filter(deleted_at__isnull=True)

    def trashed(self) -> Self:
        """Rows in the trash."""
        return self.filter(deleted_at__isnull=False)


class Identified(models.Model):
    """A row with a UUIDv7 primary key, ordered by creation."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)

    class Meta:
        abstract = True


class Stamped(Identified):
    """With created_at and updated_at (the database's clock on insert, ours on save)."""

    created_at = models.DateTimeField(default=now, db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, editable=False)

    class Meta:
        abstract = True


class Trashable(models.Model):
    """Deletion is a time stamp first: trash, restore, later purge."""

    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        abstract = True
