"""The page and the REST resource of workers: who sees what, and drain and resume."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.db.models.functions import Now

from apps.accounts.access import SYSTEM
from apps.accounts.models import AuditEvent
from apps.accounts.tokens import issue_job_token
from apps.jobs import attempts, nodes
from apps.jobs.actions import submit
from apps.jobs.models import Job, TeamLimits, Worker
from foundation.ids import uuid7
from tests.support.people import People

pytestmark = pytest.mark.django_db


def make_worker(**options: Any) -> Worker:
    resources = {"cpus": 8.0, "memory_bytes": 32 * 10**9, "gpus": 1}
    known: dict[str, Any] = {
        "kind": "worker",
        "queues": ["cpu"],
        "slots": 2,
        "tier": 1,
        "resources": resources,
    }
    return nodes.register(**{**known, **options})


def run_on(worker: Worker, people: People, title: str, *, other: bool = False) -> Job:
    project = people.other_project if other else people.project
    job = submit(
        kind="experiments.train", project=project, created_by=people.owner, spec={}, title=title, queue="cpu"
    )
    held = attempts.claim(job_id=job.pk, worker=worker.name, tier=worker.tier, lease_seconds=60)
    assert held is not None
    return held


def listed(people: People, persona: str, query: str = "") -> list[dict[str, Any]]:
    answer = people.api(persona).get(f"/api/v1/workers{query}")
    assert answer.status_code == 200, answer.content
    return list(answer.json()["results"])


def test_members_see_their_own_titles_and_only_count_those_of_others(people: People) -> None:
    worker = make_worker()
    run_on(worker, people, "Our churn model")
    run_on(worker, people, "Secret merger plan", other=True)
    found = listed(people, "viewer")[0]
    assert (found["name"], found["state"], found["running"], found["other_jobs"]) == (
        worker.name,
        "ready",
        2,
        1,
    )
    assert [job["title"] for job in found["jobs"]] == ["Our churn model"]
    ours = Job.objects.get(title="Our churn model")
    assert (
        f'href="/workers/{worker.name}/"'
        in people.client("viewer").get(f"/p/shop/jobs/{ours.pk}/").content.decode()
    )
    for address in ("/workers/", f"/workers/{worker.pk}/", f"/workers/{worker.name}/"):
        page = people.client("viewer").get(address).content.decode()
        assert "Our churn model" in page
        assert "Secret merger plan" not in page
        assert "Drain the worker" not in page
    assert "Secret merger plan" in people.client("admin").get(f"/workers/{worker.pk}/").content.decode()


def test_members_see_only_workers_that_may_run_their_jobs(people: People) -> None:
    weak, strong = make_worker(tier=0), make_worker(tier=3)
    TeamLimits.objects.create(team=people.team, minimum_tier=2)
    assert {row["name"] for row in listed(people, "viewer")} == {strong.name}
    assert {row["name"] for row in listed(people, "stranger")} == {weak.name, strong.name}
    assert people.client("viewer").get(f"/workers/{weak.pk}/").status_code == 404


def test_a_job_sees_no_machine(people: People) -> None:
    from rest_framework.test import APIClient

    make_worker()
    client = APIClient()
    secret = issue_job_token(user=people.owner, project=people.project, job_id=uuid7(), fence=1)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    assert client.get("/api/v1/workers").json()["results"] == []


def test_nobody_is_refused(people: People) -> None:
    worker = make_worker()
    assert people.api("anonymous").get("/api/v1/workers").status_code == 401
    assert people.api("anonymous").post(f"/api/v1/workers/{worker.name}/drain").status_code == 401
    assert people.client("anonymous").get("/workers/").status_code == 302


def test_only_staff_drains_and_resumes_and_it_is_audited(people: People) -> None:
    worker = make_worker()
    refused = people.api("owner").post(f"/api/v1/workers/{worker.name}/drain")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "worker.staff")
    read_only = people.api("admin", scope="read").post(f"/api/v1/workers/{worker.name}/drain")
    assert read_only.status_code == 403
    assert not Worker.objects.get().draining

    assert people.api("admin").post(f"/api/v1/workers/{worker.name}/drain").json()["state"] == "drained"
    assert not nodes.living().exists()
    again = people.api("admin").post(f"/api/v1/workers/{worker.pk}/drain")
    assert again.json()["draining"] is True
    people.client("admin").post(f"/workers/{worker.pk}/resume")
    assert nodes.living().exists()
    actions = AuditEvent.objects.filter(subject_kind="worker").order_by("at").values_list("action", flat=True)
    assert list(actions) == ["worker.drain", "worker.resume"]


def test_a_worker_that_has_ended_or_is_about_to_is_not_drained_or_resumed(people: People) -> None:
    worker = make_worker()
    nodes.say_ending(worker.name)
    answer = people.api("admin").post(f"/api/v1/workers/{worker.name}/resume")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "worker.ending")
    nodes.say_stopped(worker.name)
    answer = people.api("admin").post(f"/api/v1/workers/{worker.name}/drain")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "worker.gone")
    page = people.client("admin").post(f"/workers/{worker.pk}/drain", follow=True).content.decode()
    assert "has ended" in page


def test_states_follow_the_sign_of_life(people: People) -> None:
    worker = make_worker()
    run_on(worker, people, "Long work")
    Worker.objects.update(draining=True)
    assert listed(people, "admin")[0]["state"] == "draining"
    Worker.objects.update(heartbeat_at=Now() - datetime.timedelta(minutes=2))
    assert listed(people, "admin")[0]["state"] == "silent"
    Worker.objects.update(heartbeat_at=Now() - datetime.timedelta(minutes=20))
    assert listed(people, "admin") == []
    assert [row["name"] for row in listed(people, "admin", "?gone=true")] == [worker.name]
    assert worker.name in people.client("admin").get("/workers/gone").content.decode()
    assert worker.name not in people.client("admin").get("/workers/").content.decode()


def test_the_page_names_queues_that_nobody_serves_and_filters(people: People) -> None:
    cpu, gpu = make_worker(), make_worker(queues=["cpu", "gpu"])
    submit(
        kind="experiments.train",
        project=people.project,
        created_by=people.owner,
        spec={},
        title="Waits",
        queue="tpu",
    )
    page = people.client("viewer").get("/workers/").content.decode()
    assert "No worker serves the queue tpu" in page
    assert "No worker serves the queue tpu" not in people.client("stranger").get("/workers/").content.decode()
    assert [row["name"] for row in listed(people, "admin", "?queue=gpu")] == [gpu.name]
    assert [row["name"] for row in listed(people, "admin", f"?q={cpu.name[-4:]}")] == [cpu.name]
    none = people.client("admin").get("/workers/?q=nonsense").content.decode()
    assert "clear" in none.lower()


def test_the_dialog_says_which_queue_would_have_nobody(people: People) -> None:
    worker = make_worker(queues=["cpu", "gpu"])
    make_worker(queues=["cpu"])
    page = people.client("admin").get(f"/workers/{worker.pk}/").content.decode()
    assert "No other worker serves the queue gpu" in page


def test_staff_see_what_is_wrong_with_a_machine(people: People) -> None:
    trouble = "http://10.0.0.1:8000 does not answer (Connection refused)."
    worker = make_worker(about={"web": trouble, "isolation": {"tier": 1, "reasons": ["no user namespaces"]}})
    page = people.client("admin").get(f"/workers/{worker.pk}/").content.decode()
    assert trouble in page
    assert "no user namespaces" in page
    assert trouble not in people.client("viewer").get(f"/workers/{worker.pk}/").content.decode()
    assert listed(people, "admin")[0]["trouble"].endswith(trouble)
    Worker.objects.update(version="0ld0ld00", about={})
    assert "other code than web (0ld0ld00" in listed(people, "admin")[0]["trouble"]
    assert listed(people, "viewer")[0]["trouble"] == ""


def test_the_live_part_answers_304_while_nothing_changes(people: People) -> None:
    worker = make_worker()
    for address in ("/workers/", f"/workers/{worker.pk}/"):
        client = people.client("admin")
        first = client.get(address, headers={"HX-Request": "true"})
        assert first.status_code == 200
        again = client.get(address, headers={"HX-Request": "true", "If-None-Match": first["ETag"]})
        assert again.status_code == 304


def test_a_worker_is_fetched_by_name_or_id_and_a_wrong_one_is_404(people: People) -> None:
    worker = make_worker()
    for key in (worker.name, worker.pk):
        assert people.api("admin").get(f"/api/v1/workers/{key}").json()["id"] == str(worker.pk)
    answer = people.api("admin").get("/api/v1/workers/nobody")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "worker.not_found")
    scheduler = nodes.register(kind="scheduler")
    assert people.api("admin").get(f"/api/v1/workers/{scheduler.pk}").status_code == 404
    assert people.client("admin").get(f"/workers/{uuid7()}/").status_code == 404


def test_pages_ask_few_questions_however_many_workers(
    people: People, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        run_on(make_worker(), people, f"Job {number}")
    client = people.client("admin")
    client.get("/workers/")
    with django_assert_max_num_queries(16):
        client.get("/workers/")
    with django_assert_max_num_queries(18):
        client.get(f"/workers/{Worker.objects.first().pk}/")


def test_drain_is_an_action_of_the_system_too(people: People) -> None:
    from apps.jobs.workers.actions import drain

    assert drain(actor=SYSTEM, worker=make_worker()).draining
