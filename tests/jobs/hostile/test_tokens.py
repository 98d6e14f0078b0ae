"""What a job's token opens, and when it opens nothing any more. (tests/gateway and tests/tracking: MLflow's side.)"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from apps.jobs import attempts, tokens
from apps.jobs.attempts import Ending
from apps.jobs.models import Job
from apps.jobs.states import Outcome
from tests.support.people import People

pytestmark = pytest.mark.django_db


def answer(secret: str, path: str) -> int:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return int(client.get(f"/api/v1/{path}").status_code)


def test_it_opens_its_own_project_only_and_dies_with_its_attempt(
    people: People, claimed: Callable[..., Job]
) -> None:
    job = claimed(project=people.project, created_by=people.admin)  # who may see every project
    secret = tokens.issue(job)
    assert answer(secret, "projects/shop/jobs") == 200
    assert answer(secret, "projects/else/jobs") in (403, 404)
    attempts.finish(job_id=job.pk, fence=job.fence, ending=Ending(Outcome.SUCCEEDED))
    assert answer(secret, "projects/shop/jobs") == 401


def test_it_dies_when_the_attempt_is_lost_and_the_next_has_its_own(
    people: People, claimed: Callable[..., Job]
) -> None:
    job = claimed(project=people.project, created_by=people.owner)
    first = tokens.issue(job)
    attempts.finish(job_id=job.pk, fence=job.fence, ending=Ending(Outcome.LOST, "gone", "job.worker_lost"))
    Job.objects.filter(pk=job.pk).update(not_before=None)
    again = attempts.claim(job_id=job.pk, worker="w2", tier=0, lease_seconds=60)
    assert again is not None
    assert again.fence == 2
    second = tokens.issue(again)
    assert answer(first, "projects/shop/jobs") == 401
    assert answer(second, "projects/shop/jobs") == 200
