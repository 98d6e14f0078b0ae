"""Forms of deployments."""

from __future__ import annotations

import json
from typing import Any

from django import forms

from apps.accounts.models import Project
from apps.deployments.source import choices
from foundation.errors import Invalid


class DeployForm(forms.Form):
    """A new deployment."""

    name = forms.CharField(max_length=63, help_text="Part of its address. Letters, digits, “_”, “.” and “-”.")
    model = forms.ChoiceField(
        help_text="An alias is followed: when it moves to another version, that version is deployed. "
        "A version stays."
    )
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))
    advanced = ("description",)

    def __init__(self, data: Any = None, *, project: Project, initial: dict[str, Any] | None = None) -> None:
        super().__init__(data, initial=initial)
        self.fields["model"].choices = choices(project)  # type: ignore[attr-defined]


class ChangeForm(forms.Form):
    """Another version for an existing deployment."""

    model = forms.ChoiceField(label="Model version")

    def __init__(self, data: Any = None, *, project: Project, initial: dict[str, Any] | None = None) -> None:
        super().__init__(data, initial=initial)
        self.fields["model"].choices = choices(project)  # type: ignore[attr-defined]


class EditForm(forms.Form):
    """Rename or describe."""

    name = forms.CharField(max_length=63, help_text="Renaming changes the address that programs call.")
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 3}))


class LabelsForm(forms.Form):
    """Many labels, one per line."""

    labels = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 6, "class": "code", "placeholder": "inference id, value"}),
        help_text="One per line: the inference id, a comma, and what really happened.",
    )

    def entries(self) -> list[dict[str, Any]]:
        """The lines of a valid form as the API's labels. Raises Invalid naming the line."""
        found = []
        for number, line in enumerate(self.cleaned_data["labels"].splitlines(), start=1):
            if not line.strip():
                continue
            inference, comma, value = line.partition(",")
            if not comma or not value.strip():
                raise Invalid(
                    "labels.invalid",
                    f"Line {number} needs an inference id, a comma and a value.",
                    {"field": "labels"},
                )
            found.append({"inference_id": inference.strip(), "value": as_value(value.strip())})
        return found


def as_value(text: str) -> Any:
    """Numbers, true and false as such; everything else as text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str | int | float | bool) else text
