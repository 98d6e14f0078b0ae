"""Forms of pipelines: the parameters of a run, typed by the definition; the definition itself; name and description."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django import forms

from apps.accounts.models import Project
from apps.datasets.models import DatasetVersion
from apps.pipelines import types
from apps.pipelines.definition import Definition
from apps.pipelines.parameters import Parameter
from apps.pipelines.reading import LARGEST_TEXT
from apps.registry.models import ModelVersion

PREFIX = "parameter-"
OFFERED = 100


class JsonField(forms.CharField):
    """A list or an object, written as JSON."""

    widget = forms.Textarea(attrs={"rows": 2, "class": "mono", "spellcheck": "false"})

    def __init__(self, *, type_: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.type = type_

    def prepare_value(self, value: Any) -> Any:
        """As JSON, unless it is what a person typed."""
        return value if isinstance(value, str) or value is None else json.dumps(value, ensure_ascii=False)

    def clean(self, value: Any) -> Any:
        """The value itself."""
        text = super().clean(value)
        if not text:
            return None
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError("This is not JSON.") from error
        if not types.matches(found, self.type):
            raise forms.ValidationError(f"It must be {types.WORDS[self.type]}.")
        return found


class BooleanChoice(forms.TypedChoiceField):
    """Yes or no, or what the definition says."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            choices=[("true", "yes"), ("false", "no")],
            coerce=lambda text: text == "true",
            empty_value=None,
            **kwargs,
        )

    def prepare_value(self, value: Any) -> Any:
        """As the words of the choices."""
        return {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else value


def parameter_fields(definition: Definition, project: Project) -> dict[str, forms.Field]:
    """One field for each parameter of a definition, with its default filled in."""
    offers: dict[str, list[str]] = {}
    wanted = {parameter.type for parameter in definition.parameters.values()}
    if "dataset" in wanted:
        offers["dataset"] = dataset_labels(project)
    if "model" in wanted:
        offers["model"] = model_labels(project)
    return {name: _field(parameter, offers) for name, parameter in definition.parameters.items()}


def _field(parameter: Parameter, offers: Mapping[str, list[str]]) -> forms.Field:
    common: dict[str, Any] = {
        "label": parameter.name,
        "required": not parameter.has_default,
        "initial": parameter.default,
        "help_text": parameter.description,
    }
    if parameter.choices:
        return forms.TypedChoiceField(
            choices=[(str(choice), str(choice)) for choice in parameter.choices],
            coerce=lambda text: next((c for c in parameter.choices if str(c) == text), text),
            empty_value=None,
            **common,
        )
    match parameter.type:
        case "integer":
            return forms.IntegerField(**common)
        case "number":
            return forms.FloatField(widget=forms.NumberInput(attrs={"step": "any"}), **common)
        case "boolean":
            return BooleanChoice(**common)
        case "list" | "object":
            return JsonField(type_=parameter.type, **common)
    listed = {"list": f"offer-{parameter.type}", "autocomplete": "off"} if parameter.type in offers else {}
    field = forms.CharField(max_length=2000, widget=forms.TextInput(attrs=listed), **common)
    field.offers = offers.get(parameter.type, [])  # type: ignore[attr-defined]  # for the page's datalist
    return field


def dataset_labels(project: Project) -> list[str]:
    """The datasets of a project by name, then their ready versions, newest first."""
    versions = DatasetVersion.objects.filter(
        project=project, state="ready", deleted_at__isnull=True, dataset__deleted_at__isnull=True
    ).select_related("dataset")
    rows = list(versions.order_by("-created_at")[:OFFERED])
    names = dict.fromkeys(row.dataset.name for row in rows)
    return [*names, *(row.label for row in rows)]


def model_labels(project: Project) -> list[str]:
    """The newest versions of the project's models."""
    versions = ModelVersion.objects.filter(
        model__project=project, deleted_at__isnull=True, model__deleted_at__isnull=True
    ).select_related("model")
    return [row.label for row in versions.order_by("-created_at")[:OFFERED]]


class ParametersForm(forms.Form):
    """The parameters of one run."""

    def __init__(self, *args: Any, definition: Definition, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in parameter_fields(definition, project).items():
            self.fields[PREFIX + name] = field

    def values(self) -> dict[str, Any]:
        """What was given; what was left empty has its default."""
        return {
            name.removeprefix(PREFIX): value
            for name, value in self.cleaned_data.items()
            if value not in (None, "")
        }

    @property
    def offers(self) -> dict[str, list[str]]:
        """The datalists that fields of this form point at, by id."""
        found: dict[str, list[str]] = {}
        for field in self.fields.values():
            listed = field.widget.attrs.get("list")
            if listed:
                found[str(listed)] = field.offers  # type: ignore[attr-defined]
        return found


class DefinitionForm(forms.Form):
    """The definition as JSON text."""

    definition = forms.CharField(
        label="Definition",
        max_length=LARGEST_TEXT,
        strip=False,
        widget=forms.Textarea(
            attrs={
                "class": "mono code",
                "rows": 30,
                "spellcheck": "false",
                "autocapitalize": "off",
                "autocomplete": "off",
                "wrap": "off",
                "aria-describedby": "check",
            }
        ),
    )


class SettingsForm(forms.Form):
    """Name and description."""

    name = forms.CharField(max_length=63, help_text="In the addresses of its pages; runs keep their numbers.")
    description = forms.CharField(required=False, max_length=5000, widget=forms.Textarea(attrs={"rows": 3}))
