"""Forms of monitoring: a new monitor, its settings, the period of a report."""

from __future__ import annotations

import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms

from apps.accounts.models import Project
from apps.datasets.models import Dataset, DatasetVersion
from apps.deployments.queries import deployments_of
from apps.monitoring.sandbox.rules import DEFAULT_MIN_ROWS, DEFAULT_THRESHOLD

SIZES = [("1h", "1 hour"), ("6h", "6 hours"), ("1d", "1 day"), ("1w", "1 week")]
NEWEST_VERSIONS = 200


def baseline_choices(project: Project) -> list[tuple[str, str]]:
    """The ready versions of the project, newest first: ("churn@2", "churn@2 · 10,000 rows")."""
    versions = DatasetVersion.objects.filter(
        project=project, state="ready", deleted_at__isnull=True, dataset__deleted_at__isnull=True
    ).select_related("dataset")
    return [
        (version.label, f"{version.label} · {version.rows:,} rows")
        for version in versions.order_by("-created_at")[:NEWEST_VERSIONS]
    ]


class _Thresholds(forms.Form):
    """Fields that both forms share."""

    window = forms.ChoiceField(
        choices=SIZES, initial="1d", help_text="Windows begin on the clock of the project's time zone."
    )
    threshold = forms.FloatField(
        label="Drift threshold",
        min_value=0,
        max_value=1,
        initial=DEFAULT_THRESHOLD,
        help_text="An alert needs at least this Jensen-Shannon distance (0 to 1), and more than chance explains.",
    )
    min_rows = forms.IntegerField(
        label="Fewest rows",
        min_value=1,
        initial=DEFAULT_MIN_ROWS,
        help_text="Smaller windows are measured, but raise no alert.",
    )
    feature_thresholds = forms.CharField(
        label="Thresholds of single features",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "Age = 0.15", "spellcheck": "false"}),
        help_text="One a line. The name prediction means the drift of the predictions.",
    )

    def clean_feature_thresholds(self) -> dict[str, float]:
        """{"Age": 0.15} of the lines."""
        found: dict[str, float] = {}
        for line in self.cleaned_data["feature_thresholds"].splitlines():
            if not line.strip():
                continue
            name, separator, value = line.rpartition("=")
            try:
                found[name.strip()] = float(value)
            except ValueError:
                separator = ""
            if not separator or not name.strip():
                raise forms.ValidationError(f'"{line.strip()[:80]}" does not read "name = number".')
        return found

    def thresholds(self) -> dict[str, Any]:
        """The thresholds as actions take them."""
        return {
            "default": self.cleaned_data["threshold"],
            "min_rows": self.cleaned_data["min_rows"],
            "features": self.cleaned_data["feature_thresholds"],
        }


class MonitorForm(_Thresholds):
    """A new monitor of a deployment or a dataset."""

    wide = ("feature_thresholds",)
    advanced = ("threshold", "min_rows", "feature_thresholds", "time_column", "description")
    field_order = ("subject", "baseline", "name", "window")

    subject = forms.ChoiceField(label="Watch", help_text="What it is asked, or what its versions hold.")
    baseline = forms.ChoiceField(
        required=False, help_text="What live data is compared with. For a dataset, name the version."
    )
    name = forms.CharField(max_length=63, help_text="Letters, digits, dots, dashes; unique in the project.")
    time_column = forms.CharField(
        required=False,
        max_length=255,
        help_text="Only for a dataset: the column that says when a row happened.",
    )
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        deployments = [
            (f"deployment:{found.name}", f"{found.name} · {found.model_ref}")
            for found in deployments_of(project)
        ]
        datasets = [
            (f"dataset:{name}", name)
            for name in Dataset.objects.alive().filter(project=project).values_list("name", flat=True)
        ]
        groups = [("Deployments", deployments), ("Datasets", datasets)]
        self.fields["subject"].choices = [group for group in groups if group[1]]  # type: ignore[attr-defined]
        versions = baseline_choices(project)
        usual = [("", "What the deployed model was trained on")] if deployments and versions else []
        self.fields["baseline"].choices = [*usual, *versions]  # type: ignore[attr-defined]

    def values(self) -> dict[str, Any]:
        """The arguments of actions.create_monitor."""
        kind, _, name = self.cleaned_data["subject"].partition(":")
        fields = ("name", "baseline", "window", "time_column", "description")
        return {
            kind: name,
            "thresholds": self.thresholds(),
            **{key: self.cleaned_data[key] for key in fields},
        }


class SettingsForm(_Thresholds):
    """What can be changed of a monitor."""

    wide = ("feature_thresholds",)
    field_order = ("name", "description", "baseline", "window")

    name = forms.CharField(max_length=63, help_text="Renaming changes the address of its page.")
    baseline = forms.ChoiceField(help_text="Older reports stay, but are shown only beside the same baseline.")
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["baseline"].choices = baseline_choices(project)  # type: ignore[attr-defined]
        given = str(self.initial.get("window") or "")
        if given and given not in dict(SIZES):
            self.fields["window"].choices = [(given, given), *SIZES]  # type: ignore[attr-defined]

    def values(self) -> dict[str, Any]:
        """The changes of actions.update_monitor."""
        return {
            "thresholds": self.thresholds(),
            **{key: self.cleaned_data[key] for key in ("name", "description", "baseline", "window")},
        }


class PeriodForm(forms.Form):
    """The days that a report covers, both included, in the project's time zone."""

    start = forms.DateField(label="From", widget=forms.DateInput(attrs={"type": "date"}))
    end = forms.DateField(label="To (included)", widget=forms.DateInput(attrs={"type": "date"}))

    def period(self, zone: ZoneInfo) -> dict[str, datetime.datetime]:
        """start and end as moments; the end is the midnight after the last day."""
        first, last = self.cleaned_data["start"], self.cleaned_data["end"] + datetime.timedelta(days=1)
        midnight = datetime.time()
        return {
            "start": datetime.datetime.combine(first, midnight, zone),
            "end": datetime.datetime.combine(last, midnight, zone),
        }
