"""Links with which somebody joins a team: made, revoked, accepted once.

The secret stands behind the '#' of the link, which browsers send to nobody; it reaches the studio in the body of
a POST and is stored as a hash. 238 random bits need no slow hash, as with tokens.
"""

from __future__ import annotations

import datetime
import secrets
import string
from collections.abc import Mapping
from uuid import UUID

from django.db import transaction

from apps.accounts import events
from apps.accounts.access import Actor, require_user, role_in_team
from apps.accounts.actions.members import check_project_roles, check_team_role, lock_team, put_member
from apps.accounts.actions.signin import begin_login, clear_login_failures
from apps.accounts.actions.users import check_email, create_user
from apps.accounts.audit import record_audit
from apps.accounts.models import Invitation, Membership, Project, Team, User
from apps.accounts.states import InvitationState, Role
from apps.accounts.tokens import digest_of
from foundation.clock import now
from foundation.errors import Conflict, Forbidden, Invalid, NotFound
from foundation.events import publish
from foundation.names import check_name, check_text

PREFIX = "inv_"
MAX_DAYS = 30
DEFAULT_DAYS = 7
MAX_PENDING = 100
_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 40
#: no account can have this name, so that wrong codes are counted apart from wrong passwords
_COUNTED_AS = "invitation:"


@transaction.atomic
def create_invitation(
    *,
    actor: Actor,
    team: Team,
    role: str,
    projects: Mapping[str, str] | None = None,
    days: int = DEFAULT_DAYS,
    note: str = "",
    email: str = "",
    username: str = "",
) -> tuple[Invitation, str]:
    """A link that one person may use once, and its secret (shown once).

    projects: {slug: role}. username: only this account, or a new one of this name. Raises Invalid, NotFound for a
    project that is not the team's, Conflict "invitation.too_many".
    """
    wanted = check_team_role(role)
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= MAX_DAYS:
        raise Invalid("invitation.days", f"An invitation holds 1 to {MAX_DAYS} days.", {"field": "days"})
    if username:
        check_name(username, field="username")
    given = check_project_roles(team, projects or {})
    lock_team(team, actor)
    pending = Invitation.objects.filter(
        team=team, accepted_at__isnull=True, revoked_at__isnull=True, expires_at__gt=now()
    )
    if pending.count() >= MAX_PENDING:
        raise Conflict(
            "invitation.too_many", f"{MAX_PENDING} invitations of this team are open; revoke some first."
        )
    secret = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    invitation = Invitation.objects.create(
        team=team,
        digest=digest_of(secret),
        role=wanted,
        projects={str(project.pk): here.value for project, here in given.items()},
        note=check_text(note, field="note", limit=120).strip(),
        email=check_email(email),
        username=username,
        invited_by=require_user(actor),
        expires_at=now() + datetime.timedelta(days=days),
    )
    told = {"role": wanted.value, "projects": {project.slug: here.value for project, here in given.items()}}
    _audit(actor, invitation, "invitation.create", {**told, "days": days})
    publish(events.InvitationCreated(invitation_id=invitation.pk))
    return invitation, secret


@transaction.atomic
def revoke_invitation(*, actor: Actor, invitation: Invitation) -> Invitation:
    """End a link that nobody has used. Revoking twice changes nothing; Conflict "invitation.used"."""
    lock_team(invitation.team, actor)
    invitation.refresh_from_db()
    if invitation.accepted_at is not None:
        raise Conflict("invitation.used", "Somebody has joined with it already; remove the member instead.")
    if invitation.revoked_at is None:
        invitation.revoked_at = now()
        invitation.save(update_fields=["revoked_at", "updated_at"])
        _audit(actor, invitation, "invitation.revoke")
    return invitation


def find_invitation(secret: object, *, address: str) -> Invitation:
    """The invitation of a secret, whatever its state. Wrong ones are counted like wrong passwords.

    Raises NotFound "invitation.unknown", TooMany.
    """
    begin_login(username=_COUNTED_AS, address=address)
    found = None
    if isinstance(secret, str) and secret.startswith(PREFIX) and len(secret) == len(PREFIX) + _LENGTH:
        related = Invitation.objects.select_related("team", "invited_by")
        found = related.filter(digest=digest_of(secret)).first()
    if found is None:
        raise NotFound(
            "invitation.unknown", "This is no invitation of this studio. Was the whole link copied?"
        )
    clear_login_failures(username=_COUNTED_AS, address=address)
    return found


def check_open(invitation: Invitation) -> None:
    """Raises Conflict "invitation.used", "invitation.revoked" or "invitation.expired" with the sentence for whoever
    holds the link. It also ends when the person who made it is no owner any more."""
    state, team = invitation.state, invitation.team.name
    if state is InvitationState.ACCEPTED:
        raise Conflict("invitation.used", f"This invitation to {team} has been used; each works once.")
    maker = invitation.invited_by
    by_owner = maker.is_active and role_in_team(Actor(user=maker), invitation.team_id) is Role.OWNER
    if state is InvitationState.REVOKED or not by_owner:
        raise Conflict("invitation.revoked", f"This invitation to {team} has been withdrawn.")
    if state is InvitationState.EXPIRED:
        raise Conflict(
            "invitation.expired", f"This invitation to {team} has expired. An owner can send a new one."
        )


def check_person(invitation: Invitation, user: User) -> None:
    """Raises Forbidden "invitation.wrong_person", Conflict "invitation.member" for somebody who is in already."""
    if invitation.username and invitation.username.lower() != user.username.lower():
        raise Forbidden(
            "invitation.wrong_person",
            f"This invitation is for another account than {user.username}, with which you are signed in.",
        )
    role = (
        Membership.objects.filter(team=invitation.team_id, user=user).values_list("role", flat=True).first()
    )
    if role is not None:
        raise Conflict(
            "invitation.member",
            f"You are {Role(role).label.lower()} in {invitation.team.name} already; "
            "the invitation stays open for somebody else.",
        )


@transaction.atomic
def accept_invitation(*, actor: Actor, invitation: Invitation) -> Membership:
    """Join the team as the account that is signed in. Of two at once, one joins. Raises Conflict, Forbidden."""
    user = require_user(actor)
    if actor.project_id is not None or actor.job_id is not None or user.is_service:
        raise Forbidden(
            "token.bound", "A token bound to a project or a job, or a program, cannot join a team."
        )
    invitation = _claim(invitation)
    check_person(invitation, user)
    return _join(actor, invitation, user)


@transaction.atomic
def accept_as_new(
    *, actor: Actor, invitation: Invitation, username: str, password: str, name: str = ""
) -> Membership:
    """Join the team as a new account. actor: whoever asks, signed in as nobody. Raises Conflict, Invalid."""
    invitation = _claim(invitation)
    if invitation.username and invitation.username != username:
        raise Forbidden(
            "invitation.wrong_person", "This invitation is for another name.", {"field": "username"}
        )
    user = create_user(
        actor=actor,
        username=username,
        password=password,
        name=name,
        email=invitation.email,
        team=invitation.team,
    )
    return _join(Actor(user=user, address=actor.address, request_id=actor.request_id), invitation, user)


def _claim(invitation: Invitation) -> Invitation:
    """The row, locked behind the team's, and still open."""
    Team.objects.select_for_update().get(pk=invitation.team_id)
    related = Invitation.objects.select_related("team", "invited_by")
    found: Invitation = related.select_for_update(of=("self",)).get(pk=invitation.pk)
    check_open(found)
    return found


def _join(actor: Actor, invitation: Invitation, user: User) -> Membership:
    keys = [UUID(key) for key in invitation.projects]
    slugs = dict(Project.objects.alive().filter(pk__in=keys, team=invitation.team).values_list("pk", "slug"))
    roles = {slugs[key]: invitation.projects[str(key)] for key in keys if key in slugs}
    member = put_member(
        actor=actor,
        team=invitation.team,
        user=user,
        role=Role(invitation.role),
        projects=roles,
        action="invitation.accept",
        detail={"invitation": str(invitation.pk), "invited_by": invitation.invited_by.username},
    )
    invitation.accepted_at, invitation.accepted_by = now(), user
    invitation.save(update_fields=["accepted_at", "accepted_by", "updated_at"])
    publish(events.InvitationAccepted(invitation_id=invitation.pk, user_id=user.pk))
    return member


def _audit(
    actor: Actor, invitation: Invitation, action: str, detail: dict[str, object] | None = None
) -> None:
    record_audit(
        actor=actor,
        team=invitation.team,
        action=action,
        subject_kind="invitation",
        subject_id=invitation.pk,
        subject_title=invitation.label,
        detail=detail,
    )
