"""Roles and token scopes."""

from __future__ import annotations

from django.db import models


class Role(models.TextChoices):
    """What a member may do in a team and in all its projects; each role includes the ones before it.

    viewer: read everything. contributor: datasets, runs, deployments' inferences, labels, own things.
    maintainer: promotions to production, deployments, settings. owner: members, projects, the team itself.
    """

    VIEWER = "viewer", "Viewer"
    CONTRIBUTOR = "contributor", "Contributor"
    MAINTAINER = "maintainer", "Maintainer"
    OWNER = "owner", "Owner"

    @property
    def rank(self) -> int:
        """1 for viewer up to 4 for owner."""
        return list(Role).index(self) + 1


class Scope(models.TextChoices):
    """What a token may do at most, whatever its user may."""

    READ = "read", "Read only"
    WRITE = "write", "Read and write"
