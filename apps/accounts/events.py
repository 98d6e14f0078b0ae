"""News of this app, published on commit."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class ProjectCreated:
    """A project has come into being."""

    project_id: UUID


@dataclass(frozen=True)
class ProjectTrashed:
    """A project was moved to the trash."""

    project_id: UUID


@dataclass(frozen=True)
class MemberRemoved:
    """A user no longer belongs to a team."""

    team_id: UUID
    user_id: UUID


@dataclass(frozen=True)
class TokenRevoked:
    """A token has stopped being valid."""

    token_id: UUID


@dataclass(frozen=True)
class InvitationCreated:
    """Somebody was invited; the secret of the link is nowhere in it."""

    invitation_id: UUID


@dataclass(frozen=True)
class InvitationAccepted:
    """Somebody has joined a team by a link."""

    invitation_id: UUID
    user_id: UUID
