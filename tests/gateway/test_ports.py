"""The gateway's look-ups in the database."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest
from asgiref.sync import async_to_sync
from django.db import OperationalError

from atelier.ports import Authenticator, RunAdopter, in_thread
from foundation.errors import Unauthenticated, Unavailable
from gateway.ports import Caller, Credentials, ProjectRef


def test_a_database_that_does_not_answer_is_a_503_with_a_time_to_come_back() -> None:
    def look_up() -> None:
        raise OperationalError("terminating connection due to unexpected postmaster exit")

    with pytest.raises(Unavailable) as caught:
        async_to_sync(in_thread(look_up))()
    assert caught.value.code == "database.unavailable"
    assert caught.value.retry_after
    assert "postmaster" not in caught.value.message


async def _adopt(adopter: RunAdopter, projects: list[ProjectRef]) -> list[object]:
    caller = Caller(uuid4(), "ada", "write")
    return await asyncio.gather(
        *(
            adopter(caller, project, f"{n:032x}", experiment_id="1", name="r")
            for n, project in projects_of(projects)
        ),
        return_exceptions=True,
    )


def projects_of(projects: list[ProjectRef]) -> list[tuple[int, ProjectRef]]:
    """Six runs, in turn of each project."""
    return [(n, projects[n % len(projects)]) for n in range(6)]


@pytest.mark.parametrize("broken", [False, True])
def test_new_runs_are_adopted_together_project_by_project(
    monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    seen: list[tuple[UUID, int]] = []

    def work(project: ProjectRef, made: list[object]) -> None:
        seen.append((project.id, len(made)))
        if broken:
            raise OperationalError("away")

    monkeypatch.setattr(RunAdopter, "_work", staticmethod(work))
    projects = [ProjectRef(uuid4(), slug, uuid4(), editable=True) for slug in ("a", "b")]
    answers = asyncio.run(_adopt(RunAdopter(seconds=0.01), projects))
    assert sorted(seen) == sorted((project.id, 3) for project in projects)
    assert [isinstance(answer, Unavailable) for answer in answers] == [broken] * 6


@pytest.mark.parametrize("fence", [None, 1])
def test_the_token_of_a_job_is_dead_at_once(monkeypatch: pytest.MonkeyPatch, fence: int | None) -> None:
    """Two attempts of a job may live at the same time: the worker of the older was only asleep."""
    revoked = False

    def look_up(credentials: Credentials) -> Caller:
        if revoked:
            raise Unauthenticated("token.revoked", "This token has been revoked.")
        return Caller(uuid4(), "ada", "write", job_id=uuid4() if fence else None, fence=fence)

    monkeypatch.setattr(Authenticator, "_look_up", staticmethod(look_up))
    authenticate, credentials = Authenticator(), Credentials(token="atl_x")
    asyncio.run(authenticate(credentials))
    revoked = True
    if fence is None:
        asyncio.run(authenticate(credentials))  # of people, within seconds
        return
    with pytest.raises(Unauthenticated):
        asyncio.run(authenticate(credentials))
