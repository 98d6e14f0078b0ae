"""Rules at work: a run warns, is stopped, is told about, and says what its rules found."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from apps.experiments.models import Run
from apps.experiments.rules.watching import watch_rules
from apps.inbox.models import Notification
from apps.jobs import attempts
from apps.jobs.attempts import Ending
from apps.jobs.models import Job, JobEvent
from tests.experiments.conftest import MakeVersion
from tests.support.people import People

pytestmark = pytest.mark.django_db
Start = Callable[..., Run]
STOP = {"rule": "not_a_number", "action": "stop"}
WARN = {"rule": "not_improving", "metric": "loss", "steps": 3}


@pytest.fixture
def working(make_version: MakeVersion, start: Start, fake_tracking: Any) -> Callable[..., Run]:
    """A run with these rules that a worker has begun."""

    def make(*rules: dict[str, Any]) -> Run:
        make_version()
        run = start(rules=list(rules))
        assert attempts.claim(job_id=run.job_id, worker="w", tier=0, lease_seconds=60)
        assert attempts.mark_running(job_id=run.job_id, fence=1)
        return fresh(run)

    return make


def fresh(run: Run) -> Run:
    return Run.objects.with_relations().get(pk=run.pk)


def states(run: Run) -> list[str]:
    return [rule["state"] for rule in fresh(run).rules["rules"]]


def test_a_warning_leaves_the_run_alone_and_is_told_once(
    working: Callable[..., Run], fake_tracking: Any, people: People
) -> None:
    run = working(WARN)
    fake_tracking.log(run.hex, "loss", {0: 3.0, 1: 2.0})
    assert watch_rules() == 0
    assert states(run) == ["watching"]
    fake_tracking.log(run.hex, "loss", {2: 2.5, 3: 2.5, 4: 2.5})
    assert watch_rules() == 1
    assert watch_rules() == 0
    found = fresh(run)
    rule = found.rules["rules"][0]
    assert (rule["state"], rule["step"], found.state) == ("warned", 4, "running")
    assert rule["message"].startswith("loss has not fallen for 3 steps")
    told = Notification.objects.get(user=people.contributor, kind="rule_applied")
    assert (told.sentence, told.detail) == (f"A rule warns of {run.name}", rule["message"])
    assert JobEvent.objects.get(job_id=run.job_id, kind="rule_warned").message == rule["message"]
    page = people.client("viewer").get(f"/p/shop/experiments/runs/{run.hex}/").content.decode()
    assert "loss does not fall for 3 steps: warns" in page
    assert rule["message"] in page
    shown = people.api("viewer").get(f"/api/v1/projects/shop/runs/{run.hex}").json()["rules"]
    assert shown[0]["state"] == "warned"


def test_a_stop_cancels_the_run_and_the_other_rules_are_over(
    working: Callable[..., Run], fake_tracking: Any, people: People
) -> None:
    run = working(STOP, WARN)
    fake_tracking.log(run.hex, "grad", {0: 1.0, 7: math.nan})
    assert watch_rules() == 1
    job = Job.objects.get(pk=run.job_id)
    assert (job.state, job.reason) == ("stopping", "Stopped by a rule: grad is not a number at step 7.")
    assert states(run) == ["stopped", "passed"]
    attempts.finish(job_id=job.pk, fence=1, ending=Ending("cancelled"))
    assert (fresh(run).state, fresh(run).reason) == ("cancelled", job.reason)
    assert Notification.objects.get(kind="rule_applied").sentence == f"{run.name} was stopped by a rule"


def test_what_comes_with_the_end_is_looked_at_and_can_only_warn(
    working: Callable[..., Run], fake_tracking: Any
) -> None:
    run = working(STOP, WARN)
    fake_tracking.log(run.hex, "loss", {0: math.inf})
    attempts.finish(job_id=run.job_id, fence=1, ending=Ending("failed", "It broke."))
    assert watch_rules() == 1
    assert states(run) == ["warned", "passed"]
    assert fresh(run).rules["open"] is False
    assert fresh(run).state == "failed"


def test_a_run_that_waits_is_not_looked_at(
    make_version: MakeVersion, start: Start, fake_tracking: Any
) -> None:
    make_version()
    run = start(rules=[STOP])
    fake_tracking.log(run.hex, "loss", {0: math.nan})
    assert watch_rules() == 0
    assert states(run) == ["watching"]


def test_one_run_that_cannot_be_judged_does_not_keep_the_others(
    working: Callable[..., Run], start: Start, fake_tracking: Any
) -> None:
    run = working(STOP)
    broken = start(rules=[STOP])
    Run.objects.filter(pk=broken.pk).update(rules={"open": True, "rules": [{"rule": "of another version"}]})
    attempts.claim(job_id=broken.job_id, worker="w", tier=0, lease_seconds=60)
    attempts.mark_running(job_id=broken.job_id, fence=1)
    fake_tracking.log(run.hex, "loss", {0: math.nan})
    assert watch_rules() == 1


def test_the_runs_to_watch_are_found_by_an_index() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    assert "runs_with_rules" in Run.objects.filter(rules__open=True).explain()


def test_the_api_takes_rules_and_refuses_what_is_none(people: People, make_version: MakeVersion) -> None:
    make_version()
    body = {"dataset": "churn", "target": "y", "algorithm": "linear", "rules": [WARN]}
    client = people.api("contributor")
    made = client.post("/api/v1/projects/shop/runs", body, format="json")
    assert made.status_code == 201
    assert made.json()["rules"] == [
        {**WARN, "action": "warn", "direction": "min", "min_change": 0.0, "state": "watching"}
    ]
    body["rules"] = [{"rule": "not_improving"}]
    answer = client.post("/api/v1/projects/shop/runs", body, format="json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "rule.invalid")
    assert answer.json()["error"]["detail"]["field"] == "rules.0.metric"
    assert Run.objects.count() == 1


def test_the_form_takes_rules_keeps_what_was_wrong_and_fills_them_in_again(
    people: People, make_version: MakeVersion
) -> None:
    make_version()
    client = people.client("contributor")
    entered = {
        "dataset": "churn@1", "target": "y", "algorithm": "linear", "experiment": "e", "split": "holdout", "seed": "1",
        "test_size": "0.2", "rules_rule": ["overfitting", ""], "rules_metric": ["val_loss", ""],
        "rules_training": ["val_loss", ""], "rules_gap": ["30", ""], "rules_steps": ["", ""],
        "rules_action": ["stop", "warn"],
    }  # fmt: skip
    refused = client.post("/p/shop/experiments/new", entered)
    assert refused.status_code == 422
    assert "these are the same" in refused.content.decode()
    assert Run.objects.count() == 0
    entered["rules_training"] = ["loss", ""]
    assert client.post("/p/shop/experiments/new", entered).status_code == 302
    run = Run.objects.get()
    rule = run.rules["rules"][0]
    assert (rule["gap"], rule["steps"], rule["action"]) == (0.3, 3, "stop")
    Run.objects.filter(pk=run.pk).update(
        rules={"open": True, "rules": [{**rule, "direction": "max", "state": "watching"}]}
    )
    again = client.get(f"/p/shop/experiments/new?from={run.hex}").content.decode()
    assert '<option value="overfitting" selected>' in again
    assert 'name="rules_gap" value="30"' in again
    assert 'name="rules_direction" value="max"' in again, "what the form has no field for is not lost"
