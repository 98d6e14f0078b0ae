"""Limits of teams: what is refused, what waits, and who is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from adapters.storage.staging import StagedFile
from apps.accounts import usage
from apps.accounts.models import AuditEvent
from apps.datasets.actions import create_dataset
from apps.datasets.models import Dataset
from apps.jobs import attempts
from apps.jobs.attempts import Ending
from apps.jobs.models import Job, ProjectUse, TeamLimits
from apps.jobs.quotas import checks
from apps.jobs.quotas.use import STUDIO, team_use
from apps.jobs.states import Outcome
from apps.jobs.turns import Candidate, next_jobs
from foundation.errors import Forbidden, TooMany
from foundation.ids import uuid7
from tests.support.people import People

pytestmark = pytest.mark.django_db


def limit(people: People, **limits: Any) -> TeamLimits:
    return TeamLimits.objects.create(team=people.team, **limits)


def asked() -> list[Candidate]:
    return next_jobs(queues=["cpu"], tier=0)


def run(job: Job, *, cpu: float | None, outcome: Outcome = Outcome.SUCCEEDED) -> None:
    held = attempts.claim(job_id=job.pk, worker="w", tier=0, lease_seconds=60)
    assert held is not None
    ending = Ending(outcome, cpu_seconds=cpu, charged=False)
    assert attempts.finish(job_id=job.pk, fence=held.fence, ending=ending) is not None


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The bytes that the first project keeps: {"bytes": …}."""
    kept = {"bytes": 0}
    monkeypatch.setattr(usage, "_METERS", [lambda ids: {ids[0]: {"kept": kept["bytes"]}} if ids else {}])
    monkeypatch.setattr(usage, "_GAUGES", {"kept": usage.Gauge("kept", "Kept", usage.BYTES)})
    return kept


class TestJobsAtOnce:
    def test_a_full_team_waits_and_others_do_not(self, people: People, submit: Callable[..., Job]) -> None:
        limit(people, concurrent_jobs=1)
        first, second = submit(project=people.project), submit(project=people.project)
        other = submit(project=people.other_project)
        held = attempts.claim(job_id=first.pk, worker="w", tier=0, lease_seconds=60)
        assert [one.job_id for one in asked()] == [other.pk]
        ending = Ending(Outcome.SUCCEEDED)
        attempts.finish(job_id=first.pk, fence=held.fence if held else 0, ending=ending)
        assert second.pk in [one.job_id for one in asked()]

    def test_a_limit_of_none_at_all_stops_the_team(self, people: People, submit: Callable[..., Job]) -> None:
        limit(people, concurrent_jobs=0)
        submit(project=people.project)
        assert asked() == []

    def test_the_page_and_the_api_say_why_it_waits(
        self, people: People, submit: Callable[..., Job], worker: Callable[..., Any]
    ) -> None:
        worker()
        limit(people, concurrent_jobs=1)
        first, second = submit(project=people.project), submit(project=people.project)
        attempts.claim(job_id=first.pk, worker="w", tier=0, lease_seconds=60)
        sentence = "Waits, because the team Red team runs 1 job; its limit is 1 at once."
        page = people.client("viewer").get(f"/p/shop/jobs/{second.pk}/").content.decode()
        assert sentence in page
        found = people.api("viewer").get(f"/api/v1/projects/shop/jobs/{second.pk}").json()
        assert found["waits_for"] == sentence


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_take_the_same_last_place(
    people: People, submit: Callable[..., Job], in_thread: Callable[..., threading.Thread]
) -> None:
    limit(people, concurrent_jobs=2)
    jobs = [submit(project=people.project) for _ in range(8)]
    taken: list[Job] = []
    together = threading.Barrier(8)

    def take(job: Job) -> None:
        candidate = Candidate(job.pk, needs=None, team=people.team.pk)  # type: ignore[arg-type]
        together.wait(10)
        held = attempts.claim(
            job_id=job.pk, worker="w", tier=0, lease_seconds=60, admitted=candidate.admitted
        )
        if held is not None:
            taken.append(held)

    for thread in [in_thread(take, job) for job in jobs]:
        thread.join(30)
    assert len(taken) == 2


class TestProcessorTime:
    def test_new_work_is_refused_and_nothing_is_half_made(
        self, people: People, submit: Callable[..., Job]
    ) -> None:
        limit(people, cpu_seconds_per_day=100)
        run(submit(project=people.project), cpu=60)
        run(submit(project=people.project), cpu=45)
        before = Job.objects.count()
        with pytest.raises(TooMany, match=r"has used 1 min 45 s of the 1 min 40 s .* midnight UTC") as error:
            submit(project=people.project)
        assert error.value.code == "quota.cpu_seconds"
        assert 0 < error.value.retry_after <= 24 * 3600 + 1
        assert Job.objects.count() == before
        submit(project=people.other_project)
        submit("test.platform", project=people.project)

    def test_what_waits_goes_on_the_next_day(self, people: People, submit: Callable[..., Job]) -> None:
        first, second = submit(project=people.project), submit(project=people.project)
        limit(people, cpu_seconds_per_day=10)
        run(first, cpu=11)
        assert asked() == []
        with connection.cursor() as cursor:
            cursor.execute("UPDATE jobs_projectuse SET day = day - 1")
        assert [one.job_id for one in asked()] == [second.pk]

    def test_what_runs_counts_too(self, people: People, submit: Callable[..., Job]) -> None:
        limit(people, cpu_seconds_per_day=10)
        job = submit(project=people.project)
        held = attempts.claim(job_id=job.pk, worker="w", tier=0, lease_seconds=60)
        assert held is not None
        attempts.heartbeat(
            job_id=job.pk, fence=held.fence, lease_seconds=60, progress={"cpu_seconds": 10.5, "step": 1}
        )
        assert team_use(people.team).cpu_seconds == pytest.approx(10.5)
        with pytest.raises(TooMany):
            submit(project=people.project)

    def test_a_lost_attempt_counts_by_what_it_last_told(
        self, people: People, submit: Callable[..., Job]
    ) -> None:
        job = submit(project=people.project)
        held = attempts.claim(job_id=job.pk, worker="w", tier=0, lease_seconds=60)
        assert held is not None
        attempts.heartbeat(job_id=job.pk, fence=held.fence, lease_seconds=60, progress={"cpu_seconds": 7.0})
        ending = Ending(Outcome.LOST, "Gone.", "job.killed")
        attempts.finish(job_id=job.pk, fence=held.fence, ending=ending)
        assert team_use(people.team).cpu_seconds == pytest.approx(7.0)

    def test_the_studios_own_work_is_nobodys(self, people: People, submit: Callable[..., Job]) -> None:
        run(submit(project=None), cpu=5)
        assert ProjectUse.objects.get().owner == STUDIO
        assert team_use(people.team).cpu_seconds == 0


class TestStorage:
    def test_a_full_team_starts_nothing_and_stores_nothing(
        self, people: People, submit: Callable[..., Job], stored: dict[str, int]
    ) -> None:
        limit(people, storage_bytes=1000)
        stored["bytes"] = 400
        submit(project=people.project)
        checks.check_storage(people.project, 600)
        with pytest.raises(
            Forbidden, match=r"keeps 400 B of the 1\.00 kB that it may, and 601 B would be"
        ) as error:
            checks.check_storage(people.project, 601)
        assert error.value.code == "quota.storage"
        stored["bytes"] = 1000
        usage.TeamUsage.objects.all().delete()
        with pytest.raises(Forbidden):
            submit(project=people.project)
        checks.check_storage(people.other_project, 10**15)

    def test_an_upload_too_many_leaves_nothing(
        self, people: People, stored: dict[str, int], tmp_path: Path
    ) -> None:
        limit(people, storage_bytes=10)
        stored["bytes"] = 9
        path = tmp_path / "a.csv"
        path.write_bytes(b"a,b\n1,2\n")
        staged = StagedFile(uuid7(), path, "a.csv", 8, "0" * 64, people.project.pk, None)
        with pytest.raises(Forbidden, match="would be added"):
            create_dataset(actor=people.actor("contributor"), project=people.project, name="a", staged=staged)
        assert not Dataset.objects.exists()
        assert not Job.objects.exists()


class TestWhoIsTold:
    def test_members_see_limits_and_use_on_the_page_and_by_rest(
        self, people: People, submit: Callable[..., Job], stored: dict[str, int]
    ) -> None:
        stored["bytes"] = 5_000_000
        assert 'id="limits"' not in people.client("owner").get("/teams/red/").content.decode()
        limit(people, concurrent_jobs=4, cpu_seconds_per_day=3600, storage_bytes=10_000_000)
        run(submit(project=people.project), cpu=90)
        page = people.client("owner").get("/teams/red/").content.decode()
        assert 'id="limits"' in page
        assert "Processor time today" in page
        assert "1 min 30 s" in page
        assert people.api("viewer").get("/api/v1/teams/red/limits").json() == {
            "concurrent_jobs": {"limit": 4, "used": 0.0},
            "cpu_seconds_per_day": {"limit": 3600, "used": 90.0},
            "storage_bytes": {"limit": 10_000_000, "used": 5_000_000.0},
            "minimum_tier": 0,
        }
        assert people.api("stranger").get("/api/v1/teams/red/limits").status_code == 404

    def test_staff_set_them_in_the_admin_and_each_change_is_audited(self, people: People) -> None:
        client = people.client("admin")
        fields = {"concurrent_jobs": "3", "cpu_seconds_per_day": "", "storage_bytes": "", "minimum_tier": "1"}
        address = "/admin/jobs/teamlimits/add/"
        assert client.get(address).status_code == 200
        answer = client.post(address, {"team": str(people.team.pk), **fields})
        assert answer.status_code == 302, answer.content.decode()[:2000]
        limits = TeamLimits.objects.get()
        assert (limits.concurrent_jobs, limits.cpu_seconds_per_day, limits.minimum_tier) == (3, None, 1)
        change = f"/admin/jobs/teamlimits/{limits.pk}/change/"
        assert client.post(change, {**fields, "concurrent_jobs": "5"}).status_code == 302
        refused = client.post(change, {**fields, "minimum_tier": "4"})
        assert refused.status_code == 200
        assert "less than or equal to 3" in refused.content.decode()
        assert client.post(f"/admin/jobs/teamlimits/{limits.pk}/delete/", {"post": "yes"}).status_code == 302
        told = AuditEvent.objects.filter(action="team.limits").order_by("at").values_list("detail", flat=True)
        assert [(d["before"].get("concurrent_jobs"), d["after"].get("concurrent_jobs")) for d in told] == [
            (None, 3),
            (3, 5),
            (5, None),
        ]

    def test_the_teams_tier_goes_with_its_sandboxed_jobs(
        self, people: People, submit: Callable[..., Job]
    ) -> None:
        limit(people, minimum_tier=2)
        assert submit(project=people.project).minimum_tier == 2
        assert submit("test.platform", project=people.project).minimum_tier == 0
        assert submit(project=people.other_project).minimum_tier == 0
