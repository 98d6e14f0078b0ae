"""Environments, the jobs that use them, and their folders on the hosts."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models.functions import Now
from django.urls import reverse

from apps.accounts.models import NamedProjectObject
from apps.environments.states import EnvironmentState
from apps.jobs.models import Job
from foundation.models import Identified


class Environment(NamedProjectObject):
    """Requirements of a project and what they were resolved to.

    `request` is the digest of the requirements as they were written (without comments) for one Python: the same
    lines are the same environment. `digest` is that of the lock: environments of different projects that
    resolve to the same packages share one folder. `size` is in bytes, `packages` a list of {"name", "version"}.
    """

    requirements = models.TextField()
    request = models.CharField(max_length=64)
    python = models.CharField(max_length=20, help_text="Such as 3.12.")
    state = models.CharField(max_length=12, choices=EnvironmentState, default=EnvironmentState.BUILDING)
    lock = models.TextField(blank=True, default="")
    digest = models.CharField(max_length=64, blank=True, default="")
    packages: models.JSONField[Any, Any] = models.JSONField(default=list, blank=True)
    size = models.BigIntegerField(null=True, blank=True)
    job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    reason = models.TextField(blank=True, default="")
    error_code = models.CharField(max_length=80, blank=True, default="")
    ready_at = models.DateTimeField(null=True, blank=True)
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta(NamedProjectObject.Meta):
        ordering: ClassVar[list[str]] = ["name"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project", "request"], name="environment_by_request"),
            models.Index(fields=["digest"], name="environment_by_digest"),
        ]

    @property
    def is_building(self) -> bool:
        """Whether its packages are being resolved or installed."""
        return bool(self.state == EnvironmentState.BUILDING)

    def get_absolute_url(self) -> str:
        """Its page."""
        return reverse("environments:detail", args=[self.project.slug, self.name])


class EnvironmentUse(models.Model):
    """A job that runs in an environment; a waiting one is released when the environment is ready."""

    job = models.OneToOneField(
        Job, on_delete=models.CASCADE, primary_key=True, related_name="environment_use"
    )
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="uses")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["environment", "-created_at"], name="uses_of_environment")
        ]

    def __str__(self) -> str:
        return f"{self.job_id} in {self.environment_id}"


class EnvironmentFolder(Identified):
    """The packages of a digest as files on one host. The row comes after the folder and goes before it."""

    digest = models.CharField(max_length=64)
    host = models.CharField(max_length=120)
    path = models.CharField(max_length=1000)
    size = models.BigIntegerField()
    built_at = models.DateTimeField(db_default=Now())
    used_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["digest", "host", "path"], name="environment_folder_once")
        ]

    def __str__(self) -> str:
        return f"{self.digest[:12]} on {self.host}"
