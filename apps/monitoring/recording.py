"""What a report's job found becomes rows: windows, the baseline's profile, alerts. Called inside the fenced end."""

from __future__ import annotations

import datetime
import itertools
import math
from typing import Any

from django.db import transaction

from apps.lineage import actions as lineage
from apps.lineage.states import NodeKind
from apps.monitoring import events
from apps.monitoring.actions import state_of
from apps.monitoring.models import Alert, Monitor, Profile, Report, ReportWindow
from apps.monitoring.sandbox.rules import PREDICTION
from apps.monitoring.sandbox.sketch import Sketch
from apps.monitoring.states import ALERT, REPORT, STANDING, AlertState, ReportState
from foundation.clock import now
from foundation.errors import Invalid
from foundation.events import publish

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
METRIC = "jensen_shannon"


def moment(microseconds: int) -> datetime.datetime:
    """The instant of whole microseconds since 1970 UTC."""
    return EPOCH + datetime.timedelta(microseconds=microseconds)


def microseconds(instant: datetime.datetime) -> int:
    """Whole microseconds since 1970 UTC."""
    return (instant - EPOCH) // datetime.timedelta(microseconds=1)


@transaction.atomic
def record_report(*, report: Report, result: dict[str, Any], bounds: list[int]) -> None:
    """Keep the windows of a report and raise, refresh or close the alerts of those windows. Safe to repeat.

    The result comes out of the sandbox, which loads foreign models, so nothing in it is taken on trust: raises
    Invalid "monitor.bad_result" where its shape is not that of a report over `bounds`.
    """
    windows = read_windows(result, bounds)
    profile = _keep_profile(report, result)
    if not REPORT.move(
        Report.objects.filter(pk=report.pk),
        to=ReportState.SUCCEEDED,
        finished_at=now(),
        reason="",
        rows=sum(window["rows"] for window in windows),
        profile=profile,
        updated_at=now(),
    ):
        return
    ReportWindow.objects.bulk_create(
        ReportWindow(
            report=report,
            start=moment(window["start"]),
            end=moment(window["end"]),
            rows=window["rows"],
            data={key: value for key, value in window.items() if key not in ("start", "end", "rows")},
        )
        for window in windows
    )
    monitor = Monitor.objects.select_for_update().get(pk=report.monitor_id)
    opened = _raise_alerts(monitor, report, windows)
    lineage.set_state(kind=NodeKind.MONITOR, key=monitor.pk, state=state_of(monitor))
    publish(events.ReportFinished(monitor_id=monitor.pk, report_id=report.pk, opened=len(opened)))
    for alert in opened:
        publish(events.AlertOpened(monitor_id=monitor.pk, alert_id=alert.pk, feature=alert.feature))


def stored_profile(report: Report) -> Profile | None:
    """The profile of the baseline and model that the report is (or was) computed with, if it is known already."""
    made_with = report.settings["made_with"]
    return Profile.objects.filter(
        baseline_id=report.settings["baseline"],
        model_version_id=made_with["model_version_id"],
        key=made_with["key"],
    ).first()


def _keep_profile(report: Report, result: dict[str, Any]) -> Profile | None:
    known = stored_profile(report)
    if known is not None or not result.get("made_profile"):
        return known
    made_with = report.settings["made_with"]
    # Another report may have made the same profile meanwhile: then that one is kept.
    profile, _ = Profile.objects.get_or_create(
        baseline_id=report.settings["baseline"],
        model_version_id=made_with["model_version_id"],
        key=made_with["key"],
        defaults={"data": read_profile(result["profile"])},
    )
    return profile


def fail_report(*, report: Report, reason: str) -> None:
    """A report ended without a result: keep the sentence."""
    REPORT.move(
        Report.objects.filter(pk=report.pk),
        to=ReportState.FAILED,
        reason=reason,
        finished_at=now(),
        updated_at=now(),
    )


def _raise_alerts(monitor: Monitor, report: Report, windows: list[dict[str, Any]]) -> list[Alert]:
    """One alert for each feature and window that fires; what no longer fires is closed. Returns the new ones."""
    known = {
        (alert.feature, alert.start, alert.end): alert
        for alert in monitor.alerts.filter(start__gte=report.start, end__lte=report.end)
    }
    opened: list[Alert] = []
    for window in windows:
        start, end = moment(window["start"]), moment(window["end"])
        for name, entry in _entries(window):
            alert = known.get((name, start, end))
            if entry["drifted"]:
                found = {
                    "rows": window["rows"],
                    "metric": METRIC,
                    "value": entry["feature_drift"],
                    "threshold": entry["threshold"],
                    "noise": entry["noise"],
                    "share": entry.get("share"),
                }
                if alert is None:
                    opened.append(
                        Alert(monitor=monitor, report=report, feature=name, start=start, end=end, **found)
                    )
                    continue
                Alert.objects.filter(pk=alert.pk).update(report=report, updated_at=now(), **found)
                reopened = Alert.objects.filter(pk=alert.pk, by_report=True)
                ALERT.move(reopened, to=AlertState.OPEN, by_report=False, changed_by=None, changed_at=None)
            elif alert is not None and alert.state in STANDING:
                ALERT.move(
                    Alert.objects.filter(pk=alert.pk),
                    to=AlertState.CLOSED,
                    by_report=True,
                    changed_by=None,
                    changed_at=now(),
                    updated_at=now(),
                )
    Alert.objects.bulk_create(opened)
    return opened


def _entries(window: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Features and the prediction of a window, as what an alert is about."""
    found = [(feature["name"], feature) for feature in window["features"]]
    if window["prediction"] is not None:
        said = window["prediction"]
        found.append((PREDICTION, {**said, "feature_drift": said["drift"], "share": None}))
    return found


def read_profile(profile: dict[str, Any]) -> dict[str, Any]:
    """The profile of a sandbox result, checked. Raises Invalid "monitor.bad_result"."""
    try:
        said = profile["prediction"]
        return {
            "version": int(profile["version"]),
            "sketches": [_read_sketch(data) for data in profile["sketches"]],
            "impact": {str(name)[:255]: _sure(value) for name, value in profile["impact"].items()},
            "prediction": None if said is None else _read_sketch(said),
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Invalid(
            "monitor.bad_result", "The report's program answered with a profile of another form."
        ) from error


def _read_sketch(data: dict[str, Any]) -> dict[str, Any]:
    sketch = Sketch.from_json(data)
    if len(sketch.counts) != sketch.bins or len(sketch.labels()) != sketch.bins:
        raise ValueError(sketch.name)
    return sketch.to_json()


def read_windows(result: dict[str, Any], bounds: list[int]) -> list[dict[str, Any]]:
    """The windows of a sandbox result, checked. Raises Invalid "monitor.bad_result"."""
    try:
        windows = [_read_window(window) for window in result["windows"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Invalid(
            "monitor.bad_result", "The report's program answered in a form that is not a report."
        ) from error
    periods = [(window["start"], window["end"]) for window in windows]
    if periods != list(itertools.pairwise(bounds)):
        raise Invalid(
            "monitor.bad_result", "The report's program answered for other windows than it was asked for."
        )
    return windows


def _read_window(window: dict[str, Any]) -> dict[str, Any]:
    said = window["prediction"]
    performance = window["performance"]
    prediction = None if said is None else {"drift": _number(said["drift"]), **_read_drift(said)}
    return {
        "start": int(window["start"]),
        "end": int(window["end"]),
        "rows": int(window["rows"]),
        "enough": bool(window["enough"]),
        "features": [_read_feature(feature) for feature in window["features"]],
        "prediction_drift": None if prediction is None else prediction["drift"],
        "prediction": prediction,
        "performance": None
        if performance is None
        else {str(name)[:40]: _number(value) for name, value in performance.items()},
        "quality": {"issues": [_read_issue(issue) for issue in window["quality"]["issues"]]},
    }


def _read_feature(feature: dict[str, Any]) -> dict[str, Any]:
    numbers = ("feature_drift", "feature_impact", "prediction_drift_impact", "share")
    return {
        "name": str(feature["name"])[:255],
        "metric": METRIC,
        **{key: _number(feature[key]) for key in numbers},
        **_read_drift(feature),
        "quality": {str(key)[:40]: _number(value) for key, value in feature["quality"].items()},
    }


def _read_drift(entry: dict[str, Any]) -> dict[str, Any]:
    drift = entry.get("feature_drift", entry.get("drift"))
    return {
        "psi": _number(entry["psi"]),
        "noise": _sure(entry["noise"]),
        "threshold": _sure(entry["threshold"]),
        "drifted": bool(entry["drifted"]) and _number(drift) is not None,
        "counts": [int(count) for count in entry["counts"]],
    }


def _read_issue(issue: dict[str, Any]) -> dict[str, Any]:
    return {
        "feature": str(issue["feature"])[:255],
        "kind": str(issue["kind"])[:40],
        "share": _sure(issue["share"]),
        "baseline": _sure(issue["baseline"]),
        "message": str(issue["message"])[:500],
    }


def _number(value: Any) -> float | None:
    return None if value is None else _sure(value)


def _sure(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number
