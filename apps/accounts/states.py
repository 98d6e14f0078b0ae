"""Roles and token scopes."""

from __future__ import annotations

from django.db import models


class Role(models.TextChoices):
    """What a member may do in a team and in its projects; each role includes the ones before it.

    member: sees the team, and only those projects in which another role was given. viewer: read everything. contributor: datasets, runs, deployments' inferences, labels, own things.
    maintainer: promotions to production, deployments, settings. owner: members, projects, the team itself.
    """

    MEMBER = "member", "Member"
    VIEWER = "viewer", "Viewer"
    CONTRIBUTOR = "contributor", "Contributor"
    MAINTAINER = "maintainer", "Maintainer"
    OWNER = "owner", "Owner"

    @property
    def rank(self) -> int:
        """0 for member, 1 for viewer, up to 4 for owner."""
        return list(Role).index(self)


#: what can be given in a single project, beside the role in the team
PROJECT_ROLES = (Role.VIEWER, Role.CONTRIBUTOR, Role.MAINTAINER)


class InvitationState(models.TextChoices):
    """What has become of an invitation; derived from its row, never stored."""

    PENDING = "pending", "Pending"
    ACCEPTED = "accepted", "Accepted"
    EXPIRED = "expired", "Expired"
    REVOKED = "revoked", "Revoked"


class Scope(models.TextChoices):
    """What a token may do at most, whatever its user may."""

    READ = "read", "Read only"
    WRITE = "write", "Read and write"
