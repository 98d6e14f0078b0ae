"""What a person leaves behind in a team, and how it ends.

Apps above register what they keep for a person: `register_estate` in their offboarding.py, which is imported
when the studio starts. It is settled in the transaction that removes the member.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from django.db.models import Q, QuerySet

from apps.accounts.access import Actor
from apps.accounts.models import ApiToken, Invitation, Membership, Team, User
from foundation.clock import now


class Estate(Protocol):
    """One kind of thing that goes on in a person's name: running jobs, schedules."""

    #: how the page calls them: ("running job", "running jobs")
    nouns: tuple[str, str]

    def count(self, *, team: Team, user: User) -> int:
        """How many there are."""
        ...

    def settle(self, *, actor: Actor, team: Team, user: User, take_over: bool) -> int:
        """End them, or (`take_over`) let them go on in the name of the actor. Returns how many."""
        ...


@dataclass(frozen=True)
class Left:
    """So many of one kind."""

    noun: str
    count: int


@dataclass(frozen=True)
class Departure:
    """What ends when a member leaves a team. is_last: it is their last team, so that sessions and all tokens end;
    is_staff: an administrator of the studio, who goes on seeing every team."""

    tokens: int = 0
    invitations: int = 0
    is_last: bool = True
    is_admin: bool = False
    other_teams: list[str] = field(default_factory=list)
    work: list[Left] = field(default_factory=list)


_ESTATES: dict[str, Estate] = {}


def register_estate(name: str, estate: Estate) -> None:
    """Make a kind of thing known under a name, once."""
    _ESTATES[name] = estate


def tokens_that_end(team: Team, user: User, *, is_last: bool) -> Q:
    """Which of a person's tokens end: all with the last team, else those bound to one of this team's projects."""
    mine = Q(user=user, revoked_at__isnull=True, job_id__isnull=True)
    return mine if is_last else mine & Q(project__team=team)


def is_last_team(team: Team, user: User) -> bool:
    """Whether the account reaches nothing any more once it is out of this team."""
    return not user.is_superuser and not Membership.objects.filter(user=user).exclude(team=team).exists()


def departure_of(team: Team, user: User) -> Departure:
    """What would end if the member was removed now."""
    last = is_last_team(team, user)
    others = Membership.objects.filter(user=user).exclude(team=team).order_by("team__name")
    counts = ((estate.nouns, estate.count(team=team, user=user)) for estate in _ESTATES.values())
    return Departure(
        tokens=ApiToken.objects.filter(tokens_that_end(team, user, is_last=last)).count(),
        invitations=open_invitations(team, user).count(),
        is_last=last,
        is_admin=user.is_superuser,
        other_teams=list(others.values_list("team__name", flat=True)),
        work=[Left(nouns[0] if count == 1 else nouns[1], count) for nouns, count in counts if count],
    )


def open_invitations(team: Team, user: User) -> QuerySet[Invitation]:
    """Links that this person has made and nobody has used."""
    return Invitation.objects.filter(
        team=team, invited_by=user, accepted_at__isnull=True, revoked_at__isnull=True, expires_at__gt=now()
    )


def settle_estates(*, actor: Actor, team: Team, user: User, take_over: bool) -> dict[str, int]:
    """Settle everything that goes on in the person's name; name -> how many."""
    settled = {  # from the top down: a study is stopped before its jobs, as its coordinator locks them
        name: estate.settle(actor=actor, team=team, user=user, take_over=take_over)
        for name, estate in reversed(list(_ESTATES.items()))
    }
    return {name: count for name, count in settled.items() if count}
