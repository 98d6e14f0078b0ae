"""The serving process's loop with fake model processes: starts, blue/green, crashes, stops, sweeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from adapters.serving.fake import FakeServer
from apps.accounts.models import Project, Team
from apps.deployments import reports
from apps.deployments.models import Deployment, Revision
from apps.deployments.queries import gateway_route
from apps.deployments.reconcile import Places, Reconciler
from apps.deployments.serving import tidy
from apps.deployments.slots import Timing
from apps.deployments.states import DeploymentState, RevisionState, Wanted
from foundation.ids import uuid7

pytestmark = pytest.mark.django_db

BUNDLE = {
    "columns": [{"name": "a", "type": "number", "required": True}],
    "task": "regression",
    "classes": [],
    "golden": {"rows": [[1.0]], "answer": {"predictions": [1.0]}},
}


@pytest.fixture
def deployment() -> Deployment:
    team = Team.objects.create(slug="bank", name="Bank")
    project = Project.objects.create(team=team, slug="bank-churn", name="Churn")
    return Deployment.objects.create(
        project=project, name="churn", model_ref="churn/1", model_name="churn", state=DeploymentState.STARTING
    )


def add_revision(deployment: Deployment, number: int, state: str = RevisionState.BUILT) -> Revision:
    return Revision.objects.create(
        deployment=deployment,
        number=number,
        model_name="churn",
        model_version=number,
        model_version_id=uuid7(),
        state=state,
        bento_prefix=f"bentos/{number}",
        bundle=BUNDLE,
    )


class Loop:
    """A reconciler with a fake server in a temporary folder."""

    def __init__(self, folder: Path, pool: ThreadPoolExecutor) -> None:
        self.server = FakeServer()
        self.places = Places(folder / "m", folder / "s", folder / "l", folder / "r")
        self.reconciler = Reconciler(
            server=self.server,
            pool=pool,
            places=self.places,
            fetch=lambda revision, target: None,
            timing=Timing(
                start=5, loading_every=0.01, health_every=0.01, health_timeout=1, failures=2, grace=1
            ),
            drain_seconds=0.05,
        )

    def until(self, condition: Callable[[], bool], *, seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "the condition never came true"
            self.reconciler.step()
            time.sleep(0.005)


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    with ThreadPoolExecutor(4) as pool:
        made = Loop(tmp_path, pool)
        yield made
        made.reconciler.stop_all(seconds=5)


def state_of(row: Any) -> str:
    row.refresh_from_db()
    return str(row.state)


def socket_now(deployment: Deployment) -> str | None:
    route = gateway_route(deployment.project_id, deployment.name)
    return route["socket"] if route else None


def test_a_built_revision_is_started_checked_and_routed_to(deployment: Deployment, loop: Loop) -> None:
    revision = add_revision(deployment, 1)
    assert socket_now(deployment) is None
    loop.until(lambda: state_of(deployment) == DeploymentState.READY)
    assert state_of(revision) == RevisionState.READY
    assert deployment.current_id == revision.pk
    assert socket_now(deployment) == str(loop.server.started[0].launch.socket)


def test_a_revision_that_fails_its_golden_rows_is_never_routed_to(deployment: Deployment, loop: Loop) -> None:
    loop.reconciler.timing = Timing(start=0.05, loading_every=0.01, health_every=0.01, failures=2, grace=1)
    revision = add_revision(deployment, 1)
    loop.server.healthy = False
    loop.until(lambda: state_of(deployment) == DeploymentState.FAILED)
    assert state_of(revision) == RevisionState.FAILED
    assert "did not come up" in deployment.reason
    assert socket_now(deployment) is None


def test_a_new_version_takes_over_and_the_old_one_is_retired(deployment: Deployment, loop: Loop) -> None:
    old = add_revision(deployment, 1)
    loop.until(lambda: state_of(deployment) == DeploymentState.READY)
    before = socket_now(deployment)
    new = add_revision(deployment, 2)

    def answered_throughout() -> bool:
        assert socket_now(deployment), "there was a moment without a route"
        return state_of(old) == RevisionState.RETIRED

    loop.until(answered_throughout)
    assert state_of(new) == RevisionState.READY
    assert socket_now(deployment) != before
    assert loop.server.started[0].exit_code() is not None


def test_a_bad_new_version_leaves_the_old_one_answering(deployment: Deployment, loop: Loop) -> None:
    add_revision(deployment, 1)
    loop.until(lambda: state_of(deployment) == DeploymentState.READY)
    before = socket_now(deployment)
    loop.server.refuse = "it explodes"
    new = add_revision(deployment, 2)
    loop.until(lambda: state_of(new) == RevisionState.FAILED)
    loop.until(lambda: state_of(deployment) == DeploymentState.DEGRADED)
    assert "it explodes" in deployment.reason
    assert socket_now(deployment) == before


def test_any_number_of_failed_versions_leaves_the_old_one_answering(
    deployment: Deployment, loop: Loop
) -> None:
    add_revision(deployment, 1)
    loop.until(lambda: state_of(deployment) == DeploymentState.READY)
    before = socket_now(deployment)
    for number in range(2, 25):
        add_revision(deployment, number, RevisionState.FAILED)
    loop.until(lambda: state_of(deployment) == DeploymentState.DEGRADED)
    loop.reconciler.step()
    assert socket_now(deployment) == before
    assert loop.server.started[0].exit_code() is None


def test_a_failed_revision_that_is_started_again_has_all_its_tries(
    deployment: Deployment, loop: Loop
) -> None:
    loop.reconciler.timing = Timing(start=0.05, loading_every=0.01, health_every=0.01, failures=2, grace=1)
    revision = add_revision(deployment, 1)
    loop.server.healthy = False
    loop.until(lambda: state_of(deployment) == DeploymentState.FAILED)
    tried = len(loop.server.started)
    Revision.objects.filter(pk=revision.pk).update(state=RevisionState.BUILT)
    loop.until(lambda: state_of(revision) == RevisionState.FAILED)
    assert len(loop.server.started) == 2 * tried


def test_copies_of_bentos_that_nothing_needs_are_removed(deployment: Deployment, loop: Loop) -> None:
    old = add_revision(deployment, 1)
    loop.until(lambda: state_of(deployment) == DeploymentState.READY)
    new = add_revision(deployment, 2)
    loop.until(lambda: state_of(old) == RevisionState.RETIRED)
    scratch = loop.places.models / f"{new.pk.hex}.run"
    scratch.mkdir()
    assert tidy(loop.places, loop.reconciler.slots) == 1
    assert {path.name for path in loop.places.models.iterdir()} == {new.pk.hex, scratch.name}
    Deployment.objects.filter(pk=deployment.pk).update(deleted_at="2026-01-01T00:00:00Z")
    assert tidy(loop.places, loop.reconciler.slots) == 0, "it still runs"
    loop.until(lambda: not loop.reconciler.slots)
    assert tidy(loop.places, loop.reconciler.slots) == 1


def test_a_killed_process_is_restarted(deployment: Deployment, loop: Loop) -> None:
    add_revision(deployment, 1)
    loop.until(lambda: state_of(deployment) == DeploymentState.READY)
    loop.server.started[0].crash()
    loop.until(lambda: socket_now(deployment) is None)
    loop.until(lambda: state_of(deployment) == DeploymentState.READY)
    assert len(loop.server.started) == 2
    assert deployment.restarts == 1


def test_a_process_that_hangs_is_replaced(deployment: Deployment, loop: Loop) -> None:
    add_revision(deployment, 1)
    loop.until(lambda: state_of(deployment) == DeploymentState.READY)
    loop.server.started[0].healthy = False
    loop.until(lambda: len(loop.server.started) == 2)
    loop.until(lambda: state_of(deployment) == DeploymentState.READY)


def test_a_deployment_that_keeps_crashing_is_degraded(deployment: Deployment, loop: Loop) -> None:
    add_revision(deployment, 1)
    for _ in range(3):
        loop.until(lambda: socket_now(deployment) is not None)
        loop.server.started[-1].crash()
        loop.until(lambda: socket_now(deployment) is None)
    loop.until(lambda: state_of(deployment) == DeploymentState.DEGRADED and bool(socket_now(deployment)))
    assert "crashed 3 times" in deployment.reason


def test_stopping_closes_the_route_and_ends_the_process(deployment: Deployment, loop: Loop) -> None:
    revision = add_revision(deployment, 1)
    loop.until(lambda: state_of(deployment) == DeploymentState.READY)
    Deployment.objects.filter(pk=deployment.pk).update(wanted=Wanted.STOPPED, state=DeploymentState.STOPPING)
    loop.until(lambda: state_of(deployment) == DeploymentState.STOPPED)
    assert loop.server.started[0].exit_code() is not None
    assert state_of(revision) == RevisionState.BUILT
    Deployment.objects.filter(pk=deployment.pk).update(wanted=Wanted.RUNNING, state=DeploymentState.STARTING)
    loop.until(lambda: state_of(deployment) == DeploymentState.READY)


def test_a_deleted_deployment_ends_its_process(deployment: Deployment, loop: Loop) -> None:
    add_revision(deployment, 1)
    loop.until(lambda: state_of(deployment) == DeploymentState.READY)
    Deployment.objects.filter(pk=deployment.pk).update(
        wanted=Wanted.STOPPED, deleted_at="2026-01-01T00:00:00Z"
    )
    loop.until(lambda: state_of(deployment) == DeploymentState.STOPPED)
    assert socket_now(deployment) is None
    assert not loop.reconciler.slots


def test_deployments_of_a_trashed_project_end_and_come_back_with_it(
    deployment: Deployment, loop: Loop
) -> None:
    add_revision(deployment, 1)
    loop.until(lambda: state_of(deployment) == DeploymentState.READY)
    Project.objects.update(deleted_at="2026-01-01T00:00:00Z")
    loop.until(lambda: state_of(deployment) == DeploymentState.STOPPED)
    assert not loop.reconciler.slots
    Project.objects.update(deleted_at=None)
    loop.until(lambda: state_of(deployment) == DeploymentState.READY)


def test_a_failed_build_fails_a_deployment_that_has_nothing_else(deployment: Deployment, loop: Loop) -> None:
    Revision.objects.filter(pk=add_revision(deployment, 1, RevisionState.FAILED).pk).update(
        reason="no signature"
    )
    loop.until(lambda: state_of(deployment) == DeploymentState.FAILED)
    assert deployment.reason == "no signature"


def test_a_new_generation_forgets_the_sockets_of_the_last(deployment: Deployment, loop: Loop) -> None:
    revision = add_revision(deployment, 1)
    loop.until(lambda: state_of(deployment) == DeploymentState.READY)
    swept = loop.server.sweep(loop.places.records)
    reports.forget_processes()
    assert swept == [loop.server.started[0].pid]
    assert socket_now(deployment) is None
    assert state_of(revision) == RevisionState.BUILT
    assert state_of(deployment) == DeploymentState.STARTING
