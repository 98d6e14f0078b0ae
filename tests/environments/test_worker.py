"""A worker with the real executor builds an environment, and a run that waited for it uses it on a host without it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.executors.choosing import choose
from adapters.executors.isolation import Isolation
from adapters.executors.local import LocalExecutor
from apps.environments import actions, places, uses
from apps.environments.models import EnvironmentFolder
from apps.jobs import actions as jobs
from apps.jobs.handlers import forget, handles
from apps.jobs.models import Job
from foundation.tasks import SandboxPlan
from tests.jobs.conftest import ledger as ledger
from tests.jobs.conftest import make_supervisor as make_supervisor
from tests.jobs.conftest import store as store
from tests.support.people import People

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the Linux kernel"),
]
ROOT = Path(__file__).resolve().parents[2]
KIND = "test.in_environment"


class InEnvironment:
    """A job whose preparation needs the Python of its environment."""

    def prepare(self, job: Job) -> SandboxPlan:
        interpreter = uses.interpreter_for(job)
        return SandboxPlan(program="tests.jobs.programs:echo", payload={"interpreter": interpreter})


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[LocalExecutor]:
    """As a worker of this machine has it."""
    isolation = Isolation(choose(tmp_path / "try").tier, readable=(str(ROOT / "tests"),))
    executor = LocalExecutor(modules=["json"], scratch=tmp_path, isolation=isolation)
    yield executor
    executor.close()


def test_it_is_built_installed_again_and_used(
    people: People,
    allowed: None,
    index: Path,
    home: Path,
    executor: LocalExecutor,
    make_supervisor: Callable[..., Any],
) -> None:
    handles(KIND, where="sandbox")(InEnvironment)
    supervisor = make_supervisor(executor)
    try:
        actor = people.actor("contributor")
        environment = actions.ensure(
            actor=actor, project=people.project, given={"requirements": "tinyboost==2.0"}
        )
        assert environment is not None
        assert environment.job is not None
        job = jobs.submit(
            kind=KIND,
            project=people.project,
            created_by=None,
            spec={},
            title="Waits",
            not_before=uses.not_before(environment),
        )
        uses.bind(job=job, environment=environment)
        assert not supervisor.run(job.pk)  # held
        assert supervisor.run(environment.job.pk)
        environment.refresh_from_db()
        assert (environment.state, environment.reason) == ("ready", "")
        assert (home / environment.digest).stat().st_uid == Path(home).stat().st_uid
        places.remove(environment.digest)  # another host
        assert supervisor.run(job.pk)
        job.refresh_from_db()
        assert (job.state, job.reason) == ("succeeded", "")
        assert job.result is not None
        python = Path(job.result["payload"]["interpreter"])
        assert python.exists()
        assert EnvironmentFolder.objects.get().digest == environment.digest
        assert not list(home.glob(".waste-*"))
    finally:
        forget(KIND)
