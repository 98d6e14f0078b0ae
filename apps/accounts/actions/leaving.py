"""Taking somebody out of a team: all access ends, and what went on in their name is settled."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from apps.accounts import events
from apps.accounts.access import Actor
from apps.accounts.actions.members import keep_an_owner, lock_team
from apps.accounts.actions.users import sign_out_everywhere
from apps.accounts.audit import record_audit
from apps.accounts.models import ApiToken, Membership, Team
from apps.accounts.offboarding import is_last_team, open_invitations, settle_estates, tokens_that_end
from apps.accounts.states import Role
from foundation.clock import now
from foundation.errors import NotFound
from foundation.events import publish


@transaction.atomic
def remove_member(*, actor: Actor, team: Team, username: str, take_over: bool = False) -> None:
    """Take a member out of the team; one may also leave by oneself.

    Ends at once: the role in the team and its projects, tokens bound to them, links to join that they have made;
    with their last team also all other tokens and every session. Running jobs and schedules in their name end
    too, or (`take_over`) go on in the actor's. Raises NotFound, Conflict for the last owner.
    """
    leaves = actor.user is not None and actor.user.username == username
    if leaves:
        Team.objects.select_for_update().get(pk=team.pk)
    else:
        lock_team(team, actor)
    member = Membership.objects.select_related("user").filter(team=team, user__username=username).first()
    if member is None:
        raise NotFound("member.not_found", f"'{username[:60]}' is not a member of {team.name}.")
    user = member.user
    if member.role == Role.OWNER:
        keep_an_owner(team, without=user)
    last = is_last_team(team, user)
    ended: dict[str, Any] = settle_estates(
        actor=actor, team=team, user=user, take_over=take_over and not leaves
    )
    tokens = ApiToken.objects.filter(tokens_that_end(team, user, is_last=last))
    revoked = list(tokens.values_list("pk", flat=True))
    tokens.filter(pk__in=revoked).update(revoked_at=now())
    ended["tokens"] = len(revoked)
    ended["invitations"] = open_invitations(team, user).update(revoked_at=now())
    member.delete()
    record_audit(
        actor=actor,
        team=team,
        action="member.leave" if leaves else "member.remove",
        subject_kind="user",
        subject_id=user.pk,
        subject_title=username,
        detail={"ended": ended, "taken_over": take_over, "last_team": last},
    )
    if last:
        sign_out_everywhere(actor=actor, user=user, team=team)
    for token in revoked:
        publish(events.TokenRevoked(token_id=token))
    publish(events.MemberRemoved(team_id=team.pk, user_id=user.pk))
