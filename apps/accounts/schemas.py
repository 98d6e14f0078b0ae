"""What requests and answers of this app's REST API look like."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.accounts.actions import MAX_TOKEN_DAYS
from apps.accounts.models import ApiToken, AuditEvent, Invitation, Membership, Project, Team
from apps.accounts.queries import invited_projects, roles_by_project
from apps.accounts.states import Role, Scope
from apps.accounts.trail import as_record


class TeamSerializer(serializers.ModelSerializer[Team]):
    """A team."""

    class Meta:
        model = Team
        fields = ["id", "slug", "name", "description", "created_at"]
        read_only_fields = ["id", "created_at"]


class TeamChange(serializers.Serializer[Any]):
    """What can be changed of a team."""

    name = serializers.CharField(required=False)
    description = serializers.CharField(required=False, allow_blank=True)


class MemberSerializer(serializers.ModelSerializer[Membership]):
    """A member and the role."""

    username = serializers.CharField(source="user.username")
    name = serializers.CharField(source="user.label")
    projects = serializers.SerializerMethodField(help_text="Roles given in single projects")
    is_active = serializers.BooleanField(source="user.is_active", read_only=True)
    last_login = serializers.DateTimeField(source="user.last_login", read_only=True)

    class Meta:
        model = Membership
        fields = ["username", "name", "role", "projects", "is_active", "last_login", "created_at"]
        read_only_fields = ["created_at"]

    def get_projects(self, member: Membership) -> dict[str, str]:
        return roles_by_project(member)


_PROJECTS = "{project: role} in single projects, in place of all such roles"


class TeamCreate(serializers.Serializer[Any]):
    """What a new team needs."""

    slug = serializers.CharField()
    name = serializers.CharField(required=False, default="", allow_blank=True)
    description = serializers.CharField(required=False, default="", allow_blank=True)


class MemberAdd(serializers.Serializer[Any]):
    """Add somebody who has an account, or (new_account) make the account with a one-time password."""

    username = serializers.CharField(max_length=150)
    role = serializers.ChoiceField(choices=Role.choices)
    projects = serializers.DictField(child=serializers.CharField(), required=False, help_text=_PROJECTS)
    new_account = serializers.BooleanField(required=False, default=False)
    name = serializers.CharField(required=False, default="", allow_blank=True)
    email = serializers.CharField(required=False, default="", allow_blank=True)


class MemberAdded(MemberSerializer):
    """A member; with `new_account` also the one-time password, which is shown this once."""

    password = serializers.CharField(required=False)

    class Meta(MemberSerializer.Meta):
        fields = [*MemberSerializer.Meta.fields, "password"]


class MemberChange(serializers.Serializer[Any]):
    """Change a member's roles."""

    role = serializers.ChoiceField(choices=Role.choices, required=False)
    projects = serializers.DictField(child=serializers.CharField(), required=False, help_text=_PROJECTS)


class OneTimePassword(serializers.Serializer[Any]):
    """A password that works once, to choose another."""

    password = serializers.CharField()


class InvitationSerializer(serializers.ModelSerializer[Invitation]):
    """A link to join a team, without its secret."""

    state = serializers.CharField()
    projects = serializers.SerializerMethodField()
    invited_by = serializers.CharField(source="invited_by.username")
    accepted_by = serializers.CharField(source="accepted_by.username", default=None)

    class Meta:
        model = Invitation
        fields = [
            "id",
            "state",
            "role",
            "projects",
            "note",
            "email",
            "username",
            "invited_by",
            "created_at",
            "expires_at",
            "accepted_at",
            "accepted_by",
            "revoked_at",
        ]

    def get_projects(self, invitation: Invitation) -> dict[str, str]:
        known = self.context.get("projects")
        known = invited_projects([invitation]) if known is None else known
        return {known[key].slug: role for key, role in invitation.projects.items() if key in known}


class InvitationCreate(serializers.Serializer[Any]):
    """What a new invitation needs."""

    role = serializers.ChoiceField(choices=Role.choices)
    projects = serializers.DictField(
        child=serializers.CharField(), required=False, default=dict, help_text="{project: role}"
    )
    days = serializers.IntegerField(required=False, default=7, help_text="1 to 30")
    note = serializers.CharField(required=False, default="", allow_blank=True, help_text="For whom it is")
    email = serializers.CharField(required=False, default="", allow_blank=True)
    username = serializers.CharField(
        required=False, default="", allow_blank=True, help_text="Only this account may accept it"
    )


class InvitationCreated(InvitationSerializer):
    """A new invitation with its code and link, which are shown this once."""

    code = serializers.CharField()
    link = serializers.CharField()
    sent = serializers.BooleanField(help_text="Whether a mail with the link is on its way")

    class Meta(InvitationSerializer.Meta):
        fields = [*InvitationSerializer.Meta.fields, "code", "link", "sent"]


class InvitationAccept(serializers.Serializer[Any]):
    """The code (what stands behind the '#' of the link). Without a token also the name and password of the new
    account."""

    code = serializers.CharField()
    username = serializers.CharField(required=False)
    password = serializers.CharField(required=False, trim_whitespace=False)
    name = serializers.CharField(required=False, default="", allow_blank=True)


class InvitationAnswer(serializers.Serializer[Any]):
    """Where one is now."""

    team = serializers.CharField()
    username = serializers.CharField()
    role = serializers.CharField()
    projects = serializers.DictField(child=serializers.CharField())


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    """A token without its secret."""

    user = serializers.CharField(source="user.username", default=None)
    project = serializers.CharField(source="project.slug", default=None)

    class Meta:
        model = ApiToken
        fields = [
            "id",
            "name",
            "prefix",
            "user",
            "scope",
            "project",
            "created_at",
            "expires_at",
            "revoked_at",
            "last_used_at",
        ]


class TokenCreate(serializers.Serializer[Any]):
    """What a new token needs."""

    name = serializers.CharField(max_length=80)
    scope = serializers.ChoiceField(choices=Scope.choices, default=Scope.WRITE)
    project = serializers.CharField(required=False, allow_null=True, default=None)
    days = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=1, max_value=MAX_TOKEN_DAYS
    )


class TokenCreated(TokenSerializer):
    """A new token with its secret, which is shown this once."""

    secret = serializers.CharField()

    class Meta(TokenSerializer.Meta):
        fields = [*TokenSerializer.Meta.fields, "secret"]


class AuditSerializer(serializers.Serializer[AuditEvent]):
    """One change of meaning."""

    id = serializers.UUIDField()
    at = serializers.DateTimeField()
    actor = serializers.CharField()
    action = serializers.CharField()
    subject_kind = serializers.CharField()
    subject_id = serializers.CharField()
    subject_title = serializers.CharField()
    project = serializers.CharField(allow_null=True)
    detail = serializers.DictField()
    token = serializers.CharField(allow_null=True)
    address = serializers.CharField()
    request_id = serializers.CharField()

    def to_representation(self, instance: AuditEvent) -> dict[str, Any]:
        return {"id": str(instance.pk), **as_record(instance)}


class ProjectSerializer(serializers.ModelSerializer[Project]):
    """A project."""

    team = serializers.CharField(source="team.slug", read_only=True)

    class Meta:
        model = Project
        fields = [
            "id", "slug", "name", "description", "team", "timezone", "own_code", "created_at", "updated_at"
        ]  # fmt: skip
        read_only_fields = ["id", "slug", "team", "created_at", "updated_at"]


class ProjectCreate(serializers.Serializer[Any]):
    """What a new project needs."""

    slug = serializers.CharField()
    name = serializers.CharField(required=False, default="", allow_blank=True)
    team = serializers.CharField(required=False, allow_null=True, default=None)
    description = serializers.CharField(required=False, default="", allow_blank=True)
    timezone = serializers.CharField(required=False, default="UTC")


class ProjectChange(serializers.Serializer[Any]):
    """What can be changed of a project."""

    name = serializers.CharField(required=False)
    description = serializers.CharField(required=False, allow_blank=True)
    timezone = serializers.CharField(required=False)
    own_code = serializers.BooleanField(
        required=False, help_text="Whether contributors may run Python files of their own"
    )


class MeSerializer(serializers.Serializer[Any]):
    """The caller."""

    username = serializers.CharField()
    name = serializers.CharField()
    email = serializers.CharField()
    is_admin = serializers.BooleanField()
    scope = serializers.CharField()
    project = serializers.CharField(allow_null=True)
    teams = serializers.ListField(child=serializers.DictField())


class MeChange(serializers.Serializer[Any]):
    """What one can change of oneself."""

    name = serializers.CharField(required=False, allow_blank=True, help_text="Shown to others")
    email = serializers.CharField(required=False, allow_blank=True)


class PasswordChange(serializers.Serializer[Any]):
    """The present password and another one."""

    old = serializers.CharField(trim_whitespace=False)
    new = serializers.CharField(trim_whitespace=False)


class UsageProject(serializers.Serializer[Any]):
    """What one project uses; bytes, and CPU seconds of this month."""

    project = serializers.CharField()
    kept = serializers.IntegerField(help_text="All bytes together")
    values = serializers.DictField(child=serializers.FloatField())


class UsageSerializer(serializers.Serializer[Any]):
    """What a team uses, when that was measured, and how many jobs wait or run now."""

    measured_at = serializers.DateTimeField()
    kept = serializers.IntegerField()
    totals = serializers.DictField(child=serializers.FloatField())
    projects = UsageProject(many=True)
    running = serializers.IntegerField()


class Permission(serializers.Serializer[Any]):
    """One thing that can be done, and the smallest role that may."""

    area = serializers.CharField()
    text = serializers.CharField()
    role = serializers.CharField()
