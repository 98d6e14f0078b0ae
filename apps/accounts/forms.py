"""Forms of sign-in, account, tokens, teams and projects."""

from __future__ import annotations

import zoneinfo
from typing import Any

from django import forms
from django.contrib.auth.forms import PasswordChangeForm

from apps.accounts.models import Project, Team
from apps.accounts.states import Role, Scope

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


class PasswordForm(PasswordChangeForm):  # type: ignore[type-arg]  # generic only in the stubs
    """Django's form and its rules, in our words."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["old_password"].label = "Present password"
        new = self.fields["new_password1"]
        new.help_text = "At least 10 characters; not a common one, not digits alone, not like your name."
        again = self.fields["new_password2"]
        again.label, again.help_text = "New password, again", ""


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


class MemberForm(forms.Form):
    """Add somebody to a team, or change a role."""

    username = forms.CharField(label="Name of the account", max_length=150)
    role = forms.ChoiceField(label="Role", choices=Role.choices, initial=Role.CONTRIBUTOR)


class TeamForm(forms.Form):
    """A new team."""

    name = forms.CharField(label="Name", max_length=80)
    slug = forms.CharField(
        label="Short name", max_length=40, help_text="In addresses: small letters, digits and dashes."
    )
    description = forms.CharField(
        label="Description", required=False, widget=forms.Textarea(attrs={"rows": 2}), max_length=5000
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
        "cleaned, and its memory, files, processes and time are limited, but it can read whatever that account "
        "can read and reach the network. Allow it only where you trust everybody who contributes.",
    )


class NewProjectForm(ProjectForm):
    """A new project: also its short name and its team."""

    slug = forms.CharField(
        label="Short name",
        max_length=40,
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
