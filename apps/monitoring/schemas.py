"""What the REST API of monitors reads and writes."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.monitoring.models import Alert, Monitor, Report, ReportWindow
from apps.monitoring.queries import word_for


class MonitorSerializer(serializers.ModelSerializer[Monitor]):
    """A monitor, as `queries.monitors_of` annotates it."""

    deployment = serializers.CharField(source="deployment.name", default=None, read_only=True)
    dataset = serializers.CharField(source="dataset.name", default=None, read_only=True)
    baseline = serializers.CharField(source="baseline.label", read_only=True)
    state = serializers.SerializerMethodField()
    open_alerts = serializers.IntegerField(source="standing", read_only=True)
    created_by = serializers.CharField(source="created_by.username", default=None, read_only=True)
    url = serializers.CharField(source="get_absolute_url", read_only=True)

    class Meta:
        model = Monitor
        fields = [
            "id", "name", "description", "deployment", "dataset", "baseline", "window", "thresholds", "features",
            "time_column", "prediction_column", "label_column", "state", "open_alerts", "created_by", "created_at",
            "updated_at", "url",
        ]  # fmt: skip

    def get_state(self, monitor: Any) -> str:
        return word_for(monitor)


class MonitorCreate(serializers.Serializer[Any]):
    """What a new monitor needs: what it watches, and for a dataset the baseline."""

    name = serializers.CharField()
    deployment = serializers.CharField(required=False, allow_blank=True, default="")
    dataset = serializers.CharField(required=False, allow_blank=True, default="")
    baseline = serializers.CharField(required=False, allow_blank=True, default="")
    window = serializers.CharField(required=False, default="1d")
    thresholds = serializers.JSONField(required=False, default=dict)
    features = serializers.ListField(
        child=serializers.CharField(max_length=255), required=False, default=list
    )
    time_column = serializers.CharField(required=False, allow_blank=True, default="", max_length=255)
    prediction_column = serializers.CharField(required=False, allow_blank=True, default="", max_length=255)
    label_column = serializers.CharField(required=False, allow_blank=True, default="", max_length=255)
    description = serializers.CharField(required=False, allow_blank=True, default="")


class MonitorChange(serializers.Serializer[Any]):
    """What can be changed of a monitor."""

    name = serializers.CharField(required=False)
    description = serializers.CharField(required=False, allow_blank=True)
    baseline = serializers.CharField(required=False)
    window = serializers.CharField(required=False)
    thresholds = serializers.JSONField(required=False)


class ReportCreate(serializers.Serializer[Any]):
    """The period of a report; it is widened to whole windows."""

    start = serializers.DateTimeField()
    end = serializers.DateTimeField()


class ReportSerializer(serializers.ModelSerializer[Report]):
    """A report without its windows."""

    monitor = serializers.CharField(source="monitor.name", read_only=True)
    job = serializers.UUIDField(source="job_id", read_only=True, allow_null=True)
    model = serializers.CharField(source="model_label", read_only=True)
    baseline = serializers.SerializerMethodField()
    window = serializers.SerializerMethodField()
    created_by = serializers.CharField(source="created_by.username", default=None, read_only=True)

    class Meta:
        model = Report
        fields = [
            "id", "monitor", "state", "start", "end", "window", "baseline", "model", "rows", "reason", "job",
            "created_by", "created_at", "finished_at",
        ]  # fmt: skip

    def get_baseline(self, report: Report) -> str:
        return str(report.settings.get("baseline_label", ""))

    def get_window(self, report: Report) -> str:
        return str(report.settings.get("window", ""))


class ReportDetail(ReportSerializer):
    """A report with its windows."""

    windows = serializers.SerializerMethodField()

    class Meta(ReportSerializer.Meta):
        fields = [*ReportSerializer.Meta.fields, "windows"]

    def get_windows(self, report: Report) -> list[dict[str, Any]]:
        return [window_dict(window) for window in report.windows.all()]


class AlertSerializer(serializers.ModelSerializer[Alert]):
    """An alert."""

    changed_by = serializers.CharField(source="changed_by.username", default=None, read_only=True)
    report = serializers.UUIDField(source="report_id", read_only=True)

    class Meta:
        model = Alert
        fields = [
            "id", "feature", "start", "end", "rows", "metric", "value", "threshold", "noise", "share", "state",
            "comment", "changed_by", "changed_at", "report", "created_at",
        ]  # fmt: skip


class AlertChange(serializers.Serializer[Any]):
    """What a person may say when acknowledging or closing an alert."""

    comment = serializers.CharField(required=False, allow_blank=True, default="", max_length=2000)


def window_dict(window: ReportWindow) -> dict[str, Any]:
    """A window as the API shows it; the counts of the bins stay behind the distribution plots."""
    data = window.data
    return {
        "start": window.start,
        "end": window.end,
        "rows": window.rows,
        "enough": data["enough"],
        "features": [_without_counts(feature) for feature in data["features"]],
        "prediction_drift": data["prediction_drift"],
        "prediction": _without_counts(data["prediction"]) if data["prediction"] else None,
        "performance": data["performance"],
        "quality": data["quality"],
    }


def _without_counts(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "counts"}
