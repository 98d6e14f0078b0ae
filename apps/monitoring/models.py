"""Monitors, the profiles of their baselines, reports with their windows, and alerts."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from apps.accounts.models import NamedProjectObject
from apps.datasets.models import Dataset, DatasetVersion
from apps.deployments.models import Deployment
from apps.monitoring.states import LIVE, AlertState, ReportState
from foundation.models import Stamped


class Monitor(NamedProjectObject):
    """Compares what a deployment was asked (or what a dataset's versions hold) with a baseline, window by window.

    window: a size such as "1d", aligned in the project's time zone. thresholds: the JSON form of sandbox.rules.Rules.
    time_column, prediction_column and label_column name columns of a watched dataset; a deployment's are known.
    """

    deployment = models.ForeignKey(
        Deployment, on_delete=models.PROTECT, null=True, blank=True, related_name="monitors"
    )
    dataset = models.ForeignKey(
        Dataset, on_delete=models.PROTECT, null=True, blank=True, related_name="monitors"
    )
    baseline = models.ForeignKey(DatasetVersion, on_delete=models.PROTECT, related_name="+")
    window = models.CharField(max_length=8, default="1d")
    thresholds: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    features: models.JSONField[Any, Any] = models.JSONField(
        default=list, blank=True, help_text="Watched columns; empty = all of the model's inputs."
    )
    time_column = models.CharField(max_length=255, blank=True, default="")
    prediction_column = models.CharField(max_length=255, blank=True, default="")
    label_column = models.CharField(max_length=255, blank=True, default="")

    class Meta(NamedProjectObject.Meta):
        ordering: ClassVar[list[str]] = ["name"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *NamedProjectObject.Meta.constraints,
            models.CheckConstraint(
                condition=Q(deployment__isnull=False, dataset__isnull=True)
                | Q(deployment__isnull=True, dataset__isnull=False),
                name="monitor_watches_one_thing",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project", "-created_at"], name="monitor_by_project"),
        ]

    def get_absolute_url(self) -> str:
        """The monitor's page."""
        return reverse("monitoring:detail", args=[self.project.slug, self.name])

    @property
    def subject_name(self) -> str:
        """The name of what it watches."""
        return (self.deployment or self.dataset).name  # type: ignore[union-attr]  # one of both is set


class Profile(Stamped):
    """The sketch of a baseline, and the impact of its features on one model's predictions.

    key: a digest of the sketch's version and the watched columns. data: what sandbox.report.make_profile returns.
    """

    baseline = models.ForeignKey(DatasetVersion, on_delete=models.CASCADE, related_name="+")
    model_version_id = models.UUIDField(null=True, blank=True)
    key = models.CharField(max_length=64)
    data: models.JSONField[Any, Any] = models.JSONField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["baseline", "model_version_id", "key"], name="profile_once", nulls_distinct=False
            ),
        ]

    def __str__(self) -> str:
        return f"profile of {self.baseline_id} for {self.model_version_id}"


class Report(Stamped):
    """One computation over a period: all its windows, with one model and one baseline."""

    monitor = models.ForeignKey(Monitor, on_delete=models.CASCADE, related_name="reports")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    start = models.DateTimeField(help_text="Start of the first window.")
    end = models.DateTimeField(help_text="End of the last window, exclusive.")
    state = models.CharField(max_length=10, choices=ReportState, default=ReportState.QUEUED)
    reason = models.TextField(blank=True, default="")
    job_id = models.UUIDField(null=True, blank=True)
    profile = models.ForeignKey(Profile, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    model_label = models.CharField(max_length=120, blank=True, default="")
    settings: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    rows = models.BigIntegerField(default=0)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(start__lt=models.F("end")), name="report_period"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["monitor", "-created_at"], name="report_by_monitor"),
        ]

    def __str__(self) -> str:
        return f"report of {self.monitor} from {self.start} to {self.end}"

    @property
    def is_live(self) -> bool:
        """Whether its state still changes by itself."""
        return self.state in LIVE


class ReportWindow(Stamped):
    """What a report found in one window. data: see sandbox.report.describe_window."""

    report = models.ForeignKey(Report, on_delete=models.CASCADE, related_name="windows")
    start = models.DateTimeField()
    end = models.DateTimeField()
    rows = models.BigIntegerField()
    data: models.JSONField[Any, Any] = models.JSONField()

    class Meta:
        ordering: ClassVar[list[str]] = ["start"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["report", "start"], name="report_window_once"),
        ]

    def __str__(self) -> str:
        return f"{self.start} to {self.end}: {self.rows} rows"


class Alert(Stamped):
    """A feature (or the prediction) drifted in one window. At most one for each monitor, feature and window."""

    monitor = models.ForeignKey(Monitor, on_delete=models.CASCADE, related_name="alerts")
    report = models.ForeignKey(Report, on_delete=models.CASCADE, related_name="alerts")
    feature = models.CharField(max_length=255)
    start = models.DateTimeField()
    end = models.DateTimeField()
    rows = models.BigIntegerField()
    metric = models.CharField(max_length=40)
    value = models.FloatField()
    threshold = models.FloatField()
    noise = models.FloatField()
    share = models.FloatField(null=True, blank=True)
    state = models.CharField(max_length=14, choices=AlertState, default=AlertState.OPEN)
    by_report = models.BooleanField(default=False, help_text="Closed by a later report, not by a person.")
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    changed_at = models.DateTimeField(null=True, blank=True)
    comment = models.TextField(blank=True, default="")

    class Meta:
        ordering: ClassVar[list[str]] = ["-start", "-value"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["monitor", "feature", "start", "end"], name="alert_once"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["monitor", "state", "-start"], name="alert_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.feature} of {self.monitor} at {self.start}: {self.value:.3f}"
