"""Users, teams, memberships, projects, tokens, audit events, failed logins."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.accounts.states import Role, Scope
from foundation.clock import now
from foundation.ids import uuid7
from foundation.models import Identified, Stamped, Trashable, TrashQuerySet


class User(AbstractUser):
    """A person or a service account. Users are deactivated, never deleted: history names them."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    is_service = models.BooleanField(
        "service account", default=False, help_text="A program's account: it has tokens but cannot sign in."
    )

    @property
    def label(self) -> str:
        """The name shown to others."""
        return self.get_full_name() or self.username


class Team(Stamped):
    """Owns projects and members."""

    slug = models.CharField(max_length=40, unique=True)
    name = models.CharField(max_length=80)
    description = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Membership(Stamped):
    """One user's role in one team."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.VIEWER)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "user"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}: {self.role}"


class ProjectQuerySet(TrashQuerySet):
    """Which projects somebody sees."""

    def of_user(self, user: User) -> ProjectQuerySet:
        """Projects of the user's teams; all for a superuser."""
        return self if user.is_superuser else self.filter(team__memberships__user=user)


class Project(Stamped, Trashable):
    """The home of datasets, experiments, models, deployments and monitors. Slugs are global, never reused."""

    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="projects")
    slug = models.CharField(max_length=40, unique=True)
    name = models.CharField(max_length=80)
    description = models.TextField(blank=True, default="")
    timezone = models.CharField(
        max_length=64, default="UTC", help_text="Windows of monitors and schedules are aligned to it."
    )
    own_code = models.BooleanField(
        "own scripts", default=False, help_text="Whether contributors may run Python files of their own."
    )
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")

    objects = ProjectQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ProjectObject(Stamped, Trashable):
    """Base of everything that belongs to exactly one project."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    objects = TrashQuerySet.as_manager()

    class Meta:
        abstract = True


class NamedProjectObject(ProjectObject):
    """With a name that is unique in its project among what is not in the trash."""

    name = models.CharField(max_length=63)
    description = models.TextField(blank=True, default="")

    class Meta:
        abstract = True
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"],
                condition=Q(deleted_at__isnull=True),
                name="%(class)s_name_in_project",
            )
        ]

    def __str__(self) -> str:
        return self.name


class ApiToken(Identified):
    """A secret for programs, stored as a hash. Personal, or a job's (then job_id and fence are set)."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, blank=True, related_name="tokens")
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=16, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scope = models.CharField(max_length=8, choices=Scope.choices, default=Scope.WRITE)
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, null=True, blank=True, related_name="tokens"
    )
    job_id = models.UUIDField(null=True, blank=True, editable=False)
    fence = models.BigIntegerField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=now, db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "API token"
        indexes = [models.Index(fields=["job_id"], condition=Q(job_id__isnull=False), name="token_of_job")]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class AuditEvent(models.Model):
    """Who changed what, and when. Append-only (a trigger refuses anything else), partitioned by month."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField(default=now, editable=False)
    user = models.ForeignKey(
        User, on_delete=models.DO_NOTHING, null=True, related_name="+", db_constraint=False
    )
    actor_label = models.CharField(max_length=160, blank=True, default="")
    token_id = models.UUIDField(null=True)
    team = models.ForeignKey(
        Team, on_delete=models.DO_NOTHING, null=True, related_name="+", db_constraint=False
    )
    project = models.ForeignKey(
        Project, on_delete=models.DO_NOTHING, null=True, related_name="+", db_constraint=False
    )
    action = models.CharField(max_length=64)
    subject_kind = models.CharField(max_length=32, blank=True, default="")
    subject_id = models.CharField(max_length=64, blank=True, default="")
    subject_title = models.CharField(max_length=200, blank=True, default="")
    detail: models.JSONField[Any, Any] = models.JSONField(default=dict)
    request_id = models.CharField(max_length=64, blank=True, default="")
    address = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        ordering = ["-at"]
        indexes = [
            models.Index(fields=["project", "-at"], name="audit_project_at"),
            models.Index(fields=["team", "-at"], name="audit_team_at"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_label} {self.action} {self.subject_title}"


class LoginFailure(models.Model):
    """One failed sign-in, kept for the rate limit only."""

    at = models.DateTimeField(default=now, db_index=True)
    username = models.CharField(max_length=150)
    address = models.CharField(max_length=64)

    class Meta:
        indexes = [models.Index(fields=["username", "at"], name="login_failure_username")]

    def __str__(self) -> str:
        return f"{self.username} from {self.address} at {self.at:%Y-%m-%d %H:%M}"
