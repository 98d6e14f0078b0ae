"""REST of monitors: shapes, errors, and who may."""

from __future__ import annotations

from typing import Any

import pytest

from apps.monitoring.models import Alert, Monitor
from tests.monitoring.conftest import Watched

pytestmark = pytest.mark.django_db
PERIOD = {"start": "2021-04-01T00:00:00Z", "end": "2021-04-02T00:00:00Z"}


def body(**more: Any) -> dict[str, Any]:
    return {"name": "watch", "deployment": "churn", "baseline": "customers@1", "window": "1d", **more}


def code(answer: Any) -> str:
    return str(answer.json()["error"]["code"])


def test_a_contributor_makes_lists_reads_renames_and_restores_a_monitor(watched: Watched) -> None:
    api = watched.people.api("contributor")
    made = api.post(watched.api(), body(thresholds={"age": 0.2}), format="json")
    assert made.status_code == 201, made.content
    assert made.json()["thresholds"]["features"] == {"age": 0.2}
    assert made.json()["state"] == "pending"
    assert [found["name"] for found in api.get(watched.api()).json()["results"]] == ["watch"]
    assert api.get(watched.api(), {"q": "nothing"}).json() == {"results": [], "next": None}
    read = api.get(watched.api("/watch/"))
    changed = api.patch(
        watched.api("/watch"),
        {"name": "eye", "description": "Day and night."},
        format="json",
        HTTP_IF_MATCH=read["ETag"],
    )
    assert changed.status_code == 200, changed.content
    stale = api.patch(watched.api("/eye"), {"name": "x"}, format="json", HTTP_IF_MATCH=read["ETag"])
    assert (stale.status_code, code(stale)) == (409, "stale")
    assert api.delete(watched.api("/eye")).status_code == 204
    assert api.get(watched.api("/eye")).status_code == 404
    assert api.post(watched.api("/eye/restore")).status_code == 200
    assert Monitor.objects.get().description == "Day and night."


def test_a_report_is_queued_computed_and_read(watched: Watched) -> None:
    from apps.jobs.models import Job
    from tests.support.datasets import run_inline

    watched.record(300, age=60, labels=True)
    api = watched.people.api("contributor")
    api.post(watched.api(), body(), format="json")
    made = api.post(watched.api("/watch/reports"), PERIOD, format="json")
    assert made.status_code == 201, made.content
    assert made.json()["state"] == "queued"
    run_inline(Job.objects.get(pk=made.json()["job"]))
    found = api.get(watched.api(f"/watch/reports/{made.json()['id']}")).json()
    assert found["state"] == "succeeded"
    (window,) = found["windows"]
    assert (window["start"], window["end"], window["rows"]) == (PERIOD["start"], PERIOD["end"], 300)
    age = next(feature for feature in window["features"] if feature["name"] == "age")
    wanted = {"name", "feature_drift", "feature_impact", "prediction_drift_impact", "share", "metric"}
    assert wanted <= set(age)
    assert "counts" not in age
    assert age["prediction_drift_impact"] == pytest.approx(age["feature_drift"] * age["feature_impact"])
    assert window["performance"]["accuracy"] == 1
    assert isinstance(window["prediction_drift"], float)
    assert window["quality"] == {"issues": window["quality"]["issues"]}
    listed = api.get(watched.api("/watch/reports")).json()["results"]
    assert [report["id"] for report in listed] == [made.json()["id"]]
    alerts = api.get(watched.api("/watch/alerts"), {"state": "open"}).json()["results"]
    assert {alert["feature"] for alert in alerts} == {"age", "prediction"}
    one = watched.api(f"/watch/alerts/{alerts[0]['id']}")
    assert (
        api.post(f"{one}/acknowledge", {"comment": "Seen."}, format="json").json()["state"] == "acknowledged"
    )
    assert api.post(f"{one}/close").json()["comment"] == "Seen."
    assert api.get(one).json()["state"] == "closed"
    again = api.post(f"{one}/acknowledge")
    assert (again.status_code, code(again)) == (409, "alert.closed")


@pytest.mark.parametrize(
    ("change", "status", "expected"),
    [
        ({"name": "a/b"}, 422, "name.invalid"),
        ({"name": "x" * 300}, 422, "name.invalid"),
        ({"window": "1x"}, 422, "monitor.window"),
        ({"baseline": "nothing@1"}, 404, "dataset.not_found"),
        ({"deployment": "nothing"}, 404, "deployment.not_found"),
        ({"dataset": "customers"}, 422, "monitor.subject"),
        ({"thresholds": "high"}, 422, "monitor.thresholds"),
        ({"features": "age"}, 422, "request.invalid"),
    ],
)
def test_a_bad_monitor_is_refused_with_its_code(
    watched: Watched, change: dict[str, Any], status: int, expected: str
) -> None:
    answer = watched.people.api("contributor").post(watched.api(), body(**change), format="json")
    assert (answer.status_code, code(answer)) == (status, expected)
    assert not Monitor.objects.exists()


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        ({"start": "2021-04-02T00:00:00Z", "end": "2021-04-02T00:00:00Z"}, "monitor.period"),
        ({"start": "1021-04-02T00:00:00Z", "end": "2021-04-02T00:00:00Z"}, "monitor.too_many_windows"),
        ({"start": "soon", "end": "2021-04-02T00:00:00Z"}, "request.invalid"),
        ({}, "request.invalid"),
    ],
)
def test_a_bad_period_is_refused(watched: Watched, period: dict[str, str], expected: str) -> None:
    watched.monitor()
    answer = watched.people.api("contributor").post(watched.api("/watch/reports"), period, format="json")
    assert (answer.status_code, code(answer)) == (422, expected)


def test_duplicates_are_conflicts(watched: Watched) -> None:
    api = watched.people.api("contributor")
    api.post(watched.api(), body(), format="json")
    again = api.post(watched.api(), body(), format="json")
    assert (again.status_code, code(again)) == (409, "monitor.duplicate")


def test_viewers_read_and_do_not_write(watched: Watched) -> None:
    watched.record(300, age=60)
    watched.report(watched.monitor())
    api = watched.people.api("viewer")
    alert = Alert.objects.first()
    assert alert is not None
    for path in ("", "/watch", "/watch/reports", "/watch/alerts"):
        assert api.get(watched.api(path)).status_code == 200
    for method, path in [
        ("post", ""),
        ("patch", "/watch"),
        ("delete", "/watch"),
        ("post", "/watch/reports"),
        ("post", f"/watch/alerts/{alert.pk}/close"),
    ]:
        assert getattr(api, method)(watched.api(path), {}, format="json").status_code == 403


def test_strangers_find_nothing_and_nobody_is_asked_to_sign_in(watched: Watched) -> None:
    watched.monitor()
    for path in ("", "/watch", "/watch/reports", "/watch/alerts"):
        assert watched.people.api("stranger").get(watched.api(path)).status_code == 404
        assert watched.people.api("anonymous").get(watched.api(path)).status_code == 401


def test_a_read_only_token_cannot_ask_for_a_report(watched: Watched) -> None:
    watched.monitor()
    answer = watched.people.api("contributor", "read").post(
        watched.api("/watch/reports"), PERIOD, format="json"
    )
    assert answer.status_code == 403


def test_reports_of_another_monitor_are_not_found(watched: Watched) -> None:
    watched.record(120)
    report = watched.report(watched.monitor())
    watched.monitor(name="other")
    api = watched.people.api("viewer")
    assert api.get(watched.api(f"/watch/reports/{report.pk}")).status_code == 200
    assert api.get(watched.api(f"/other/reports/{report.pk}")).status_code == 404
    assert api.get(watched.api("/watch/reports/nothing")).status_code == 404
