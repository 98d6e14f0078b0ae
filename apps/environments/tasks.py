"""The job kind of environments, and the chore that removes what nobody uses."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

from django.db.models import Q
from django.db.models.functions import Now

from apps.environments import places
from apps.environments.actions import BUILD
from apps.environments.building import build_plan
from apps.environments.models import Environment, EnvironmentFolder
from apps.environments.requirements import lock_digest
from apps.environments.sandbox.build import FOLDER
from apps.environments.states import ENVIRONMENT, EnvironmentState
from apps.jobs.chores import chore
from apps.jobs.handlers import handles
from apps.jobs.holding import HELD, end_held, release
from apps.jobs.models import Job, Outbox
from apps.jobs.states import LIVE, JobState
from foundation.clock import now
from foundation.errors import Conflict
from foundation.tasks import SandboxPlan

DAYS = "ATELIER_ENVIRONMENT_DAYS"
DEFAULT_DAYS = 30


@handles(BUILD, where="sandbox")
class Build:
    """Resolves the requirements, installs them, and lets the runs begin that wait for it."""

    def prepare(self, job: Job) -> SandboxPlan:
        """What uv is told; the package index is the operator's."""
        environment = self._environment(job)
        if environment.deleted_at is not None:
            raise Conflict("environment.trashed", f"The environment {environment.name} is in the trash.")
        return build_plan(requirements=job.spec["requirements"], hashes=job.spec.get("hashes"))

    def collect(self, job: Job, result: dict[str, Any], files: Path) -> dict[str, Any]:
        """Move the folder into its place on this host."""
        digest = lock_digest(str(result["lock"]))
        with places.alone(digest):
            places.publish(digest, files / FOLDER)
            places.record(digest, int(result["size"]))
        return {**result, "digest": digest}

    def complete(self, job: Job, result: dict[str, Any], files: Path) -> None:
        """Ready: the runs that wait may begin."""
        environment = self._locked(job)
        ENVIRONMENT.move(
            Environment.objects.filter(pk=environment.pk),
            to=EnvironmentState.READY,
            lock=str(result["lock"]),
            digest=str(result["digest"]),
            python=str(result["python"]),
            packages=result["packages"],
            size=int(result["size"]),
            ready_at=Now(),
            updated_at=now(),
        )
        release(self._waiting(environment))

    def ended(self, job: Job) -> None:
        """Keep the sentence; the runs that wait fail with it."""
        environment = self._locked(job)
        reason = job.reason or f"The job {job.state}."
        if job.state == JobState.CANCELLED:
            reason = f"Its build was cancelled. {job.reason}".strip()
        ENVIRONMENT.move(
            Environment.objects.filter(pk=environment.pk),
            to=EnvironmentState.FAILED,
            frm=EnvironmentState.BUILDING,
            reason=reason,
            error_code=job.error_code,
            updated_at=now(),
        )
        end_held(
            self._waiting(environment),
            reason=f"The environment {environment.name} could not be built: {reason}",
            error_code="environment.failed",
        )

    @staticmethod
    def _environment(job: Job) -> Environment:
        return Environment.objects.select_related("project").get(pk=job.spec["environment"])  # type: ignore[no-any-return]

    @staticmethod
    def _locked(job: Job) -> Environment:
        """Locked, as in uses.lock: a run that is being submitted is either seen here or sees the new state."""
        return Environment.objects.select_for_update().get(pk=job.spec["environment"])  # type: ignore[no-any-return]

    @staticmethod
    def _waiting(environment: Environment) -> Any:
        return Job.objects.filter(environment_use__environment=environment)


@chore("environments.purge", every=600.0)
def purge() -> None:
    """Remove the folders of this host that nobody used for long, or whose environments are all in the trash; what a
    dead process left; and rings for held jobs that were cancelled. A folder that is needed again is built again."""
    days = max(0.0, float(os.environ.get(DAYS) or DEFAULT_DAYS))
    limit = datetime.timedelta(days=days)
    for digest in places.digests_here():
        with places.alone(digest):
            if _is_unused(digest, limit):
                places.remove(digest)
    places.sweep_waste()
    Outbox.objects.filter(due_at__gte=HELD).exclude(job__state=JobState.QUEUED).delete()


def _is_unused(digest: str, limit: datetime.timedelta) -> bool:
    users = Environment.objects.filter(digest=digest)
    if users.filter(uses__job__state__in=LIVE).exists():
        return False
    here = EnvironmentFolder.objects.filter(
        digest=digest, host=places.host_name(), path=str(places.folder_of(digest))
    )
    if here.filter(Q(used_at__gte=Now() - datetime.timedelta(hours=1))).exists():
        return False
    return not users.alive().exists() or not here.filter(used_at__gte=Now() - limit).exists()
