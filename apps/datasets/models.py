"""Datasets, their versions, the parts that hold a version's rows, and its statistics."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.urls import reverse

from apps.accounts.models import NamedProjectObject, ProjectObject
from apps.datasets.states import VersionState
from apps.jobs.models import Job


class Dataset(NamedProjectObject):
    """A named table that grows by versions. last_number: the highest number ever given; none is used twice."""

    last_number = models.PositiveIntegerField(default=0, editable=False)

    class Meta(NamedProjectObject.Meta):
        ordering: ClassVar[list[str]] = ["name"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project", "-updated_at"], name="datasets_by_update"),
        ]

    def get_absolute_url(self) -> str:
        """The dataset's page."""
        return reverse("datasets:detail", args=[self.project.slug, self.name])


class DatasetVersion(ProjectObject):
    """One immutable state of a dataset: pending while its upload is read, then ready or failed.

    upload_*: the file as it was received (its bytes are kept until the version is ready, so that a failed
    reading can be tried again). digest: of the content, see sandbox.parts.CanonicalDigest. bytes: of all
    parts. schema: [{name, type, nullable}]. source: how the file was laid out. notes: sentences about what
    the reader decided. options: what the form asked of the reader.
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    description = models.TextField(blank=True, default="")
    state = models.CharField(max_length=12, choices=VersionState, default=VersionState.PENDING)
    job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    source_filename = models.CharField(max_length=200, blank=True, default="")
    upload_digest = models.CharField(max_length=64)
    upload_bytes = models.BigIntegerField()
    upload_key = models.CharField(max_length=300, blank=True, default="")
    options: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)

    digest = models.CharField(max_length=64, blank=True, default="")
    rows = models.BigIntegerField(null=True, blank=True)
    columns = models.IntegerField(null=True, blank=True)
    bytes = models.BigIntegerField(null=True, blank=True)
    schema: models.JSONField[Any, Any] = models.JSONField(default=list, blank=True)
    source: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    notes: models.JSONField[Any, Any] = models.JSONField(default=list, blank=True)
    ready_at = models.DateTimeField(null=True, blank=True)

    error_code = models.CharField(max_length=80, blank=True, default="")
    error_message = models.TextField(blank=True, default="")
    error_detail: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-number"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["dataset", "number"], name="dataset_version_once"),
            models.CheckConstraint(condition=Q(state__in=VersionState.values), name="dataset_version_state"),
            models.CheckConstraint(
                condition=~Q(state="ready") | (Q(rows__gt=0) & Q(columns__gt=0) & ~Q(digest="")),
                name="dataset_version_ready_is_whole",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project", "-created_at"], name="dataset_versions_by_project"),
            models.Index(fields=["dataset", "digest"], name="dataset_versions_by_digest"),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """How people write it: churn@2."""
        return f"{self.dataset.name}@{self.number}"

    @property
    def is_ready(self) -> bool:
        """Whether its rows can be used."""
        return self.state == VersionState.READY

    def get_absolute_url(self) -> str:
        """The version's page."""
        return reverse("datasets:version", args=[self.project.slug, self.dataset.name, self.number])

    def local_parts(self) -> dict[str, str]:
        """The Parquet parts as inputs of a sandbox: name -> local path; sorted names are in the order of rows."""
        from adapters.storage import get_store

        store = get_store()
        return {f"part-{part.position:05d}": str(store.local(part.key)) for part in self.parts.all()}


class VersionPart(models.Model):
    """One Parquet file of a version. The key is content-addressed within the team, so versions may share it;
    counting these rows is the reference count of the bytes."""

    version = models.ForeignKey(DatasetVersion, on_delete=models.CASCADE, related_name="parts")
    position = models.PositiveIntegerField()
    key = models.CharField(max_length=300)
    rows = models.BigIntegerField()
    bytes = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)

    class Meta:
        ordering: ClassVar[list[str]] = ["position"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["version", "position"], name="version_part_once"),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["key"], name="version_part_key")]

    def __str__(self) -> str:
        return f"part {self.position} of {self.version_id}"


class VersionProfile(models.Model):
    """What the rows of a ready version look like. columns: the profiles of sandbox.profile, in the order of the
    schema; preview: {columns, rows}, the first rows."""

    version = models.OneToOneField(
        DatasetVersion, on_delete=models.CASCADE, related_name="profile", primary_key=True
    )
    columns: models.JSONField[Any, Any] = models.JSONField(default=list)
    preview: models.JSONField[Any, Any] = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"profile of {self.version_id}"
