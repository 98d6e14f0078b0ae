"""What a run needs of its environment: held while it is built, and its Python on the host where it runs."""

from __future__ import annotations

import datetime
import shutil
import uuid
from pathlib import Path

from django.db.models.functions import Now

from apps.environments import places
from apps.environments.building import build_plan, read_build
from apps.environments.models import Environment, EnvironmentUse
from apps.environments.requirements import python_version
from apps.environments.states import EnvironmentState
from apps.jobs import rules
from apps.jobs.holding import HELD, hold
from apps.jobs.lending import borrowed
from apps.jobs.models import Job
from foundation.errors import Conflict, Unavailable

#: An installation from a lock on a host that does not have it yet: shorter than the reaper waits for a preparation.
INSTALL_SECONDS = rules.START * 0.9


def lock(environment: Environment) -> Environment:
    """The environment as it is now, locked until the transaction ends: a build that ends meanwhile waits, and then
    finds the run that is being made.

    Raises Conflict "environment.failed", "environment.trashed".
    """
    found = (
        Environment.objects.select_for_update(of=("self",)).select_related("project").get(pk=environment.pk)
    )
    if found.deleted_at is not None:
        raise Conflict("environment.trashed", f"The environment {found.name} is in the trash.")
    if found.state == EnvironmentState.FAILED:
        raise Conflict(
            "environment.failed", f"The environment {found.name} could not be built: {found.reason}"
        )
    return found  # type: ignore[no-any-return]


def not_before(environment: Environment | None) -> datetime.datetime | None:
    """When a job in it may begin, for submit(): held while it is being built, else at once."""
    return HELD if environment is not None and environment.is_building else None


def bind(*, job: Job, environment: Environment) -> None:
    """Note that the job runs in this environment; both in the transaction of `lock`."""
    EnvironmentUse.objects.create(job=job, environment=environment)
    Environment.objects.filter(pk=environment.pk).update(used_at=Now())
    if environment.is_building:
        hold(job, waits_for=f"the environment {environment.name} to be built")


def environment_of(job: Job) -> Environment | None:
    """The environment in which a job runs; None for the studio's own."""
    use = EnvironmentUse.objects.select_related("environment__project").filter(job=job).first()
    return use.environment if use is not None else None


def interpreter_for(job: Job) -> str:
    """The Python of a job's environment on this host, installed from its lock where it is not there yet; "" for a
    job that runs in the studio's own. Called by the worker that is about to start the job.

    Raises Conflict "environment.failed", "environment.python", Unavailable "environment.not_here".
    """
    environment = environment_of(job)
    if environment is None:
        return ""
    if environment.state != EnvironmentState.READY:
        raise Conflict("environment.failed", f"The environment {environment.name} is {environment.state}.")
    if environment.python != python_version():
        raise Conflict(
            "environment.python",
            f"The environment {environment.name} is for Python {environment.python}, and this worker has "
            f"{python_version()}. Make the environment anew.",
        )
    with places.alone(environment.digest):
        if not places.is_here(environment.digest):
            _install(environment)
        places.record(environment.digest, environment.size or 0)
    Environment.objects.filter(pk=environment.pk).update(used_at=Now())
    return str(places.folder_of(environment.digest) / places.PYTHON)


def _install(environment: Environment) -> None:
    """Install the lock on this host, in an isolated child of its own."""
    from adapters.executors.local import LocalExecutor

    folder = places.root() / f".waste-{uuid.uuid4().hex}"
    own = None if borrowed() else LocalExecutor(warm=False)
    executor = borrowed() or own
    assert executor is not None
    try:
        handle = executor.start(build_plan(lock=environment.lock, digest=environment.digest), folder)
        try:
            end = handle.wait(INSTALL_SECONDS)
            made, problem = read_build(handle.report() if end is not None else None, folder)
        finally:
            handle.close()
        if made is None:
            raise Unavailable(
                "environment.not_here",
                f"The environment {environment.name} cannot be installed on this worker: {problem}",
            )
        places.publish(environment.digest, made)
    finally:
        if own is not None:
            own.close()
        shutil.rmtree(folder, ignore_errors=True)


def folder_of_interpreter(interpreter: str) -> str:
    """The folder that a child must be allowed to read for it."""
    return str(Path(interpreter).parents[1]) if interpreter else ""
