"""Set-up of the tests of the inbox: jobs that end, and a mail server in memory."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db.models.functions import Now

from adapters.mail import use_post
from adapters.mail.fake import FakePost
from apps.jobs import attempts
from apps.jobs.models import Job
from tests.jobs.conftest import ledger, submit
from tests.registry.conftest import churn, make_run, make_version, promote
from tests.support.people import People

__all__ = ["churn", "ledger", "make_run", "make_version", "promote", "submit"]


@pytest.fixture
def ended(people: People, submit: Callable[..., Job]) -> Callable[..., Job]:
    """ended("failed", by="contributor", seconds=5): a job of that person that ran so long and ended so."""

    def make(
        outcome: str, *, by: str = "contributor", seconds: float = 5, reason: str = "", **options: Any
    ) -> Job:
        fields = {"project": people.project, "created_by": people.users[by], "title": "Train calm-otter"}
        job = submit(**{**fields, **options})
        return end(job, outcome, seconds=seconds, reason=reason)

    return make


def end(job: Job, outcome: str, *, seconds: float = 5, reason: str = "") -> Job:
    """Claim a waiting job, let it have run for a while, and end it."""
    held = attempts.claim(job_id=job.pk, worker="w1", tier=0, lease_seconds=60)
    assert held is not None
    attempts.mark_running(job_id=job.pk, fence=held.fence)
    Job.objects.filter(pk=job.pk).update(started_at=Now() - datetime.timedelta(seconds=seconds))
    attempts.finish(job_id=job.pk, fence=held.fence, ending=attempts.Ending(outcome, reason))
    job.refresh_from_db()
    return job


@pytest.fixture
def post(people: People) -> Iterator[FakePost]:
    """A mail server in memory; the contributor and the maintainer have addresses."""
    for name in ("contributor", "maintainer"):
        people.users[name].email = f"{name}@example.org"
        people.users[name].save()
    with use_post(FakePost()) as fake:
        assert isinstance(fake, FakePost)
        yield fake
