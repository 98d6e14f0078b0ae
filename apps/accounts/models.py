"""Users, teams, memberships, projects, tokens, audit events, failed logins."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now
from django.utils.crypto import salted_hmac

from apps.accounts.idempotency.models import KeyedAnswer as KeyedAnswer
from apps.accounts.states import InvitationState, Role, Scope
from foundation.clock import now
from foundation.ids import uuid7
from foundation.models import Identified, Stamped, Trashable, TrashQuerySet


class User(AbstractUser):
    """A person or a service account. Users are deactivated, never deleted: history names them."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    is_service = models.BooleanField(
        "service account", default=False, help_text="A program's account: it has tokens but cannot sign in."
    )
    one_time_until = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="The password was given by an owner: it works until then, and only to choose another.",
    )
    session_epoch = models.PositiveIntegerField(
        default=0, editable=False, help_text="Raised to end all sessions of this account."
    )

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """Django's, over the epoch too: raising it ends every session everywhere, the gateway's included."""
        plain: str = super()._get_session_auth_hash(secret=secret)  # type: ignore[misc]
        if not self.session_epoch:
            return plain
        salt = "atelier.accounts.session_epoch"
        return salted_hmac(
            salt, f"{plain} {self.session_epoch}", secret=secret, algorithm="sha256"
        ).hexdigest()

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
        """Projects that the user may read: those of the teams in which the role reaches all projects, and those
        in which a role was given; all for a superuser."""
        if user.is_superuser:
            return self
        everywhere = Membership.objects.filter(team=OuterRef("team"), user=user).exclude(role=Role.MEMBER)
        here = ProjectRole.objects.filter(project=OuterRef("pk"), membership__user=user)
        return self.filter(Q(Exists(everywhere)) | Q(Exists(here)))


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


class ProjectRole(Stamped):
    """A member's role in one project, in place of the role in the team. It goes with the membership."""

    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="project_roles")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=16, choices=Role.choices)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["membership", "project"], name="project_role_once")]

    def __str__(self) -> str:
        return f"{self.membership.user} in {self.project}: {self.role}"


class Invitation(Stamped):
    """A link with which one person joins a team once. Only the hash of its secret is stored.

    projects: {project id: role} beside the role in the team. username: the only account that may accept it,
    "" for whoever holds the link. note: for whom it is, in the words of who made it.
    """

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="invitations")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    role = models.CharField(max_length=16, choices=Role.choices)
    projects: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    note = models.CharField(max_length=120, blank=True, default="")
    email = models.EmailField(blank=True, default="")
    username = models.CharField(max_length=63, blank=True, default="")
    invited_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["team", "-created_at"], name="invitation_of_team")]

    def __str__(self) -> str:
        return f"invitation to {self.team} as {self.role}"

    @property
    def state(self) -> InvitationState:
        """Accepted and revoked are for ever; what is neither expires."""
        if self.accepted_at is not None:
            return InvitationState.ACCEPTED
        if self.revoked_at is not None:
            return InvitationState.REVOKED
        return InvitationState.PENDING if self.expires_at > now() else InvitationState.EXPIRED

    @property
    def label(self) -> str:
        """For whom it is, as lists and the audit trail name it."""
        return self.note or self.username or self.email or "whoever has the link"


class TeamUsage(models.Model):
    """What a team's projects used when it was last measured; measuring reads the store, so it is kept.

    data: {project id: {"datasets": bytes, …}}; seconds: how long the measuring took.
    """

    team = models.OneToOneField(Team, on_delete=models.CASCADE, primary_key=True, related_name="+")
    at = models.DateTimeField(default=now)
    data: models.JSONField[Any, Any] = models.JSONField(default=dict)
    seconds = models.FloatField(default=0)

    class Meta:
        verbose_name_plural = "team usage"

    def __str__(self) -> str:
        return f"usage of {self.team_id} at {self.at:%Y-%m-%d %H:%M}"


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
            models.Index(fields=["team", "actor_label", "-at"], name="audit_team_actor"),
            models.Index(fields=["team", "action", "-at"], name="audit_team_action"),
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
