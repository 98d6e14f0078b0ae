"""Reads of monitors: what pages and the API show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery

from apps.accounts.models import Project
from apps.monitoring.models import Alert, Monitor, Report, ReportWindow
from apps.monitoring.sandbox.rules import PREDICTION
from apps.monitoring.states import STANDING, ReportState

SHOWN_WINDOWS = 60


def monitors_of(project: Project, *, q: str = "", trashed: bool = False) -> QuerySet[Monitor]:
    """A project's monitors with their open alerts (`standing`), and their last report's state and time."""
    last = Report.objects.filter(monitor=OuterRef("pk")).order_by("-created_at")
    rows: QuerySet[Monitor] = Monitor.objects.filter(project=project, deleted_at__isnull=not trashed)
    rows = rows.select_related(
        "project", "deployment", "dataset__project", "baseline__dataset", "baseline__project", "created_by"
    ).annotate(
        standing=Count("alerts", filter=Q(alerts__state__in=STANDING), distinct=True),
        reported=Exists(Report.objects.filter(monitor=OuterRef("pk"), state=ReportState.SUCCEEDED)),
        last_state=Subquery(last.values("state")[:1]),
        last_at=Subquery(last.values("created_at")[:1]),
    )
    return rows.filter(name__icontains=q.replace("\x00", "")) if q else rows


def word_for(monitor: Any) -> str:
    """The state of an annotated monitor: drifting, stable or pending."""
    if monitor.standing:
        return "drifting"
    return "stable" if monitor.reported else "pending"


def latest_windows(monitor: Monitor, *, limit: int = SHOWN_WINDOWS) -> list[ReportWindow]:
    """The newest finding for each window of the monitor as it is set now, oldest first, the last `limit` ones.

    Findings with another window size, time zone or baseline are left out: they cannot stand side by side.
    """
    rows = (
        ReportWindow.objects.filter(
            report__monitor=monitor,
            report__state=ReportState.SUCCEEDED,
            report__settings__window=monitor.window,
            report__settings__timezone=monitor.project.timezone,
            report__settings__baseline=str(monitor.baseline_id),
        )
        .select_related("report")
        .order_by("-start", "-report__created_at", "-report__id")
        .distinct("start")
    )
    found = list(rows[:limit])
    while found and found[0].rows == 0:  # a period that reaches into the future ends with empty windows
        found.pop(0)
    return found[::-1]


@dataclass(frozen=True)
class FeatureRow:
    """One row of the drift table, as on the lecture's slides. Numbers are None where they cannot be computed."""

    name: str
    impact: float | None
    drift: float | None
    product: float | None
    share: float | None
    psi: float | None
    threshold: float
    noise: float
    drifted: bool
    missing: float | None
    unseen: float | None
    out_of_range: float | None
    mistyped: float | None

    @property
    def odd(self) -> float | None:
        """The share of values that the baseline never held, whatever the kind of column."""
        found = [value for value in (self.unseen, self.out_of_range) if value is not None]
        return max(found) if found else None


def drift_table(window: ReportWindow) -> list[FeatureRow]:
    """The features of a window, the largest prediction drift impact first (the largest drift without a model)."""
    rows = [
        FeatureRow(
            name=feature["name"],
            impact=feature["feature_impact"],
            drift=feature["feature_drift"],
            product=feature["prediction_drift_impact"],
            share=feature["share"],
            psi=feature["psi"],
            threshold=feature["threshold"],
            noise=feature["noise"],
            drifted=feature["drifted"],
            **{key: feature["quality"].get(key) for key in ("missing", "unseen", "out_of_range", "mistyped")},
        )
        for feature in window.data["features"]
    ]
    return sorted(rows, key=lambda row: (-(row.product or 0.0), -(row.drift or 0.0), row.name))


@dataclass(frozen=True)
class Distribution:
    """Baseline and window of one column, bin by bin: shares of the rows, each summing to 1."""

    name: str
    labels: list[str]
    baseline: list[float]
    window: list[float]


def distribution_of(window: ReportWindow, name: str) -> Distribution | None:
    """The distribution of a feature (or of "prediction") in a window beside the baseline; None when unknown."""
    from apps.monitoring.sandbox.sketch import Sketch

    profile = window.report.profile
    if profile is None:
        return None
    if name == PREDICTION:
        sketch, entry = profile.data.get("prediction"), window.data["prediction"]
    else:
        sketch = next((data for data in profile.data["sketches"] if data["name"] == name), None)
        entry = next((data for data in window.data["features"] if data["name"] == name), None)
    if not sketch or not entry:
        return None
    base = Sketch.from_json(sketch)
    counts = list(entry["counts"])
    if len(counts) != base.bins:
        return None
    kept = [i for i in range(base.bins) if base.counts[i] or counts[i]]
    return Distribution(
        name=name,
        labels=[base.labels()[i] for i in kept],
        baseline=_shares([base.counts[i] for i in kept]),
        window=_shares([counts[i] for i in kept]),
    )


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) or 1
    return [count / total for count in counts]


def alerts_of(monitor: Monitor, *, state: str = "", standing: bool = False) -> QuerySet[Alert]:
    """A monitor's alerts, newest window first."""
    rows = monitor.alerts.select_related("changed_by")
    if standing:
        rows = rows.filter(state__in=STANDING)
    return rows.filter(state=state) if state else rows


def reports_of(monitor: Monitor) -> QuerySet[Report]:
    """A monitor's reports, newest first, with their number of windows."""
    return monitor.reports.select_related("created_by").annotate(n_windows=Count("windows"))


def standing_alerts(projects: Sequence[Project] | QuerySet[Project], *, limit: int = 8) -> list[Alert]:
    """What drifts in these projects, for their home pages: newest window first, monitors in the trash left out."""
    rows = Alert.objects.filter(
        monitor__project__in=projects, monitor__deleted_at__isnull=True, state__in=STANDING
    ).select_related("monitor__project")
    return list(rows.order_by("-start", "-value")[:limit])


def recorded_span(monitor: Monitor) -> tuple[datetime, datetime] | None:
    """The times of the first and last recorded inference (or of the dataset's versions), None before there are any."""
    from apps.deployments.queries import time_span

    if monitor.deployment is not None:
        return time_span(monitor.deployment)
    if monitor.dataset is None or monitor.time_column:
        return None
    moments = list(
        monitor.dataset.versions.filter(state="ready", deleted_at__isnull=True)
        .exclude(pk=monitor.baseline_id)
        .order_by("created_at")
        .values_list("created_at", flat=True)
    )
    return (moments[0], moments[-1]) if moments else None
