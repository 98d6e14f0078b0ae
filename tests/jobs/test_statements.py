"""How many statements a job costs: a thousand queued no-ops are a thousand times this."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.jobs import attempts
from apps.jobs.attempts import Ending
from apps.jobs.models import Job
from foundation import events
from tests.support.people import make_people

# BEGIN and COMMIT included, of a job of a project with a person behind it.
BUDGET = {"submit": 7, "claim": 6, "running": 5, "finish": 12}


@pytest.mark.django_db(transaction=True)
def test_a_job_costs_few_statements(submit: Callable[..., Job], fake_tracking: Any) -> None:
    people, spent = make_people(), {}
    options = {"project": people.project, "created_by": people.owner}
    with CaptureQueriesContext(connection) as asked:
        job = submit("test.platform", **options)
    spent["submit"] = len(asked)
    with CaptureQueriesContext(connection) as asked:
        held = attempts.claim(job_id=job.pk, worker="w", tier=0, lease_seconds=60)
    spent["claim"] = len(asked)
    assert held is not None
    with CaptureQueriesContext(connection) as asked:
        assert attempts.mark_running(job_id=job.pk, fence=1, known=held)
    spent["running"] = len(asked)
    with CaptureQueriesContext(connection) as asked:
        done = attempts.finish(job_id=job.pk, fence=1, ending=Ending("succeeded", result={"a": 1}))
    spent["finish"] = len(asked)
    assert {name: count for name, count in spent.items() if count > BUDGET[name]} == {}

    # What was not read again is as the row has it.
    row = Job.objects.get(pk=job.pk)
    assert done is not None
    assert job.queued_at == row.queued_at
    names = ("state", "reason", "error_code", "result", "progress", "lease_expires_at", "finished_at")
    assert {name: getattr(done, name) for name in names} == {name: getattr(row, name) for name in names}


def test_an_event_that_nobody_records_costs_no_savepoint(db: None) -> None:
    heard: list[int] = []

    class Happened:
        def __init__(self, number: int) -> None:
            self.number = number

    events.record(Happened, when=lambda event: event.number > 1)(lambda event: heard.append(event.number))
    with CaptureQueriesContext(connection) as asked:
        events.publish(Happened(1))
    assert (len(asked), heard) == (0, [])
    events.publish(Happened(2))
    assert heard == [2]
