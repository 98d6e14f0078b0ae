"""The form of a new run, made from the dataset's schema and the algorithm's parameters."""

from __future__ import annotations

from typing import Any

from django import forms

from apps.accounts.models import Project
from apps.datasets.models import DatasetVersion
from apps.experiments import algorithms
from apps.experiments.algorithms.schema import Algorithm, Parameter
from apps.experiments.models import Experiment, Run
from apps.experiments.spec import DEFAULT_SEED, DEFAULT_TEST_SIZE, UNPREDICTABLE
from apps.jobs.placement import Placement
from apps.jobs.placement_form import PlacementFields, initial_placement, placement_body

PREFIX = "p_"
#: Column names that usually are the target, best first; otherwise the last column is proposed.
LIKELY_TARGETS = (
    "target",
    "label",
    "class",
    "y",
    "exited",
    "churn",
    "survived",
    "species",
    "price",
    "outcome",
)
_DEFAULT_ALGORITHM = "hist_gradient_boosting"


def parameter_field(parameter: Parameter) -> forms.Field:
    """The form field of one parameter; its value is checked by the schema itself, not here."""
    shared: dict[str, Any] = {
        "label": parameter.title,
        "help_text": f"{parameter.help} {_range(parameter)}".strip(),
        "required": not parameter.nullable,
        "initial": parameter.default,
    }
    if parameter.type == "boolean":
        return forms.BooleanField(**{**shared, "required": False})
    if parameter.type == "categorical":
        return forms.ChoiceField(choices=[(c, c) for c in parameter.choices], **shared)
    widget = forms.TextInput(
        attrs={
            "inputmode": "numeric" if parameter.type == "int" else "decimal",
            "autocomplete": "off",
            "placeholder": parameter.none_means if parameter.nullable else "",
        }
    )
    return forms.CharField(widget=widget, **shared)


def _range(parameter: Parameter) -> str:
    if parameter.low is None or parameter.high is None:
        return ""
    text = f"{parameter.low:g} to {parameter.high:g}"
    return f"{text}; empty: {parameter.none_means}." if parameter.nullable else f"{text}."


class ParametersForm(forms.Form):
    """The parameters of one algorithm for one task (or for both while the task is open)."""

    use_required_attribute = False  # an emptied field is answered with the allowed range

    def __init__(self, algorithm: Algorithm, task: str | None, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.algorithm = algorithm
        self.parameters = algorithm.parameters_for(task)
        for parameter in self.parameters:
            self.fields[PREFIX + parameter.name] = parameter_field(parameter)
        self.advanced = tuple(PREFIX + p.name for p in self.parameters if p.advanced)

    def values(self) -> dict[str, Any]:
        """What was entered, by parameter name; those of a hidden task are left to their defaults."""
        found: dict[str, Any] = {}
        for parameter in self.parameters:
            name = PREFIX + parameter.name
            if parameter.type == "boolean":
                found[parameter.name] = name in self.data
            elif name in self.data:
                found[parameter.name] = self.data[name]
        return found


class RunForm(PlacementFields):
    """Everything of a new run but its parameters."""

    advanced = ("task", "features", "seed", "name", "description")
    wide = ("features", "description")
    use_required_attribute = False  # a hidden part of the form must not hold up the visible one

    experiment = forms.CharField(
        label="Experiment",
        max_length=256,
        help_text="Runs to be compared belong together. A new name makes a new experiment.",
        widget=forms.TextInput(attrs={"list": "experiments", "autocomplete": "off"}),
    )
    dataset = forms.ChoiceField(label="Dataset", help_text="The rows to learn from.")
    target = forms.ChoiceField(label="Target", help_text="The column to predict.")
    split = forms.ChoiceField(
        label="How to judge",
        choices=[("holdout", "Hold out a share of the rows"), ("folds", "Cross-validation")],
        widget=forms.Select(attrs={"data-shows": "split"}),
        initial="holdout",
        help_text="Cross-validation takes longer and is steadier on few rows.",
    )
    test_size = forms.CharField(
        label="Share held out",
        initial=DEFAULT_TEST_SIZE,
        help_text="0.01 to 0.9 of the rows.",
        widget=forms.TextInput(attrs={"inputmode": "decimal"}),
    )
    folds = forms.CharField(
        label="Folds",
        initial=5,
        help_text="2 to 20 parts; each is judged once.",
        widget=forms.TextInput(attrs={"inputmode": "numeric"}),
    )
    task = forms.ChoiceField(
        label="Task",
        required=False,
        choices=[
            ("", "Decide from the data"),
            ("classification", "Classification: predict a class"),
            ("regression", "Regression: predict a number"),
        ],
        help_text="Text, booleans and few whole numbers are classes; other numbers are regressed.",
    )
    features = forms.MultipleChoiceField(
        label="Columns to learn from",
        required=False,
        widget=forms.SelectMultiple(attrs={"size": 8}),
        help_text="None chosen: all that can be used. Leave out what is not known at prediction time.",
    )
    seed = forms.CharField(
        label="Seed",
        required=False,
        initial=DEFAULT_SEED,
        help_text="The same seed, data and parameters give the same model.",
        widget=forms.TextInput(attrs={"inputmode": "numeric"}),
    )
    name = forms.CharField(
        label="Name", required=False, max_length=63, help_text="Left empty, the run gets one."
    )
    description = forms.CharField(
        label="Description", required=False, widget=forms.Textarea(attrs={"rows": 2})
    )

    def __init__(
        self, project: Project, version: DatasetVersion | None, versions: list[str], *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        columns = version.schema if version else []
        usable = [c for c in columns if c["type"] not in UNPREDICTABLE]
        self.fields["dataset"].choices = [(v, v) for v in versions]  # type: ignore[attr-defined]
        self.fields["target"].choices = [  # type: ignore[attr-defined]
            (c["name"], f"{c['name']} ({c['type']})") for c in usable
        ]
        self.fields["features"].choices = [  # type: ignore[attr-defined]
            (c["name"], f"{c['name']} ({c['type']})") for c in columns
        ]
        self.experiments = list(
            Experiment.objects.alive()
            .filter(project=project)
            .order_by("name")
            .values_list("name", flat=True)[:200]
        )

    def spec(self, algorithm: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """The body that POST /runs takes, from what was entered."""
        data = self.data
        by_folds = data.get("split") == "folds"
        features = data.getlist("features") if hasattr(data, "getlist") else data.get("features")
        spec = {
            name: data.get(name, "") for name in ("experiment", "dataset", "target", "task", "seed", "name")
        }
        return {
            **spec,
            "description": data.get("description", ""),
            "algorithm": algorithm,
            "parameters": parameters,
            "features": features or None,
            **placement_body(data),
            **({"folds": data.get("folds", "")} if by_folds else {"test_size": data.get("test_size", "")}),
        }


def likely_target(version: DatasetVersion) -> str:
    """The column most probably meant: a usual name, else the last one that can be predicted."""
    names = [c["name"] for c in version.schema if c["type"] not in UNPREDICTABLE]
    by_lower = {n.lower(): n for n in names}
    usual = next((by_lower[t] for t in LIKELY_TARGETS if t in by_lower), None)
    return usual or (names[-1] if names else "")


def task_of_target(version: DatasetVersion, target: str) -> str | None:
    """The task when the column's type alone decides it, else None."""
    types = {c["name"]: c["type"] for c in version.schema}
    return "classification" if types.get(target) in ("string", "boolean") else None


def initial_of(run: Run) -> dict[str, Any]:
    """What "run again with changes" fills in: everything but the name."""
    return {
        "experiment": run.experiment.name,
        "dataset": run.dataset_label,
        "target": run.target,
        "task": run.task,
        "features": run.features or [],
        "split": "folds" if run.folds else "holdout",
        "test_size": run.test_size or DEFAULT_TEST_SIZE,
        "folds": run.folds or 5,
        "seed": run.seed,
        "description": run.description,
        "algorithm": run.algorithm,
        **({} if run.job is None else initial_placement(Placement.of(run.job))),
        **{PREFIX + name: value for name, value in run.parameters.items()},
    }


def default_algorithm() -> str:
    """The algorithm that the form proposes."""
    names = [a.name for a in algorithms.available()]
    return _DEFAULT_ALGORITHM if _DEFAULT_ALGORITHM in names else names[0]
