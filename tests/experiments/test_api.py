"""REST of runs, experiments and algorithms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.experiments.models import Run
from tests.experiments.conftest import MakeVersion
from tests.support.people import People

pytestmark = pytest.mark.django_db
BASE = "/api/v1/projects/shop"
BODY = {"experiment": "first", "dataset": "churn", "target": "y", "algorithm": "linear"}
Start = Callable[..., Run]


def test_a_contributor_starts_a_run(people: People, make_version: MakeVersion) -> None:
    make_version()
    answer = people.api("contributor").post(f"{BASE}/runs", {**BODY, "parameters": {"C": 2}}, format="json")
    assert answer.status_code == 201
    run = answer.json()
    assert len(run["id"]) == 32
    assert run["state"] == "queued"
    assert run["dataset"] == "churn@1"
    assert run["parameters"]["C"] == 2.0
    assert run["experiment"]["name"] == "first"
    assert Run.objects.get(job_id=run["job"]).hex == run["id"]
    again = people.api("viewer").get(f"{BASE}/runs/{run['id']}/").json()
    assert again == run


@pytest.mark.parametrize(
    ("name", "status"),
    [("viewer", 403), ("stranger", 404), ("anonymous", 401), ("contributor", 201), ("admin", 201)],
)
def test_starting_takes_a_contributor(
    people: People, make_version: MakeVersion, name: str, status: int
) -> None:
    make_version()
    assert people.api(name).post(f"{BASE}/runs", BODY, format="json").status_code == status


def test_a_read_only_token_starts_nothing(people: People, make_version: MakeVersion) -> None:
    make_version()
    answer = people.api("owner", scope="read").post(f"{BASE}/runs", BODY, format="json")
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "token.read_only"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"target": "absent"}, 422, "target.unknown"),
        ({"algorithm": "nothing"}, 422, "algorithm.unknown"),
        ({"parameters": {"C": 0}}, 422, "parameter.out_of_range"),
        ({"dataset": "absent"}, 404, "dataset.not_found"),
        ({"dataset": "churn@7"}, 404, "dataset.version_not_found"),
        ({"name": "a/b"}, 422, "name.invalid"),
    ],
)
def test_bad_input_has_the_error_shape(
    people: People, make_version: MakeVersion, change: dict[str, Any], status: int, code: str
) -> None:
    make_version()
    answer = people.api("contributor").post(f"{BASE}/runs", {**BODY, **change}, format="json")
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "detail", "request_id"}
    assert error["code"] == code
    assert not Run.objects.exists()


def test_a_body_that_is_no_object_is_refused(people: People) -> None:
    client = people.api("contributor")
    assert client.post(f"{BASE}/runs", [1], format="json").status_code == 422
    broken = client.generic("POST", f"{BASE}/runs", b'{"a":', content_type="application/json")
    assert broken.status_code == 400


def test_another_projects_run_is_not_found(people: People, make_version: MakeVersion, start: Start) -> None:
    make_version()
    run = start()
    stranger = people.api("stranger")
    for path in ("", "/metrics", "/artifacts", "/metrics/accuracy"):
        assert stranger.get(f"/api/v1/projects/else/runs/{run.hex}{path}").status_code == 404


@pytest.mark.parametrize("key", ["x", "0" * 32, "1", "a" * 300, "%00"])
def test_an_unknown_id_is_not_found(people: People, key: str) -> None:
    answer = people.api("viewer").get(f"{BASE}/runs/{key}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "run.not_found"


def test_runs_are_filtered_ordered_and_paged(
    people: People, make_version: MakeVersion, start: Start, fake_tracking: Any
) -> None:
    make_version()
    for n in range(5):
        run = start(name=f"run-{n}", parameters={"C": n + 1}, experiment="a" if n < 3 else "b")
        fake_tracking.log(run.hex, "accuracy", {0: n / 10})
    api = people.api("viewer")

    def names(query: str) -> list[str]:
        answer = api.get(f"{BASE}/runs?{query}")
        assert answer.status_code == 200, answer.content
        return [r["name"] for r in answer.json()["results"]]

    assert names("order_by=-metrics.accuracy") == [f"run-{n}" for n in (4, 3, 2, 1, 0)]
    assert names("order_by=metrics.accuracy ASC") == [f"run-{n}" for n in range(5)]
    assert names("filter=metrics.accuracy > 0.25&order_by=name") == ["run-3", "run-4"]
    assert names("experiment=b&order_by=name") == ["run-3", "run-4"]
    assert names("q=RUN-2") == ["run-2"]
    assert names("state=succeeded") == []
    first = api.get(f"{BASE}/runs?limit=2&order_by=name").json()
    assert [r["name"] for r in first["results"]] == ["run-0", "run-1"]
    second = api.get(first["next"]).json()
    assert [r["name"] for r in second["results"]] == ["run-2", "run-3"]
    assert api.get(second["next"]).json()["next"] is None


def test_runs_are_found_by_the_words_of_the_studio(
    people: People, make_version: MakeVersion, start: Callable[..., Run], fake_tracking: Any
) -> None:
    """MLflow has five words for nine states: failed and errored, say, are one to it, and two to people."""
    from apps.jobs.models import Job
    from apps.jobs.states import TERMINAL, JobState
    from foundation.clock import now

    make_version()
    status = {
        "queued": "SCHEDULED", "starting": "SCHEDULED", "running": "RUNNING", "stopping": "RUNNING",
        "succeeded": "FINISHED", "failed": "FAILED", "errored": "FAILED", "cancelled": "KILLED",
        "timed_out": "KILLED",
    }  # fmt: skip
    assert set(status) == set(JobState.values)
    for state, word in status.items():
        run = start(name=state.replace("_", "-"))
        ended = now() if state in TERMINAL else None
        Job.objects.filter(pk=run.job_id).update(state=state, finished_at=ended)
        fake_tracking._run(run.hex).status = word
    for state in status:
        found = people.api("viewer").get(f"{BASE}/runs?state={state}").json()["results"]
        assert [r["state"] for r in found] == [state]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("filter=nonsense %3D%3D 1", "tracking.filter"),
        ("filter=%00", "tracking.filter"),
        ("order_by=colour", "tracking.filter"),
        ("limit=0", "list.limit"),
        ("limit=501", "list.limit"),
        ("limit=two", "list.limit"),
        ("state=happy", "run.state_unknown"),
        ("q=%00", "text.invalid"),
    ],
)
def test_a_list_that_cannot_be_made_says_why(people: People, query: str, code: str) -> None:
    answer = people.api("viewer").get(f"{BASE}/runs?{query}")
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == code


def test_renaming_needs_the_present_etag_when_one_is_sent(
    people: People, make_version: MakeVersion, start: Start
) -> None:
    make_version()
    url = f"{BASE}/runs/{start().hex}"
    api = people.api("contributor")
    etag = api.get(url).headers["ETag"]
    renamed = api.patch(
        url,
        {"name": "better", "description": "why", "tags": {"team": "a"}},
        format="json",
        HTTP_IF_MATCH=etag,
    )
    assert renamed.status_code == 200
    assert renamed.json()["name"] == "better"
    assert renamed.json()["tags"] == {"team": "a"}
    stale = api.patch(url, {"name": "worse"}, format="json", HTTP_IF_MATCH=etag)
    assert stale.status_code == 409
    assert stale.json()["error"]["code"] == "stale"
    assert api.patch(url, {"colour": 1}, format="json").status_code == 422
    assert api.patch(url, {"name": "a/b"}, format="json").status_code == 422


def test_a_run_goes_to_the_trash_and_comes_back(
    people: People, make_version: MakeVersion, start: Start
) -> None:
    make_version()
    url = f"{BASE}/runs/{start().hex}"
    api = people.api("contributor")
    assert api.delete(url).status_code == 409
    assert api.post(f"{url}/cancel").json()["state"] == "cancelled"
    assert api.delete(url).status_code == 204
    assert api.get(url).status_code == 404
    assert [r["deleted_at"] is not None for r in api.get(f"{BASE}/runs?trashed=true").json()["results"]] == [
        True
    ]
    assert api.post(f"{url}/restore").status_code == 200
    assert api.get(url).status_code == 200


def test_metrics_are_listed_and_read_step_by_step(
    people: People, make_version: MakeVersion, start: Start, fake_tracking: Any
) -> None:
    make_version()
    run = start()
    fake_tracking.log(run.hex, "val/loss", {n: 1 / (n + 1) for n in range(2000)})
    fake_tracking.log(run.hex, "broken", {0: float("nan")})
    api = people.api("viewer")
    assert api.get(f"{BASE}/runs/{run.hex}/metrics").json()["metrics"]["broken"] is None
    points = api.get(f"{BASE}/runs/{run.hex}/metrics/val/loss?points=50").json()["points"]
    assert len(points) <= 50
    assert (points[0]["step"], points[-1]["step"]) == (0, 1999)
    assert api.get(f"{BASE}/runs/{run.hex}/metrics/absent").status_code == 404
    assert api.get(f"{BASE}/runs/{run.hex}/metrics/val/loss?points=x").status_code == 422


def test_artifacts_are_listed_and_downloaded_as_attachments(
    people: People, make_version: MakeVersion, start: Start, fake_tracking: Any, store: Any
) -> None:
    make_version()
    run = start()
    store.put_bytes(b"<script>alert(1)</script>", fake_tracking.artifact_key(run.hex, "notes/page.html"))
    api = people.api("viewer")
    listed = api.get(f"{BASE}/runs/{run.hex}/artifacts").json()["results"]
    assert listed == [{"path": "notes", "is_folder": True, "size": None}]
    inner = api.get(f"{BASE}/runs/{run.hex}/artifacts?path=notes").json()["results"]
    assert inner == [{"path": "notes/page.html", "is_folder": False, "size": 25}]
    file = api.get(f"{BASE}/runs/{run.hex}/artifacts/notes/page.html")
    assert b"".join(file.streaming_content).startswith(b"<script>")
    assert file.headers["Content-Disposition"].startswith("attachment")
    assert "sandbox" in file.headers["Content-Security-Policy"]
    for bad in ("absent", "../x", "notes", "..%2F..%2Fx", "notes/..%2F..%2Fx"):
        assert api.get(f"{BASE}/runs/{run.hex}/artifacts/{bad}").status_code == 404, bad


def test_algorithms_tell_their_schema(people: People) -> None:
    found = people.api("viewer").get(f"{BASE}/algorithms").json()["results"]
    linear = next(a for a in found if a["name"] == "linear")
    assert linear["task"] == ["classification", "regression"]
    c = next(p for p in linear["parameters"] if p["name"] == "C")
    assert (c["type"], c["low"], c["high"], c["log"], c["default"]) == ("float", 1e-5, 1e5, True, 1.0)


def test_experiments_are_made_renamed_and_trashed(people: People) -> None:
    api = people.api("contributor")
    made = api.post(f"{BASE}/experiments", {"name": "one", "description": "d"}, format="json")
    assert made.status_code == 201
    assert api.post(f"{BASE}/experiments", {"name": "one"}, format="json").status_code == 409
    assert api.post(f"{BASE}/experiments", {"name": "a/b"}, format="json").status_code == 422
    assert api.post(f"{BASE}/experiments", {}, format="json").status_code == 422
    renamed = api.patch(f"{BASE}/experiments/one", {"name": "two"}, format="json")
    assert renamed.json()["name"] == "two"
    assert api.get(f"{BASE}/experiments/one").status_code == 404
    assert {e["name"] for e in api.get(f"{BASE}/experiments").json()["results"]} == {"Default", "two"}
    assert api.delete(f"{BASE}/experiments/two").status_code == 204
    assert api.post(f"{BASE}/experiments/{made.json()['id']}/restore").status_code == 200
    assert (
        people.api("viewer").patch(f"{BASE}/experiments/two", {"name": "x"}, format="json").status_code == 403
    )
