"""The form of a new study: everything but its table of parameters (space_form.py)."""

from __future__ import annotations

from typing import Any

from django import forms

from apps.experiments.forms import RunForm
from apps.experiments.metric_catalogue import METRICS, PRIMARY
from apps.experiments.spec import DEFAULT_TEST_SIZE
from apps.jobs.placement import read_placement
from apps.jobs.placement_form import initial_placement
from apps.tuning.models import Study
from apps.tuning.spec import PARALLELISM_AT_MOST, TRIALS_AT_MOST
from apps.tuning.states import AUTO, Pruner, Sampler

MINUTE = 60
DIRECTIONS = [
    ("", "As the metric wants"),
    ("maximize", "Larger is better"),
    ("minimize", "Smaller is better"),
]
_NUMBER = {"inputmode": "decimal", "autocomplete": "off"}
_WHOLE = {"inputmode": "numeric", "autocomplete": "off"}


class StudyForm(RunForm):
    """What a study needs besides its space. Checked by the same code as POST /studies, not here."""

    advanced = ("direction", "task", "features", "seed", "trial_minutes", "max_failures", "description")  # type: ignore[assignment]
    wide = ("features", "description")

    name = forms.CharField(
        label="Name", max_length=63, help_text="Letters, digits, dots, dashes; unique in the project."
    )
    metric = forms.ChoiceField(
        label="Metric", help_text="What every trial is judged by, on rows it has not seen."
    )
    direction = forms.ChoiceField(
        label="Direction",
        required=False,
        choices=DIRECTIONS,
        help_text="Only for a metric of your own taste.",
    )
    n_trials = forms.CharField(
        label="Trials",
        initial=30,
        help_text="Each is a run of its own.",
        widget=forms.TextInput(attrs=_WHOLE),
    )
    parallelism = forms.CharField(
        label="At the same time",
        initial=2,
        help_text="More finish sooner; fewer learn more from one another.",
        widget=forms.TextInput(attrs=_WHOLE),
    )
    minutes = forms.CharField(
        label="Time limit",
        required=False,
        help_text="Afterwards no new trial begins; those at work come to their end.",
        widget=forms.TextInput(attrs=_NUMBER | {"placeholder": "none"}),
    )
    sampler = forms.ChoiceField(
        label="Sampler",
        choices=[(AUTO, "Choose for me"), *Sampler.choices],
        help_text="How the next parameters are chosen.",
    )
    pruner = forms.ChoiceField(
        label="Pruner",
        choices=[(AUTO, "Choose for me"), *Pruner.choices],
        help_text="Ends trials that fall behind the others.",
    )
    trial_minutes = forms.CharField(
        label="Time limit of one trial",
        required=False,
        help_text="A trial that takes longer counts as failed.",
        widget=forms.TextInput(attrs=_NUMBER | {"placeholder": "none"}),
    )
    max_failures = forms.CharField(
        label="Give up after",
        initial=5,
        help_text="So many failed trials one after the other end the study.",
        widget=forms.TextInput(attrs=_WHOLE),
    )
    units = {"minutes": "minutes", "trial_minutes": "minutes", "max_failures": "failures"}

    def __init__(self, *args: Any, task: str | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["metric"].choices = metric_choices(task)  # type: ignore[attr-defined]
        experiment = self.fields["experiment"]
        experiment.required, experiment.initial = False, ""
        experiment.help_text = (
            "Its trials become runs of this experiment. Left empty: one with the study's name."
        )

    def body(
        self, algorithm: str, search_space: dict[str, Any], parameters: dict[str, Any]
    ) -> dict[str, Any]:
        """The body that POST /studies takes, from what was entered."""
        data = self.data
        found = self.spec(algorithm, parameters)
        metric = data.get("metric", "")
        objective = {"metric": metric}
        if data.get("direction"):
            objective["direction"] = data["direction"]
        found |= {
            key: data.get(key, "") for key in ("n_trials", "parallelism", "sampler", "pruner", "max_failures")
        }
        found |= {
            "search_space": search_space,
            "objectives": [objective],
            "timeout": _seconds(data.get("minutes", "")),
            "trial_timeout": _seconds(data.get("trial_minutes", "")),
        }
        return found


#: Fields of the body whose names the form has otherwise.
FORM_FIELDS = {
    "timeout": "minutes",
    "trial_timeout": "trial_minutes",
    "objectives": "metric",
    "objectives.0.metric": "metric",
    "objectives.0.direction": "direction",
}


def _seconds(minutes: str) -> Any:
    """Minutes as entered, in whole seconds; what is no number is passed on, to be refused by name."""
    try:
        return round(float(minutes) * MINUTE) if minutes.strip() else None
    except (ValueError, OverflowError):
        return minutes


def metric_choices(task: str | None) -> list[Any]:
    """Metrics by task, the one that ranks runs first; with both tasks where the data decides."""
    groups = []
    for name in [task] if task else list(PRIMARY):
        metrics = [m for m in METRICS.values() if m.task == name]
        metrics.sort(key=lambda m: m.name != PRIMARY[name])
        choices = [
            (m.name, m.title if m.direction == "max" else f"{m.title} (smaller is better)") for m in metrics
        ]
        groups.append((name.capitalize(), choices))
    return groups if len(groups) > 1 else groups[0][1]


def initial_of_study(study: Study) -> dict[str, Any]:
    """What "new study from this one" fills in: everything but the name."""
    objective = study.objectives[0]
    return {
        "experiment": study.experiment.name,
        "dataset": study.dataset_label,
        "target": study.target,
        "task": study.task,
        "features": study.features or [],
        "split": "folds" if study.folds else "holdout",
        "test_size": study.test_size or DEFAULT_TEST_SIZE,
        "folds": study.folds or 5,
        "seed": study.seed,
        "description": study.description,
        "algorithm": study.algorithm,
        **initial_placement(read_placement(study.placement)),
        "metric": objective["metric"],
        "direction": objective["direction"],
        "n_trials": study.n_trials,
        "parallelism": study.parallelism,
        "minutes": _minutes(study.timeout),
        "trial_minutes": _minutes(study.trial_timeout),
        "max_failures": study.max_failures,
        "sampler": AUTO if study.sampler_reason else study.sampler,
        "pruner": AUTO if study.pruner_reason else study.pruner,
    }


def _minutes(seconds: int | None) -> str:
    return "" if seconds is None else f"{seconds / MINUTE:g}"


class EditForm(forms.Form):
    """What can be changed of a study."""

    name = forms.CharField(max_length=63, help_text="Letters, digits, dots, dashes; unique in the project.")
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 3}))
    n_trials = forms.IntegerField(
        label="Trials",
        required=False,
        min_value=1,
        max_value=TRIALS_AT_MOST,
        help_text="In all, those that are made included.",
    )
    parallelism = forms.IntegerField(
        label="At the same time",
        required=False,
        min_value=1,
        max_value=PARALLELISM_AT_MOST,
        help_text="Those at work are left alone.",
    )

    def __init__(self, *args: Any, live: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not live:  # a study that is over gets more trials by being resumed
            del self.fields["n_trials"], self.fields["parallelism"]
