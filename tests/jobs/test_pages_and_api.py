"""Jobs as people and programs see them."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from adapters.storage.local import LocalStore
from apps.jobs import attempts, logs
from apps.jobs.attempts import Ending
from apps.jobs.models import Job, Worker
from foundation.clock import now

pytestmark = pytest.mark.django_db


@pytest.fixture
def job(people: Any, submit: Callable[..., Job]) -> Job:
    return submit(project=people.project, created_by=people.contributor, title="Train a forest")


def api_url(job: Job | str, tail: str = "") -> str:
    return f"/api/v1/projects/shop/jobs/{job.pk if isinstance(job, Job) else job}{tail}"


def page_url(job: Job, tail: str = "") -> str:
    return f"/p/shop/jobs/{job.pk}/{tail}"


def test_it_lists_jobs_by_state_kind_and_words(people: Any, job: Job, submit: Callable[..., Job]) -> None:
    submit("test.platform", project=people.project, created_by=people.owner, title="Sweep")
    client = people.api("viewer")
    answer = client.get("/api/v1/projects/shop/jobs").json()
    assert [item["title"] for item in answer["results"]] == ["Sweep", "Train a forest"]
    assert answer["next"] is None
    assert answer["results"][0]["attempts"] == []
    for query in (
        "q=forest",
        "kind=test.sandbox",
        "state=queued&kind=test.sandbox",
        "state=queued,running&q=tr",
    ):
        found = client.get(f"/api/v1/projects/shop/jobs?{query}").json()["results"]
        assert [item["id"] for item in found] == [str(job.pk)], query
    assert client.get("/api/v1/projects/shop/jobs?state=running").json()["results"] == []


def test_it_pages_by_keyset(people: Any, submit: Callable[..., Job]) -> None:
    for number in range(5):
        submit(project=people.project, created_by=people.owner, title=f"n{number}")
    client = people.api("viewer")
    first = client.get("/api/v1/projects/shop/jobs?limit=2").json()
    second = client.get(first["next"]).json()
    assert [item["title"] for item in first["results"] + second["results"]] == ["n4", "n3", "n2", "n1"]


def test_it_refuses_a_state_that_does_not_exist(people: Any, job: Job) -> None:
    answer = people.api("viewer").get("/api/v1/projects/shop/jobs?state=tired")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "job.state_unknown")


def test_it_shows_attempts_and_progress(people: Any, job: Job) -> None:
    held = attempts.claim(job_id=job.pk, worker="w1", tier=0, lease_seconds=60)
    assert held is not None
    attempts.heartbeat(
        job_id=job.pk, fence=1, lease_seconds=60, progress={"step": 3, "total": 4, "message": "fold 3"}
    )
    shown = people.api("viewer").get(api_url(job)).json()
    assert (shown["state"], shown["created_by"]) == ("starting", "contributor")
    assert shown["progress"] == {"step": 3.0, "total": 4.0, "message": "fold 3", "fraction": 0.75}
    assert [(a["number"], a["worker"], a["outcome"]) for a in shown["attempts"]] == [(1, "w1", None)]


@pytest.mark.parametrize("tail", ["", "/logs"])
def test_it_hides_jobs_from_a_stranger(people: Any, job: Job, tail: str) -> None:
    assert people.api("stranger").get(api_url(job, tail)).status_code == 404
    assert people.api("anonymous").get(api_url(job, tail)).status_code == 401


def test_it_hides_jobs_of_another_project(people: Any, submit: Callable[..., Job]) -> None:
    other = submit(project=people.other_project, created_by=people.stranger, title="Not yours")
    assert people.api("owner").get(api_url(other)).status_code == 404
    assert people.api("owner").post(api_url(other, "/cancel")).status_code == 404


def test_it_answers_404_for_what_is_no_id(people: Any, job: Job) -> None:
    assert people.api("viewer").get(api_url("not-an-id")).status_code == 404


def test_a_viewer_cannot_cancel(people: Any, job: Job) -> None:
    assert people.api("viewer").post(api_url(job, "/cancel")).status_code == 403
    assert people.api("contributor", "read").post(api_url(job, "/cancel")).status_code == 403
    assert people.client("viewer").post(page_url(job, "cancel")).status_code == 403


def test_a_contributor_cancels_with_an_audit_row(people: Any, job: Job) -> None:
    from apps.accounts.models import AuditEvent

    answer = people.api("contributor").post(api_url(job, "/cancel"))
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert answer.json()["reason"] == "Cancelled by contributor."
    assert AuditEvent.objects.filter(action="job.cancel", subject_id=str(job.pk)).count() == 1
    again = people.api("contributor").post(api_url(job, "/cancel"))
    assert again.status_code == 200, "asking twice changes nothing"


def test_it_refuses_to_cancel_what_is_over(people: Any, job: Job) -> None:
    attempts.claim(job_id=job.pk, worker="w1", tier=0, lease_seconds=60)
    attempts.finish(job_id=job.pk, fence=1, ending=Ending("failed", "Bad data."))
    answer = people.api("contributor").post(api_url(job, "/cancel"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "job.finished")


@pytest.fixture
def running(job: Job) -> Path:
    """The job runs on this machine and has begun its log. Returns the log's path."""
    attempts.claim(job_id=job.pk, worker="w1", tier=0, lease_seconds=60)
    path = Path(settings.CONFIG.attempts_dir) / str(job.pk) / "1" / "log.txt"
    path.parent.mkdir(parents=True)
    with logs.open_log(path) as log:
        log.info("epoch 1 é")
    return path


def test_it_reads_a_growing_log_by_offset(people: Any, job: Job, running: Path) -> None:
    client = people.api("viewer")
    first = client.get(api_url(job, "/logs")).json()
    assert first["text"].endswith("INFO epoch 1 é\n")
    assert first["complete"] is False
    with logs.open_log(running) as log:
        log.info("epoch 2")
    second = client.get(api_url(job, f"/logs?offset={first['next_offset']}")).json()
    assert second["text"].endswith("INFO epoch 2\n")
    assert "epoch 1" not in second["text"]


def test_the_page_follows_a_job_into_its_next_attempt(people: Any, job: Job, running: Path) -> None:
    client = people.client("viewer")
    page = client.get(page_url(job)).content.decode()
    assert "log?follow&amp;attempt=1" in page
    assert people.api("viewer").get(api_url(job, "/logs")).json()["complete"] is False
    attempts.finish(job_id=job.pk, fence=1, ending=Ending("lost", "Gone.", "job.worker_lost"))
    waiting = client.get(page_url(job, "log?follow&attempt=1&offset=0"))
    assert (waiting.headers["X-Live"], waiting.headers.get("X-Next-Attempt")) == ("1", None)
    assert people.api("viewer").get(api_url(job, "/logs")).json()["complete"] is False
    assert people.api("viewer").get(api_url(job, "/logs?attempt=1")).json()["complete"] is True
    assert attempts.claim(job_id=job.pk, worker="w2", tier=0, lease_seconds=60) is not None
    second = client.get(page_url(job, "log?follow&attempt=1&offset=0"))
    assert (second.headers["X-Live"], second.headers["X-Next-Attempt"]) == ("1", "2")
    assert "X-Next-Attempt" not in client.get(page_url(job, "log?attempt=1"))
    attempts.finish(job_id=job.pk, fence=2, ending=Ending("succeeded"))
    last = client.get(page_url(job, "log?follow&attempt=2&offset=0"))
    assert (last.headers["X-Live"], last.headers["X-Attempt"]) == ("0", "2")


def test_a_waiting_job_says_what_it_waits_for(people: Any, job: Job) -> None:
    client = people.client("viewer")
    Worker.objects.all().delete()
    assert "because no worker is running" in client.get(page_url(job)).content.decode()
    Worker.objects.create(name="w", host="h", slots=1, queues=["cpu"])
    assert "Waits for a free slot." in client.get(page_url(job)).content.decode()
    Job.objects.filter(pk=job.pk).update(queue="gpu")
    assert "no worker serves the queue gpu" in client.get(page_url(job)).content.decode()
    Job.objects.filter(pk=job.pk).update(not_before=now() + datetime.timedelta(minutes=2), fence=1)
    assert "Waits for its next try." in client.get(page_url(job)).content.decode()


def test_it_reads_a_finished_log_from_the_store(
    people: Any, job: Job, running: Path, store: LocalStore
) -> None:
    key, size = logs.keep(running, job.pk, 1)
    attempts.finish(job_id=job.pk, fence=1, ending=Ending("succeeded", log_key=key, log_bytes=size))
    running.unlink()
    found = people.api("viewer").get(api_url(job, "/logs")).json()
    assert found["text"].endswith("epoch 1 é\n")
    assert found["complete"] is True
    file = people.client("viewer").get(page_url(job, "log/download"))
    assert b"".join(file.streaming_content).endswith("epoch 1 é\n".encode())
    assert file["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize("query", ["offset=-1", "offset=x", "attempt=%00"])
def test_it_refuses_offsets_that_are_no_numbers(people: Any, job: Job, query: str) -> None:
    assert people.api("viewer").get(api_url(job, f"/logs?{query}")).status_code == 422


def test_it_knows_no_attempt_that_was_not(people: Any, job: Job) -> None:
    assert people.api("viewer").get(api_url(job, "/logs?attempt=9")).status_code == 404


def test_a_log_is_shown_without_terminal_codes_and_rewritten_lines() -> None:
    raw = "\x1b[31mred\x1b[0m\n 10%|#   |\r 50%|##  |\r100%|####|\nwindows\r\nend\x1b]0;title\x07"
    assert logs.readable(raw) == "red\n100%|####|\nwindows\nend"


def test_a_piece_of_a_log_never_cuts_a_character(tmp_path: Path) -> None:
    data = "aé€😀".encode()
    for size in range(1, len(data) + 1):
        text, used = logs.whole_characters(data[:size])
        assert text.encode() == data[:used]
        assert size - used < 4


def test_the_pages_show_a_job(people: Any, job: Job, running: Path) -> None:
    client = people.client("viewer")
    listing = client.get("/p/shop/jobs/")
    assert listing.status_code == 200
    assert "Train a forest" in listing.content.decode()
    page = client.get(page_url(job)).content.decode()
    assert "epoch 1 é" in page
    assert "Taken by w1" in page
    assert "Cancel the job" not in page, "a viewer has nothing to cancel"
    assert "Cancel the job" in people.client("contributor").get(page_url(job)).content.decode()


def test_a_live_part_is_the_same_as_in_the_page_and_ends_itself(people: Any, job: Job, running: Path) -> None:
    client = people.client("viewer")
    asked = {"HTTP_HX_REQUEST": "true"}
    for url in (page_url(job), page_url(job) + "?part=badge", "/p/shop/jobs/", page_url(job, "progress")):
        part = client.get(url, **asked)
        assert "data-poll" in part.content.decode(), url
        assert "<html" not in part.content.decode()
    again = client.get(
        page_url(job) + "?part=badge",
        HTTP_IF_NONE_MATCH=client.get(page_url(job) + "?part=badge", **asked)["ETag"],
        **asked,
    )
    assert again.status_code == 304
    attempts.finish(job_id=job.pk, fence=1, ending=Ending("failed", "The target has one class."))
    for url in (page_url(job), page_url(job, "progress")):
        part = client.get(url, **asked).content.decode()
        assert "data-poll" not in part
        assert "The target has one class." in part


def test_an_empty_list_says_what_jobs_are(people: Any) -> None:
    assert "No jobs yet" in people.client("viewer").get("/p/shop/jobs/").content.decode()
    assert "No jobs yet" not in people.client("viewer").get("/p/shop/jobs/?q=x").content.decode()


def test_a_logger_of_a_job_writes_nowhere_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), logs.open_log(tmp_path / "log.txt") as log:
        log.info("for the user")
    assert "for the user" in (tmp_path / "log.txt").read_text()
    assert not caplog.records


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/p/shop/jobs/", 12),
        ("/p/shop/jobs/{job}/", 18),
        ("/p/shop/jobs/{job}/log?follow", 9),
        ("/p/shop/jobs/{job}/progress", 7),
        ("/api/v1/projects/shop/jobs", 7),
        ("/api/v1/projects/shop/jobs/{job}", 7),
        ("/api/v1/projects/shop/jobs/{job}/logs", 7),
    ],
)
def test_each_page_needs_few_queries_however_much_there_is(
    people: Any,
    job: Job,
    submit: Callable[..., Job],
    django_assert_max_num_queries: Any,
    path: str,
    most: int,
) -> None:
    for number in range(12):
        submit(project=people.project, created_by=people.owner, title=f"n{number}")
    for fence in (1, 2, 3):
        assert attempts.claim(job_id=job.pk, worker=f"w{fence}", tier=0, lease_seconds=60) is not None
        attempts.finish(
            job_id=job.pk, fence=fence, ending=Ending("lost", "Gone.", "job.killed", charged=False)
        )
    client = people.client("viewer")
    with django_assert_max_num_queries(most) as queries:
        assert client.get(path.format(job=job.pk)).status_code == 200
    if "{job}" not in path:
        assert not any('"jobs_job"."spec"' in query["sql"] for query in queries.captured_queries)


def test_a_jobs_token_dies_with_its_attempt(people: Any, job: Job) -> None:
    from rest_framework.test import APIClient

    from apps.jobs import tokens

    held = attempts.claim(job_id=job.pk, worker="w1", tier=0, lease_seconds=60)
    assert held is not None
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens.issue(held)}")
    assert client.get(api_url(job)).status_code == 200
    assert client.get("/api/v1/projects/else/jobs").status_code == 404, "it is bound to its project"
    attempts.finish(job_id=job.pk, fence=1, ending=Ending("lost", "Gone.", "job.worker_lost"))
    answer = client.get(api_url(job))
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token.revoked")


def test_a_job_without_a_submitter_gets_no_token(submit: Callable[..., Job]) -> None:
    from apps.jobs import tokens

    with pytest.raises(ValueError, match="no project"):
        tokens.issue(submit())
