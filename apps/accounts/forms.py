"""Forms of sign-in, account, tokens, teams and projects."""

from __future__ import annotations

import zoneinfo
from typing import Any

from django import forms

from apps.accounts.models import Project, Team
from apps.accounts.states import Scope

STRENGTH_HELP = "At least 10 characters; not a common one, not digits alone, not like your name."
LIFETIMES = (("30", "30 days"), ("90", "90 days"), ("365", "a year"), ("", "never"))


class SignInForm(forms.Form):
    """Name and password."""

    username = forms.CharField(
        label="Name",
        max_length=150,
        widget=forms.TextInput(
            attrs={"autocomplete": "username", "autofocus": True, "autocapitalize": "none"}
        ),
    )
    password = forms.CharField(
        label="Password",
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class PasswordForm(forms.Form):
    """Another password. The present one is looked at by the action, which counts wrong tries."""

    old_password = forms.CharField(
        label="Present password",
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
    )
    new_password1 = forms.CharField(
        label="New password",
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=STRENGTH_HELP,
    )
    new_password2 = forms.CharField(
        label="New password, again",
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        """Both must be the same."""
        data: dict[str, Any] = super().clean() or {}
        if {"new_password1", "new_password2"} <= data.keys() and data["new_password1"] != data[
            "new_password2"
        ]:
            self.add_error("new_password2", "The two are not the same.")
        return data


class ProfileForm(forms.Form):
    """How others see one, and where mail goes."""

    name = forms.CharField(label="Name", max_length=150, required=False, help_text="Shown to others.")
    email = forms.EmailField(label="E-mail", max_length=254, required=False)


class TokenForm(forms.Form):
    """A new personal token."""

    name = forms.CharField(
        label="What it is for", max_length=80, help_text="Such as 'laptop' or 'nightly training'."
    )
    scope = forms.ChoiceField(
        label="May",
        choices=Scope.choices,
        initial=Scope.WRITE,
        widget=forms.RadioSelect,
        help_text="Never more than you may yourself.",
    )
    project = forms.ModelChoiceField(
        label="Only in",
        queryset=Project.objects.none(),
        required=False,
        empty_label="all my projects",
        help_text="A token bound to one project sees no other.",
    )
    days = forms.ChoiceField(label="Expires after", choices=LIFETIMES, initial="90", required=False)

    def __init__(self, *args: Any, projects: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["project"].queryset = projects  # type: ignore[attr-defined]

    def clean_days(self) -> int | None:
        """Days as a number; empty means never."""
        text = self.cleaned_data["days"]
        return int(text) if text else None


class TeamForm(forms.Form):
    """A new team."""

    name = forms.CharField(label="Name", max_length=80)
    slug = forms.CharField(
        label="Short name",
        max_length=40,
        widget=forms.TextInput(
            attrs={"data-slug-from": "name", "autocomplete": "off", "spellcheck": "false"}
        ),
        help_text="In addresses: small letters, digits and dashes.",
    )
    description = forms.CharField(
        label="Description", required=False, widget=forms.Textarea(attrs={"rows": 2}), max_length=5000
    )


class TeamSettingsForm(forms.Form):
    """Name and description of a team."""

    name = forms.CharField(label="Name", max_length=80)
    description = forms.CharField(
        label="Description", required=False, widget=forms.Textarea(attrs={"rows": 3}), max_length=5000
    )


class ProjectForm(forms.Form):
    """A project's settings."""

    name = forms.CharField(label="Name", max_length=80)
    description = forms.CharField(
        label="Description", required=False, max_length=5000, widget=forms.Textarea(attrs={"rows": 3})
    )
    timezone = forms.CharField(
        label="Time zone",
        max_length=64,
        initial="UTC",
        widget=forms.TextInput(attrs={"list": "timezones", "autocomplete": "off"}),
        help_text="A day of a monitor begins at midnight here.",
    )

    @staticmethod
    def timezones() -> list[str]:
        """Names to choose from, for the page's datalist."""
        return sorted(zone for zone in zoneinfo.available_timezones() if "/" in zone or zone == "UTC")


class ProjectSettingsForm(ProjectForm):
    """The settings of a project that exists."""

    own_code = forms.BooleanField(
        label="Contributors may run scripts of their own",
        required=False,
        help_text="A script runs on the studio's machine under the studio's account. Its environment is "
        "cleaned, and its memory, files, processes and time are limited, but it can reach the network and, where "
        "the kernel has no Landlock, read whatever that account can read. Allow it only where you trust everybody "
        "who contributes.",
    )


class NewProjectForm(ProjectForm):
    """A new project: also its short name and its team."""

    slug = forms.CharField(
        label="Short name",
        max_length=40,
        widget=forms.TextInput(
            attrs={"data-slug-from": "name", "autocomplete": "off", "spellcheck": "false"}
        ),
        help_text="In every address and in client code; it cannot be changed later.",
    )
    team = forms.ModelChoiceField(
        label="Team", queryset=Team.objects.none(), empty_label=None, help_text="Its members see the project."
    )
    field_order = ("name", "slug", "team", "description", "timezone")
    advanced = ("timezone",)

    def __init__(self, *args: Any, teams: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["team"].queryset = teams  # type: ignore[attr-defined]
