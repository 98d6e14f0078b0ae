"""Monitors, reports and alerts: made, computed, raised once, moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.accounts.models import AuditEvent
from apps.lineage.models import Edge
from apps.monitoring import queries
from apps.monitoring.actions import (
    move_alert,
    request_report,
    restore_monitor,
    state_of,
    trash_monitor,
    update_monitor,
)
from apps.monitoring.models import Alert, Monitor, Profile, Report
from apps.monitoring.states import AlertState
from foundation.errors import AtelierError, Conflict, Invalid, NotFound
from tests.monitoring.conftest import START, Watched

pytestmark = pytest.mark.django_db


def test_a_monitor_stands_in_lineage_between_its_baseline_and_its_deployment(watched: Watched) -> None:
    from apps.deployments.actions import _put_node

    _put_node(watched.deployment)
    monitor = watched.monitor()
    edges = {(edge.source.kind, edge.kind) for edge in Edge.objects.filter(target__key=str(monitor.pk))}
    assert edges == {("dataset_version", "baseline_of"), ("deployment", "watches")}
    assert AuditEvent.objects.filter(action="monitor.create", subject_id=str(monitor.pk)).exists()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"dataset": "customers"}, "monitor.subject"),
        ({"deployment": ""}, "monitor.subject"),
        ({"deployment": "nothing"}, "deployment.not_found"),
        ({"baseline": "nothing@1"}, "dataset.not_found"),
        ({"baseline": "customers@9"}, "dataset.version_not_found"),
        ({"baseline": ""}, "monitor.baseline"),
        ({"window": "7h"}, "monitor.window"),
        ({"thresholds": {"default": 2}}, "monitor.thresholds"),
        ({"thresholds": {"nothing": 0.2}}, "monitor.thresholds"),
        ({"thresholds": {"min_rows": 0}}, "monitor.thresholds"),
        ({"thresholds": [1]}, "monitor.thresholds"),
        ({"features": ["nothing"]}, "monitor.columns"),
        ({"time_column": "age"}, "monitor.columns"),
        ({"name": "a/b"}, "name.invalid"),
    ],
)
def test_it_refuses_what_cannot_be_watched(watched: Watched, options: dict[str, Any], code: str) -> None:
    with pytest.raises(AtelierError) as caught:
        watched.monitor(**options)
    assert caught.value.code == code
    assert not Monitor.objects.exists()


def test_a_name_is_used_once_in_a_project(watched: Watched) -> None:
    watched.monitor()
    with pytest.raises(Conflict) as caught:
        watched.monitor()
    assert caught.value.code == "monitor.duplicate"


def test_a_report_measures_every_day_and_finds_the_drift(watched: Watched) -> None:
    watched.record(300, day=0)
    watched.record(300, day=1, age=60, seed=2)
    report = watched.report(watched.monitor(), days=3)
    assert (report.state, report.rows, report.model_label) == ("succeeded", 600, "churn/1"), report.reason
    calm, shifted, empty = report.windows.all()
    assert (calm.rows, shifted.rows, empty.rows) == (300, 300, 0)
    leader = queries.drift_table(shifted)[0]
    assert (leader.name, leader.drifted) == ("age", True)
    assert leader.impact is not None
    assert leader.impact > 0.7
    assert not any(row.drifted for row in queries.drift_table(calm))


def test_an_alert_is_raised_once_however_often_a_window_is_computed(watched: Watched) -> None:
    watched.record(300, age=60)
    monitor = watched.monitor()
    watched.report(monitor)
    first = {(alert.pk, alert.feature) for alert in Alert.objects.all()}
    assert {name for _, name in first} == {"age", "prediction"}
    again = watched.report(monitor)
    assert {(alert.pk, alert.feature) for alert in Alert.objects.all()} == first
    assert {alert.report_id for alert in Alert.objects.all()} == {again.pk}


def test_alerts_that_no_longer_fire_are_closed_and_open_again(watched: Watched) -> None:
    watched.record(300, age=60)
    monitor = watched.monitor()
    watched.report(monitor)
    assert state_of(monitor) == "drifting"
    actor = watched.people.actor("contributor")
    update_monitor(actor=actor, monitor=monitor, changes={"thresholds": {"default": 1}})
    watched.report(monitor)
    assert {alert.state for alert in Alert.objects.all()} == {"closed"}
    assert state_of(monitor) == "stable"
    update_monitor(actor=actor, monitor=monitor, changes={"thresholds": {}})
    watched.report(monitor)
    assert {alert.state for alert in Alert.objects.all()} == {"open"}


def test_what_a_person_closed_stays_closed(watched: Watched) -> None:
    watched.record(300, age=60)
    monitor = watched.monitor()
    watched.report(monitor)
    for alert in Alert.objects.all():
        move_alert(actor=watched.people.actor("contributor"), alert=alert, to=AlertState.CLOSED)
    watched.report(monitor)
    assert {alert.state for alert in Alert.objects.all()} == {"closed"}


def test_acknowledging_twice_changes_nothing_and_a_closed_alert_cannot_be_acknowledged(
    watched: Watched,
) -> None:
    watched.record(300, age=60)
    watched.report(watched.monitor())
    alert = Alert.objects.filter(feature="age").get()
    actor = watched.people.actor("contributor")
    for _ in range(2):
        assert move_alert(actor=actor, alert=alert, to=AlertState.ACKNOWLEDGED).state == "acknowledged"
    assert AuditEvent.objects.filter(action="monitor.alert_acknowledged").count() == 1
    move_alert(actor=actor, alert=alert, to=AlertState.CLOSED)
    with pytest.raises(Conflict):
        move_alert(actor=actor, alert=alert, to=AlertState.ACKNOWLEDGED)


def test_small_windows_raise_no_alert(watched: Watched) -> None:
    watched.record(60, age=80)
    report = watched.report(watched.monitor())
    assert report.state == "succeeded"
    assert not Alert.objects.exists()


def test_the_impact_is_measured_once_for_a_model_and_a_baseline(watched: Watched) -> None:
    watched.record(150)
    monitor = watched.monitor()
    first, second = watched.report(monitor), watched.report(monitor)
    assert Profile.objects.count() == 1
    assert first.profile_id == second.profile_id
    assert first.windows.get().data["features"] == second.windows.get().data["features"]


def test_labels_that_arrive_later_give_performance(watched: Watched) -> None:
    from apps.deployments.models import InferenceLabel

    ids = watched.record(200)
    monitor = watched.monitor()
    assert watched.report(monitor).windows.get().data["performance"] is None
    InferenceLabel.objects.bulk_create(
        InferenceLabel(deployment=watched.deployment, inference_id=key, value="yes") for key in ids[:50]
    )
    found = watched.report(monitor).windows.get().data["performance"]
    assert found["rows"] == 50
    assert 0 < found["accuracy"] < 1


def test_a_dataset_can_be_watched_by_its_versions(watched: Watched) -> None:
    from tests.support.datasets import ready_version

    older = ["age,city,income", *(f"{70 + i % 9},Rome,{50_000 + i}" for i in range(200))]
    ready_version(watched.people, "\n".join(older).encode(), name="customers")
    monitor = watched.monitor(deployment="", dataset="customers")
    today = datetime.now(UTC)
    actor = watched.people.actor("contributor")
    report = request_report(actor=actor, monitor=monitor, start=today, end=today + timedelta(seconds=1))
    from apps.jobs.models import Job
    from tests.support.datasets import run_inline

    run_inline(Job.objects.get(pk=report.job_id))
    report.refresh_from_db()
    assert (report.state, report.rows) == ("succeeded", 200), report.reason
    assert Alert.objects.filter(feature="age").exists()
    assert report.windows.get().data["features"][0]["feature_impact"] is None


def test_a_report_needs_a_period(watched: Watched) -> None:
    with pytest.raises(Invalid) as caught:
        request_report(
            actor=watched.people.actor("contributor"), monitor=watched.monitor(), start=START, end=START
        )
    assert caught.value.code == "monitor.period"
    assert not Report.objects.exists()


def test_a_deployment_that_is_not_built_can_be_watched_but_not_reported_on(watched: Watched) -> None:
    watched.deployment.revisions.all().delete()
    monitor = watched.monitor()
    with pytest.raises(Conflict) as caught:
        watched.report(monitor)
    assert caught.value.code == "monitor.not_built"


def test_a_report_fails_with_the_sentence_of_its_job(watched: Watched) -> None:
    watched.record(120)
    monitor = watched.monitor()
    from adapters.storage import get_store

    revision = watched.deployment.revisions.get()
    get_store().delete(f"{revision.bento_prefix}/src/model/model.pkl")
    report = watched.report(monitor)
    assert report.state == "failed"
    assert "could not be loaded" in report.reason


def test_a_monitor_in_the_trash_gives_its_name_free_and_comes_back(watched: Watched) -> None:
    actor = watched.people.actor("contributor")
    monitor = watched.monitor()
    trash_monitor(actor=actor, monitor=monitor)
    other = watched.monitor()
    with pytest.raises(Conflict):
        restore_monitor(actor=actor, monitor=monitor)
    trash_monitor(actor=actor, monitor=other)
    assert restore_monitor(actor=actor, monitor=monitor).deleted_at is None


def test_a_result_that_is_no_report_is_refused(watched: Watched) -> None:
    from apps.monitoring.recording import read_windows

    for result in ({}, {"windows": [{}]}, {"windows": [1]}, {"windows": []}):
        with pytest.raises(Invalid) as caught:
            read_windows(result, [0, 1])
        assert caught.value.code == "monitor.bad_result"


def test_a_profile_that_does_not_fit_is_refused() -> None:
    from apps.monitoring.recording import read_profile

    sketch = {
        "name": "a",
        "kind": "numeric",
        "type": "double",
        "counts": [1],
        "edges": [0.0],
        "values": [],
        "numbers": [],
    }
    for profile in ({}, {"version": 1, "sketches": [sketch], "impact": {}, "prediction": None}):
        with pytest.raises(Invalid) as caught:
            read_profile(profile)
        assert caught.value.code == "monitor.bad_result"


def test_a_profile_belongs_to_the_model_that_it_was_made_with(watched: Watched) -> None:
    from apps.jobs import attempts
    from apps.jobs.handlers import handler_for
    from apps.jobs.models import Job
    from foundation.ids import uuid7

    watched.record(120)
    monitor = watched.monitor()
    actor = watched.people.actor("contributor")
    report = request_report(actor=actor, monitor=monitor, start=START, end=START + timedelta(days=1))
    job = attempts.claim(job_id=report.job_id, worker="test", tier=0, lease_seconds=60)
    assert job is not None
    handler_for(job.kind).prepare(job)
    before = watched.deployment.revisions.get().model_version_id
    watched.deployment.revisions.update(model_version_id=uuid7())
    report.refresh_from_db()
    assert report.settings["made_with"]["model_version_id"] == str(before)
    assert Job.objects.get(pk=job.pk).state == "starting"


def test_an_unknown_id_is_not_found(watched: Watched) -> None:
    from apps.monitoring.access import get_alert, get_monitor, get_report

    monitor = watched.monitor()
    for find in (get_report, get_alert):
        for key in ("nothing", "00000000-0000-7000-8000-000000000000"):
            with pytest.raises(NotFound):
                find(monitor, key)
    with pytest.raises(NotFound):
        get_monitor(watched.people.other_project, "watch")
