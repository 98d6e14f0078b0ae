"""Studies over REST."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from apps.accounts.tokens import issue_job_token
from apps.jobs import attempts
from apps.tuning.models import Study, Trial
from tests.support.people import People
from tests.tuning.studies import BODY, with_trials

pytestmark = pytest.mark.django_db
Made = Callable[..., Study]
STUDIES = "/api/v1/projects/shop/studies"


@pytest.fixture
def api(people: People) -> Any:
    return people.api("contributor")


def call(api: Any, method: str, path: str, body: Any = None, *, status: int = 200, **headers: str) -> Any:
    more = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    answer = getattr(api, method)(path, body, format="json", **more)
    assert answer.status_code == status, answer.content
    return answer


def test_a_study_is_made_read_and_listed(api: Any, table: Any) -> None:
    made = call(api, "post", STUDIES, BODY, status=201)
    study = made.json()
    assert (study["state"], study["sampler"], study["n_complete"], study["best_trial"]) == (
        "queued",
        "tpe",
        0,
        None,
    )
    assert study["dataset"] == "churn@1"
    assert study["objectives"] == [{"metric": "accuracy", "direction": "maximize"}]
    assert "first 10 are random" in study["sampler_reason"]
    assert len(study["run"]) == 32
    again = call(api, "get", f"{STUDIES}/forest")
    assert again.json() == study
    assert again["ETag"] == made["ETag"]
    listed = call(api, "get", f"{STUDIES}?state=queued&q=for").json()
    assert listed == {"results": [study], "next": None}
    assert call(api, "get", f"{STUDIES}?state=failed").json()["results"] == []
    assert call(api, "get", f"{STUDIES}?state=wild", status=422).json()["error"]["code"] == "list.state"
    assert call(api, "get", f"{STUDIES}/nothing", status=404).json()["error"]["code"] == "study.not_found"
    run = call(api, "get", f"/api/v1/projects/shop/runs/{study['run']}").json()
    assert (run["source"], run["state"], run["job"]) == ("study", "running", None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (BODY | {"search_space": {"max_depth": {"low": 9, "high": 2}}}, "search_space.max_depth.low"),
        (BODY | {"objectives": [{"metric": "rmse"}]}, "objectives.0.metric"),
        (BODY | {"n_trials": 0}, "n_trials"),
        (BODY | {"dataset": ""}, "dataset"),
        ([], "body"),
    ],
)
def test_an_error_names_the_field(api: Any, table: Any, body: Any, field: str) -> None:
    error = call(api, "post", STUDIES, body, status=422).json()["error"]
    assert error["detail"]["field"] == field
    assert Study.objects.count() == 0


def test_it_is_changed_only_as_it_was_read(api: Any, made_study: Made) -> None:
    made_study()
    etag = call(api, "get", f"{STUDIES}/forest")["ETag"]
    changed = call(api, "patch", f"{STUDIES}/forest", {"n_trials": 7}, if_match=etag)
    assert (changed.json()["n_trials"], changed["ETag"] != etag) == (7, True)
    stale = call(api, "patch", f"{STUDIES}/forest", {"n_trials": 8}, status=409, if_match=etag)
    assert stale.json()["error"]["code"] == "stale"
    call(api, "patch", f"{STUDIES}/forest", {"seed": 8}, status=422)
    call(api, "delete", f"{STUDIES}/forest", status=409)


def test_stop_resume_trash_and_restore(api: Any, made_study: Made) -> None:
    from apps.tuning.coordinator import advance_all

    made_study()
    assert call(api, "post", f"{STUDIES}/forest/stop").json()["state"] == "stopping"
    assert call(api, "post", f"{STUDIES}/forest/stop", {"cancel": True}).json()["state"] == "stopping"
    call(api, "post", f"{STUDIES}/forest/stop", {"now": True}, status=422)
    advance_all()
    over = call(api, "post", f"{STUDIES}/forest/stop", status=409).json()["error"]
    assert over["message"] == "The study 'forest' is over: it was stopped."
    call(api, "delete", f"{STUDIES}/forest", status=204)
    call(api, "get", f"{STUDIES}/forest", status=404)
    assert [s["name"] for s in call(api, "get", f"{STUDIES}?trashed=true").json()["results"]] == ["forest"]
    assert call(api, "post", f"{STUDIES}/forest/restore").json()["state"] == "stopped"
    resumed = call(api, "post", f"{STUDIES}/forest/resume", {"n_trials": 40}).json()
    assert (resumed["state"], resumed["n_trials"]) == ("queued", 40)


def test_trials_in_pages_by_state_and_by_value(api: Any, made_study: Made) -> None:
    with_trials(made_study(), 0.5, 0.9, "pruned", "failed", 0.7, "running")

    def numbers(query: str) -> list[int]:
        return [t["number"] for t in call(api, "get", f"{STUDIES}/forest/trials{query}").json()["results"]]

    assert numbers("") == [0, 1, 2, 3, 4, 5]
    assert numbers("?order_by=-value") == [1, 4, 0]
    assert numbers("?state=pruned") == [2]
    page = call(api, "get", f"{STUDIES}/forest/trials?limit=4").json()
    rest = call(api, "get", page["next"]).json()
    assert [t["number"] for t in page["results"] + rest["results"]] == [0, 1, 2, 3, 4, 5]
    trial = call(api, "get", f"{STUDIES}/forest/trials/3").json()
    assert (trial["state"], trial["value"], trial["reason"]) == (
        "failed",
        None,
        "Nothing to learn from in fold 2.",
    )
    assert call(api, "get", f"{STUDIES}/forest/trials/2").json()["intermediate"] == {"1": 0.5, "2": 0.6}
    for number in ("9", "x", "-1", "99999999999999999999"):
        call(api, "get", f"{STUDIES}/forest/trials/{number}", status=404)
    study = call(api, "get", f"{STUDIES}/forest").json()
    assert study["best_trial"]["number"] == 1
    assert (study["n_running"], study["n_complete"], study["n_pruned"], study["n_failed"]) == (1, 3, 1, 1)


def test_importances_and_figures(api: Any, made_study: Made) -> None:
    study = with_trials(made_study(), 0.5, 0.6)
    found = call(api, "get", f"{STUDIES}/forest/importances").json()
    assert found == {"method": "PED-ANOVA", "trials": 2, "importances": {}}
    with_trials(study, *(n / 20 for n in range(14)))
    found = call(api, "get", f"{STUDIES}/forest/importances").json()
    assert sum(found["importances"].values()) == pytest.approx(1)
    for figure in ("history", "importances", "parallel"):
        assert set(call(api, "get", f"{STUDIES}/forest/figures/{figure}").json()) >= {"data", "layout"}
    call(api, "get", f"{STUDIES}/forest/figures/pareto", status=404)


def test_the_best_parameters_become_a_run(api: Any, made_study: Made) -> None:
    study = made_study()
    assert (
        call(api, "post", f"{STUDIES}/forest/final-run", status=409).json()["error"]["code"]
        == "study.no_best"
    )
    with_trials(study, 0.5, 0.9, "pruned")
    run = call(api, "post", f"{STUDIES}/forest/final-run", {"name": "best"}, status=201).json()
    assert (run["name"], run["source"], run["state"]) == ("best", "atelier", "queued")
    assert call(api, "get", f"{STUDIES}/forest").json()["final_run"] == run["id"]
    call(api, "post", f"{STUDIES}/forest/final-run", {"trial": 2}, status=409)
    call(api, "post", f"{STUDIES}/forest/final-run", {"trial": 7}, status=404)


def test_only_the_trial_s_own_job_reports(people: People, api: Any, made_study: Made) -> None:
    study = with_trials(made_study(n_trials=9), *[0.5] * 5, "running", "running")
    trial, other = study.trials.filter(state="running").select_related("run__job")
    path = f"/api/v1/projects/shop/trials/{trial.run.hex}/reports"
    refused = call(api, "post", path, {"step": 1, "value": 0.5}, status=403).json()["error"]
    assert refused["code"] == "trial.not_yours"

    def client_of(one: Trial) -> APIClient:
        job = attempts.claim(job_id=one.run.job_id, worker="w", tier=9, lease_seconds=60)
        assert job is not None
        client = APIClient()
        secret = issue_job_token(
            user=people.contributor, project=people.project, job_id=job.pk, fence=job.fence
        )
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
        return client

    own = client_of(trial)
    call(client_of(other), "post", path, {"step": 1, "value": 0.5}, status=403)
    Trial.objects.filter(study=study, state="complete").update(intermediate={"30": 0.4, "45": 0.5})
    answer = call(own, "post", path, {"step": 30, "value": 0.25}).json()
    assert answer["best"] == 0.5
    assert [p["intermediate"] for p in answer["peers"]] == [{"30": 0.4}] * 5
    assert Trial.objects.get(pk=trial.pk).intermediate["30"] == 0.25
    assert call(own, "post", path, {"value": 0.25}).json() == {"peers": [], "best": 0.5}
    for body in ({"step": 0, "value": 1}, {"step": 1}, {"step": 1, "value": "x"}, {"step": True, "value": 1}):
        call(own, "post", path, body, status=422)
    Trial.objects.filter(pk=trial.pk).update(state="failed", told_at="2026-01-01T00:00:00Z")
    assert (
        call(own, "post", path, {"step": 3, "value": 1}, status=409).json()["error"]["code"] == "trial.over"
    )
    call(own, "post", "/api/v1/projects/shop/trials/nothing/reports", {"value": 1}, status=404)


def test_a_list_of_studies_costs_the_same_for_many(
    api: Any, made_study: Made, django_assert_max_num_queries: Any
) -> None:
    for number in range(4):
        with_trials(made_study(name=f"s{number}"), 0.5, 0.6)
    with django_assert_max_num_queries(12):
        assert len(call(api, "get", STUDIES).json()["results"]) == 4
