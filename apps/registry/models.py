"""Models, versions, aliases with their history, promotions."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.urls import reverse

from apps.accounts.models import ProjectObject, User
from apps.experiments.models import Run
from apps.jobs.models import Job
from apps.registry.states import LIVE, PROTECTED, MovedBy, PromotionState, VersionState
from foundation.clock import now
from foundation.models import Identified, Stamped

NAME_LENGTH = 256


class Model(ProjectObject):
    """A named line of versions; the same name in MLflow's registry, where stock clients may use any text
    without "/" and ":". In the trash, MLflow keeps it under `trash_mark`, out of every client's sight."""

    name = models.CharField(max_length=NAME_LENGTH)
    description = models.TextField(blank=True, default="")

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["project", "name"],
                condition=Q(deleted_at__isnull=True),
                name="model_name_in_project",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def trash_mark(self) -> str:
        """The name under which MLflow's rows wait while the model is in the trash."""
        return self.id.hex

    @property
    def url(self) -> str:
        """The model's page."""
        return reverse("registry:model", kwargs={"project": self.project.slug, "model": self.name})


class ModelVersion(ProjectObject):
    """One immutable version, numbered by MLflow.

    source: MLflow's URI ("models:/m-…" or an artifact URI). prefix: the folder of its files in the object
    store. signature: {"inputs": [{name, type, required}], "outputs": [{type}]} in MLflow's type words.
    example: records from the model's own input example. metrics: what its run had logged when it was
    registered. target, task, primary_metric and dataset_version: from the run, as far as it knows them.
    """

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, null=True, blank=True, related_name="model_versions"
    )
    description = models.TextField(blank=True, default="")
    state = models.CharField(max_length=10, choices=VersionState, default=VersionState.READY)
    reason = models.TextField(blank=True, default="")
    job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    source = models.CharField(max_length=500)
    prefix = models.CharField(max_length=500, blank=True, default="")
    logged_model = models.CharField(max_length=40, blank=True, default="")
    signature: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    example: models.JSONField[Any, Any] = models.JSONField(default=list, blank=True)
    classes: models.JSONField[Any, Any] = models.JSONField(null=True, blank=True)
    flavors: models.JSONField[Any, Any] = models.JSONField(default=list, blank=True)

    task = models.CharField(max_length=20, blank=True, default="")
    target = models.CharField(max_length=255, blank=True, default="")
    metrics: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    primary_metric = models.CharField(max_length=250, blank=True, default="")
    dataset_version = models.ForeignKey(
        "datasets.DatasetVersion", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering: ClassVar[list[str]] = ["-number"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["model", "number"], name="model_version_once"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project", "-created_at"], name="model_versions_by_project"),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """As people and answers name it: churn/3."""
        return f"{self.model.name}/{self.number}"

    @property
    def url(self) -> str:
        """The version's page."""
        return reverse(
            "registry:version",
            kwargs={"project": self.project.slug, "model": self.model.name, "number": self.number},
        )

    @property
    def dataset_label(self) -> str:
        """The dataset version it was trained on, such as churn@2; empty when unknown."""
        version = self.dataset_version
        return f"{version.dataset.name}@{version.number}" if version else ""


class Alias(Stamped):
    """A movable name of one version: the mirror of MLflow's row."""

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="aliases")
    name = models.CharField(max_length=255)
    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="aliases")

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]
        verbose_name_plural = "aliases"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["model", "name"], name="alias_once_in_model"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_protected(self) -> bool:
        """Whether only a promotion moves it."""
        return self.name in PROTECTED


class AliasMove(Identified):
    """One entry of an alias's history; version is None where the alias was removed."""

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="alias_moves")
    alias = models.CharField(max_length=255)
    version = models.ForeignKey(
        ModelVersion, on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    before = models.ForeignKey(
        ModelVersion, on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    promotion = models.ForeignKey(
        "registry.Promotion", on_delete=models.SET_NULL, null=True, blank=True, related_name="moves"
    )
    user = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    moved_by = models.CharField(max_length=12, choices=MovedBy)
    at = models.DateTimeField(default=now, editable=False)

    class Meta:
        ordering: ClassVar[list[str]] = ["-at", "-id"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["model", "-at"], name="alias_moves_by_model"),
        ]

    def __str__(self) -> str:
        return f"{self.alias} → {self.version_id}"

    @property
    def how(self) -> str:
        """The words behind who moved it: by promotion, with an MLflow client, released."""
        if self.moved_by == MovedBy.CLIENT:
            return "with an MLflow client"
        return "by promotion" if self.moved_by == MovedBy.PROMOTION else "released"


class Promotion(Stamped):
    """A request to let `alias` name `version`. holder: the version that had the alias when the checks began.
    checks: [{"name", "title", "state", "message"}]. reason: why it was refused, rejected or failed."""

    project = models.ForeignKey("accounts.Project", on_delete=models.PROTECT, related_name="+")
    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="promotions")
    alias = models.CharField(max_length=20)
    comment = models.TextField(blank=True, default="")
    state = models.CharField(max_length=20, choices=PromotionState, default=PromotionState.CHECKING)
    holder = models.ForeignKey(
        ModelVersion, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    checks: models.JSONField[Any, Any] = models.JSONField(default=list, blank=True)
    reason = models.TextField(blank=True, default="")
    job = models.ForeignKey(Job, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    decision = models.TextField(blank=True, default="")
    checked_at = models.DateTimeField(null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["version", "alias"], condition=Q(state__in=LIVE), name="promotion_once_at_a_time"
            ),
            models.CheckConstraint(
                condition=Q(state__in=PromotionState.values), name="promotion_state_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project", "-created_at"], name="promotions_by_project"),
        ]

    def __str__(self) -> str:
        return f"{self.version.label} to {self.alias}"

    @property
    def is_live(self) -> bool:
        """Whether it is still being checked or waits for somebody."""
        return self.state in LIVE
