"""What the pages of a monitor show; a page and its fragments share one context."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.dateparse import parse_datetime

from apps.jobs.models import Job
from apps.jobs.queries import JobSummary, job_summary
from apps.lineage.queries import Stop, line
from apps.lineage.states import NodeKind
from apps.monitoring import charts
from apps.monitoring.actions import state_of
from apps.monitoring.models import Alert, Monitor, Report, ReportWindow
from apps.monitoring.queries import (
    Distribution,
    FeatureRow,
    alerts_of,
    distribution_of,
    drift_table,
    latest_windows,
    recorded_span,
)
from apps.monitoring.sandbox.rules import PREDICTION, Rules
from apps.monitoring.windows import get_zone, parse_size
from foundation.clock import now

DAY = 1440
# How many windows a report covers when nobody chose a period.
USUAL_WINDOWS = 30
# Scores over time, the first that is there leads.
SCORES = ("accuracy", "f1_macro", "roc_auc", "rmse", "mae", "r2")


#: words of the URL that sort the drift table, and what they sort by
ORDERS = {
    "feature": "name",
    "impact": "impact",
    "drift": "drift",
    "moved": "product",
    "psi": "psi",
    "missing": "missing",
    "new": "odd",
}


@dataclass(frozen=True)
class Choice:
    """One window in the switcher."""

    key: str
    label: str
    rows: int
    drifted: bool
    current: bool = False


@dataclass
class MonitorPage:
    """Everything on a monitor's first page."""

    monitor: Monitor
    state: str
    nodes: list[dict[str, Any]]
    report: Report | None
    job: JobSummary | None
    alerts: list[Alert]
    windows: list[ReportWindow] = field(default_factory=list)
    window: ReportWindow | None = None
    choices: list[Choice] = field(default_factory=list)
    rows: list[FeatureRow] = field(default_factory=list)
    feature: str = ""
    distribution: dict[str, Any] | None = None
    prediction_distribution: dict[str, Any] | None = None
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)
    has_impact: bool = False
    has_data: bool = False

    @property
    def previous(self) -> Choice | None:
        """The window before the chosen one."""
        return self._beside(-1)

    @property
    def following(self) -> Choice | None:
        """The window after the chosen one."""
        return self._beside(1)

    def _beside(self, step: int) -> Choice | None:
        place = next((i for i, choice in enumerate(self.choices) if choice.current), None)
        if place is None or not 0 <= place + step < len(self.choices):
            return None
        return self.choices[place + step]


def nodes_of(monitor: Monitor) -> list[dict[str, Any]]:
    """The lineage line as templates/components/lineage.html takes it."""
    stops: list[Stop] = line(kind=NodeKind.MONITOR, key=monitor.pk)
    return [
        {
            "kind": stop.kind,
            "title": stop.first.title + (f" +{stop.more}" if stop.more else ""),
            "url": stop.first.url,
            "state": stop.first.state,
            "current": stop.first.focus,
        }
        for stop in stops
    ]


def moment_label(start: datetime.datetime, monitor: Monitor) -> str:
    """A window's name by its start on the clock of the project: "12 Apr 2021", "12 Apr 2021, 14:00"."""
    local = start.astimezone(get_zone(monitor.project.timezone))
    day = f"{local.day} {local:%b %Y}"
    return day if parse_size(monitor.window) >= DAY else f"{day}, {local:%H:%M}"


def _in_order(rows: list[FeatureRow], order: str) -> list[FeatureRow]:
    """The rows by a column of ORDERS ("-" first: descending), what is not known last; else as they are."""
    key = ORDERS.get(order.removeprefix("-"))
    if key is None:
        return rows
    known = [row for row in rows if getattr(row, key) is not None]
    ordered = sorted(known, key=lambda row: getattr(row, key), reverse=order.startswith("-"))
    return [*ordered, *(row for row in rows if getattr(row, key) is None)]


def monitor_page(monitor: Monitor, *, wanted: str = "", feature: str = "", order: str = "") -> MonitorPage:
    """The page of a monitor. wanted: the start of a window (ISO), else the newest with an alert or with rows.

    order: a word of ORDERS for the drift table; without one, what moves the predictions most stands first.
    """
    report = monitor.reports.first()
    job = Job.objects.filter(pk=report.job_id).first() if report is not None and report.job_id else None
    page = MonitorPage(
        monitor=monitor,
        state=state_of(monitor),
        nodes=nodes_of(monitor),
        report=report,
        job=job_summary(job) if job is not None else None,
        alerts=list(alerts_of(monitor, standing=True)[:20]),
        rules=Rules.from_json(monitor.thresholds),
        windows=latest_windows(monitor),
    )
    page.has_data = bool(page.windows) or recorded_span(monitor) is not None
    if not page.windows:
        return page
    zone = get_zone(monitor.project.timezone)
    page.window = _choose(page.windows, wanted)
    page.choices = [
        Choice(
            key=window.start.isoformat(),
            label=moment_label(window.start, monitor),
            rows=window.rows,
            drifted=any(found["drifted"] for found in window.data["features"]),
            current=window is page.window,
        )
        for window in page.windows
    ]
    page.rows = drift_table(page.window)
    page.has_impact = any(row.impact is not None for row in page.rows)
    names = [row.name for row in page.rows]
    known = {*names, PREDICTION} if page.window.data["prediction"] else set(names)
    page.feature = feature if feature in known else (names[0] if names else "")
    found = distribution_of(page.window, page.feature)
    page.distribution = _plot(found) if found else None
    if page.feature != PREDICTION and page.window.data["prediction"]:
        said = distribution_of(page.window, PREDICTION)
        page.prediction_distribution = _plot(said) if said else None
    page.figures = figures_of(monitor, page.windows, page.rows, zone)
    page.rows = _in_order(page.rows, order)
    return page


def _choose(windows: list[ReportWindow], wanted: str) -> ReportWindow:
    """The wanted window; else the newest with drift; else the newest with rows."""
    moment = _moment(wanted)
    if moment is not None:
        found = next((window for window in windows if window.start == moment), None)
        if found is not None:
            return found
    drifted = [w for w in windows if any(found["drifted"] for found in w.data["features"])]
    filled = [window for window in windows if window.rows]
    return (drifted or filled or windows)[-1]


def _moment(text: str) -> datetime.datetime | None:
    try:
        found = parse_datetime(text.replace(" ", "+"))  # a plus sign in a URL arrives as a blank
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None


def _plot(found: Distribution) -> dict[str, Any]:
    return charts.distribution(found.labels, found.baseline, found.window)


def figures_of(
    monitor: Monitor, windows: list[ReportWindow], rows: list[FeatureRow], zone: ZoneInfo
) -> dict[str, dict[str, Any]]:
    """The figures over time: heat (always), prediction and performance (where there is something to see)."""
    names = [row.name for row in rows]
    by_name = [{found["name"]: found for found in window.data["features"]} for window in windows]
    drifts = [[_rounded(found.get(name, {}).get("feature_drift")) for found in by_name] for name in names]
    years = {window.start.astimezone(zone).year for window in windows}
    labels = [moment_label(window.start, monitor) for window in windows]
    if len(years) == 1:  # the page has said the year already
        labels = [label.replace(f" {next(iter(years))}", "") for label in labels]
    moments = [window.start.astimezone(zone) for window in windows]
    figures = {"heat": charts.heat(labels, names, drifts)}
    said = [_rounded(window.data["prediction_drift"]) for window in windows]
    if any(value is not None for value in said):
        threshold = Rules.from_json(monitor.thresholds).threshold(PREDICTION)
        figures["prediction"] = charts.lines(
            moments, [("Prediction drift", said)], title="Jensen-Shannon distance", threshold=threshold
        )
    scores = [window.data["performance"] or {} for window in windows]
    known = [name for name in SCORES if any(name in found for found in scores)]
    if known:
        series = [(name, [_rounded(found.get(name)) for found in scores]) for name in known[:3]]
        figures["performance"] = charts.lines(moments, series, title="Score", from_zero=False)
    return figures


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def usual_period(monitor: Monitor) -> tuple[datetime.date, datetime.date]:
    """The days that the report form proposes: the recorded span's end, at most USUAL_WINDOWS windows."""
    zone = get_zone(monitor.project.timezone)
    span = recorded_span(monitor)
    today = now().astimezone(zone).date()
    first, last = (
        (span[0].astimezone(zone).date(), span[1].astimezone(zone).date()) if span else (today, today)
    )
    days = max(1, USUAL_WINDOWS * parse_size(monitor.window) // DAY)
    return max(first, last - datetime.timedelta(days=days - 1)), last
