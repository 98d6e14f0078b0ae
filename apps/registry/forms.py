"""Forms of the registry."""

from __future__ import annotations

from typing import Any

from django import forms

from apps.accounts.models import Project
from apps.registry.models import Model
from apps.registry.states import PRODUCTION, STAGING

NEW = ""
_LINES = forms.Textarea(attrs={"rows": 3})


class ModelForm(forms.Form):
    """A new model, or a changed one."""

    name = forms.CharField(
        max_length=63, help_text="Programs name the model by it. Letters, digits, “_”, “.” and “-”."
    )
    description = forms.CharField(required=False, widget=_LINES, help_text="What it predicts, and for whom.")


class EditModelForm(ModelForm):
    """A changed model: it may keep a name that only a stock client could give it."""

    name = forms.CharField(max_length=256, strip=False, help_text=ModelForm.declared_fields["name"].help_text)


class RegisterForm(forms.Form):
    """Which model gets the run's model as its next version."""

    model = forms.ChoiceField(required=False, label="Model", help_text="It gets the next version number.")
    name = forms.CharField(
        required=False,
        max_length=63,
        label="Name of a new model",
        help_text="Only for a new model. Letters, digits, “_”, “.” and “-”.",
    )
    description = forms.CharField(required=False, widget=_LINES, label="What is new in this version?")

    def __init__(self, data: Any = None, *, project: Project, initial: dict[str, Any] | None = None) -> None:
        super().__init__(data, initial=initial)
        names = Model.objects.alive().filter(project=project).order_by("name").values_list("name", flat=True)
        self.known = list(names)
        self.fields["model"].choices = [  # type: ignore[attr-defined]
            *[(name, name) for name in self.known],
            (NEW, "A new model …"),
        ]
        if not self.known:
            self.fields["model"].widget = forms.HiddenInput()
            self.fields["name"].label = "Name of the model"
            self.fields["name"].required = True

    def clean(self) -> dict[str, Any]:
        """A model is chosen or a new one is named."""
        cleaned: dict[str, Any] = super().clean() or {}
        if not cleaned.get("model") and not cleaned.get("name") and "name" not in self.errors:
            self.add_error("name", "Choose a model above, or name a new one here.")
        return cleaned


class PromoteForm(forms.Form):
    """Which alias, and why."""

    to = forms.ChoiceField(
        label="Promote to",
        choices=[(STAGING, "staging"), (PRODUCTION, "production")],
        help_text="The checks run first. For production, a maintainer then approves.",
    )
    comment = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="What whoever approves should know.",
    )


class DecisionForm(forms.Form):
    """What is said with an approval or a rejection."""

    comment = forms.CharField(required=False, label="Say why", widget=forms.Textarea(attrs={"rows": 2}))


class DescribeForm(forms.Form):
    """The description of a version."""

    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 4}))
