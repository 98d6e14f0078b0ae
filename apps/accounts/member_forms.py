"""Forms of members: roles in the team and in single projects, invitations, one-time passwords, joining."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms

from apps.accounts.forms import STRENGTH_HELP
from apps.accounts.models import Project
from apps.accounts.states import PROJECT_ROLES, Role

DAYS = (("1", "a day"), ("7", "7 days"), ("14", "14 days"), ("30", "30 days"))
TEAM_ROLES = tuple(
    (role.value, f"{role.label} – {what}")
    for role, what in (
        (Role.MEMBER, "sees only projects in which a role is given below"),
        (Role.VIEWER, "reads everything in all projects"),
        (Role.CONTRIBUTOR, "also uploads, trains, registers"),
        (Role.MAINTAINER, "also approves, deploys, makes projects"),
        (Role.OWNER, "also manages members and the team"),
    )
)
_PREFIX = "in-"


class RolesForm(forms.Form):
    """A role in the team, and one in each project where it differs."""

    role = forms.ChoiceField(
        label="Role in the team",
        choices=TEAM_ROLES,
        initial=Role.CONTRIBUTOR,
        widget=forms.RadioSelect,
        help_text="Holds in every project where no other role is given.",
    )
    wide: tuple[str, ...] = ("role",)

    def __init__(self, *args: Any, projects: Iterable[Project], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project_names: list[str] = []
        for project in projects:
            name = _PREFIX + project.slug
            self.project_names.append(name)
            self.fields[name] = forms.ChoiceField(
                label=project.name,
                required=False,
                choices=[("", "as in the team"), *((role.value, role.label) for role in PROJECT_ROLES)],
            )

    @property
    def plain_fields(self) -> list[Any]:
        """Bound fields beside those of projects."""
        return [self[name] for name in self.fields if name not in self.project_names]

    @property
    def project_fields(self) -> list[Any]:
        """Bound fields of projects."""
        return [self[name] for name in self.project_names]

    @property
    def has_project_roles(self) -> bool:
        """Whether any is set, so that the part is shown open."""
        return any(bound.value() for bound in self.project_fields)

    def values(self) -> dict[str, Any]:
        """What an action takes: the fields, and projects as {slug: role}."""
        data = dict(self.cleaned_data)
        given = {name.removeprefix(_PREFIX): data.pop(name) for name in self.project_names}
        return {**data, "projects": {slug: role for slug, role in given.items() if role}}


class InviteForm(RolesForm):
    """A link for one person."""

    note = forms.CharField(
        label="For whom", max_length=120, help_text="A name that you recognise in the list of invitations."
    )
    email = forms.EmailField(
        label="E-mail",
        required=False,
        max_length=254,
        help_text="Kept with the new account; the link is mailed when this studio can send mail.",
    )
    username = forms.CharField(
        label="Only for the account",
        required=False,
        max_length=63,
        help_text="Whoever holds the link may use it once. Name an account to let only that one in.",
    )
    days = forms.ChoiceField(label="Holds for", choices=DAYS, initial="7")
    field_order = ("note", "email", "role", "days", "username")

    def clean_days(self) -> int:
        """As a number."""
        return int(self.cleaned_data["days"])


class CreateMemberForm(RolesForm):
    """A new account with a one-time password."""

    username = forms.CharField(
        label="Name of the account", max_length=63, help_text="Letters, digits, '_', '.' and '-'."
    )
    name = forms.CharField(label="Name of the person", max_length=150, required=False)
    email = forms.EmailField(label="E-mail", max_length=254, required=False)
    field_order = ("username", "name", "email", "role")


class AddMemberForm(RolesForm):
    """Somebody who has an account in this studio."""

    username = forms.CharField(label="Name of the account", max_length=150)
    field_order = ("username", "role")


class CodeForm(forms.Form):
    """The code of an invitation, for who has no JavaScript or only the code."""

    code = forms.CharField(
        label="Invitation code",
        max_length=300,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text="What stands behind the # of the link; it begins with inv_.",
    )

    def clean_code(self) -> str:
        """The code itself, also out of a whole link."""
        return str(self.cleaned_data["code"]).strip().rpartition("#")[2]


class NewAccountForm(forms.Form):
    """The account with which somebody joins."""

    username = forms.CharField(
        label="Choose a name",
        max_length=63,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none"}),
        help_text="Letters, digits, '_', '.' and '-'; it cannot be changed later.",
    )
    name = forms.CharField(
        label="Your name",
        max_length=150,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    password = forms.CharField(
        label="Choose a password",
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=STRENGTH_HELP,
    )
    again = forms.CharField(
        label="The password again",
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        """Both passwords must be the same."""
        data: dict[str, Any] = super().clean() or {}
        if {"password", "again"} <= data.keys() and data["password"] != data.pop("again"):
            self.add_error("again", "The two are not the same.")
        return data
