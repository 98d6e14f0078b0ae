"""The staff admin: accounts and teams. Secrets, history and keys are read-only; changes of meaning go through actions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db import transaction
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from apps.accounts.audit import record_audit
from apps.accounts.models import (
    ApiToken,
    AuditEvent,
    Invitation,
    LoginFailure,
    Membership,
    Project,
    ProjectRole,
    Team,
    TeamUsage,
    User,
)

admin.site.unregister(Group)


class ReadOnlyAdmin(ModelAdmin):
    """Looking, without touching."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class _Audited:
    """What staff change here leaves an audit row, as every change does: which fields, never their values."""

    def log_addition(self, request: Any, obj: Any, message: Any) -> Any:
        self._audit(request, obj, "create", message)
        return super().log_addition(request, obj, message)  # type: ignore[misc]

    def log_change(self, request: Any, obj: Any, message: Any) -> Any:
        self._audit(request, obj, "update", message)
        return super().log_change(request, obj, message)  # type: ignore[misc]

    @staticmethod
    def _audit(request: Any, obj: Any, verb: str, message: Any) -> None:
        kind = obj._meta.model_name
        record_audit(
            actor=request.actor,
            team=obj if kind == "team" else None,
            action=f"{kind}.{verb}",
            subject_kind=kind,
            subject_id=obj.pk,
            subject_title=obj.username if kind == "user" else obj.slug,
            detail={"by": "administration", "changes": message},
        )


@admin.register(User)
class UserAdmin(_Audited, DjangoUserAdmin, ModelAdmin):
    """Accounts: deactivate instead of deleting, since history names them."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "is_active", "is_superuser", "is_service", "last_login")
    list_filter = ("is_active", "is_superuser", "is_service")
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser", "is_service")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    filter_horizontal = ()

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> Any:
        with transaction.atomic():
            return super().user_change_password(request, id, form_url)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class MembershipInline(TabularInline):
    """Members are shown here and changed on the team's page, where the last owner is protected."""

    model = Membership
    extra = 0
    can_delete = False
    readonly_fields = ("user", "role")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Team)
class TeamAdmin(_Audited, ModelAdmin):
    """Teams and who is in them."""

    list_display = ("name", "slug", "created_at")
    search_fields = ("name", "slug")
    readonly_fields = ("slug", "created_at", "updated_at")
    inlines = (MembershipInline,)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Project)
class ProjectAdmin(ReadOnlyAdmin):
    """Projects, including those in the trash."""

    list_display = ("slug", "name", "team", "timezone", "created_at", "deleted_at")
    list_filter = ("team",)
    search_fields = ("slug", "name")


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Tokens by their first characters; the secret is nowhere."""

    list_display = ("name", "prefix", "user", "scope", "project", "last_used_at", "expires_at", "revoked_at")
    list_filter = ("scope",)
    search_fields = ("name", "prefix", "user__username")
    exclude = ("digest",)


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    """Links to join a team; the secret is nowhere."""

    list_display = ("label", "team", "role", "invited_by", "expires_at", "accepted_by", "revoked_at")
    search_fields = ("note", "username", "email", "team__slug")
    exclude = ("digest",)


@admin.register(ProjectRole)
class ProjectRoleAdmin(ReadOnlyAdmin):
    """Roles in single projects; owners change them on the team's pages."""

    list_display = ("membership", "project", "role", "updated_at")
    list_filter = ("role",)
    search_fields = ("membership__user__username", "project__slug")


@admin.register(TeamUsage)
class TeamUsageAdmin(ReadOnlyAdmin):
    """When a team's use was last measured, and how long that took."""

    list_display = ("team", "at", "seconds")


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """The audit trail."""

    list_display = ("at", "actor_label", "action", "subject_kind", "subject_title", "project")
    list_filter = ("action",)
    search_fields = ("subject_title", "actor_label", "request_id")
    date_hierarchy = "at"


@admin.register(LoginFailure)
class LoginFailureAdmin(ReadOnlyAdmin):
    """Attempts to sign in that did not succeed, of the last half hour."""

    list_display = ("at", "username", "address")
    search_fields = ("username", "address")
