"""Deployments, their revisions, the index of recorded inferences, labels, and imports of past events."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.accounts.models import NamedProjectObject
from apps.deployments.states import DeploymentState, ImportState, Origin, RevisionState, Wanted
from foundation.clock import now
from foundation.ids import uuid7
from foundation.models import Stamped
from foundation.partitions import register_monthly

register_monthly("deployments_inferencesegment", "start")


class Deployment(NamedProjectObject):
    """An address that answers with a model. `current` is the revision that the gateway routes to.

    model_ref is what was asked for: "churn@production" follows the alias, "churn/3" stays.
    """

    model_ref = models.CharField(max_length=520)
    model_name = models.CharField(max_length=256)
    alias = models.CharField(
        max_length=255, blank=True, default="", help_text="The alias it follows, if any."
    )
    wanted = models.CharField(max_length=8, choices=Wanted, default=Wanted.RUNNING)
    state = models.CharField(max_length=10, choices=DeploymentState, default=DeploymentState.STARTING)
    reason = models.TextField(blank=True, default="")
    current = models.ForeignKey(
        "Revision", on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    restarts = models.IntegerField(default=0, help_text="Crashes since it was last started by a person.")
    state_changed_at = models.DateTimeField(db_default=Now())

    class Meta(NamedProjectObject.Meta):
        ordering: ClassVar[list[str]] = ["name"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project", "-created_at"], name="deployment_by_project"),
        ]

    @property
    def predict_path(self) -> str:
        """Path of the prediction address."""
        return f"/serve/{self.project.slug}/{self.name}/predict"

    @property
    def is_moving(self) -> bool:
        """Whether the state is about to change by itself."""
        return self.state in (DeploymentState.STARTING, DeploymentState.STOPPING)

    @property
    def is_running(self) -> bool:
        """Whether people want it to run."""
        return self.wanted == Wanted.RUNNING


class Revision(Stamped):
    """One model version of a deployment, built into a Bento. Numbers count up from 1 within the deployment.

    bundle: columns, tensor, task, classes, golden rows and answer, the Bento's tag; bento_prefix: where the
    Bento's files lie in the object store; socket: path of the model process while it answers.
    """

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="revisions")
    number = models.IntegerField()
    model_name = models.CharField(max_length=256)
    model_version = models.IntegerField()
    model_version_id = models.UUIDField()
    state = models.CharField(max_length=10, choices=RevisionState, default=RevisionState.BUILDING)
    reason = models.TextField(blank=True, default="")
    job_id = models.UUIDField(null=True, blank=True)
    bento_prefix = models.CharField(max_length=300, blank=True, default="")
    bundle: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    socket = models.CharField(max_length=108, blank=True, default="")
    pid = models.IntegerField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    ready_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-number"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["deployment", "number"], name="revision_number_once"),
        ]

    def __str__(self) -> str:
        return f"{self.deployment} revision {self.number} ({self.model_label})"

    @property
    def model_label(self) -> str:
        """As answers name it: "churn/3"."""
        return f"{self.model_name}/{self.model_version}"


class InferenceSegment(models.Model):
    """The index row of one Parquet file of inferences; partitioned by month on `start`.

    The id of a sealed spool file is the file's own name, so sealing twice makes one row. start and end are
    the times of its first and last inference (both inclusive).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="segments")
    revision = models.IntegerField(default=0, help_text="Number of the revision; 0 for imported events.")
    origin = models.CharField(max_length=8, choices=Origin, default=Origin.PREDICT)
    import_id = models.UUIDField(null=True, blank=True)
    key = models.CharField(max_length=300)
    rows = models.IntegerField()
    bytes = models.BigIntegerField()
    start = models.DateTimeField()
    end = models.DateTimeField()
    created_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        ordering: ClassVar[list[str]] = ["-end"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["deployment", "-end"], name="segment_by_end"),
            models.Index(fields=["deployment", "start"], name="segment_by_start"),
        ]

    def __str__(self) -> str:
        return f"{self.rows} inferences of {self.deployment_id} from {self.start}"


class InferenceLabel(models.Model):
    """What really happened: the true value for one inference, told later. The last one told counts.

    The inference's id is a UUIDv7, so a range of ids is a range of times.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="labels")
    inference_id = models.UUIDField()
    value: models.JSONField[Any, Any] = models.JSONField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["deployment", "inference_id"], name="label_once_per_inference"),
        ]

    def __str__(self) -> str:
        return f"{self.inference_id}: {self.value}"


class EventImport(Stamped):
    """One file of past inferences that is being, or was, read in."""

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="imports")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    filename = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    size = models.BigIntegerField()
    upload_key = models.CharField(max_length=300)
    state = models.CharField(max_length=10, choices=ImportState, default=ImportState.IMPORTING)
    reason = models.TextField(blank=True, default="")
    job_id = models.UUIDField(null=True, blank=True)
    rows = models.BigIntegerField(default=0)
    labelled = models.BigIntegerField(default=0)
    start = models.DateTimeField(null=True, blank=True)
    end = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["deployment", "sha256"],
                condition=~Q(state=ImportState.FAILED),
                name="event_file_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.filename} into {self.deployment}"
