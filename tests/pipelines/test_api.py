"""REST of pipelines: shapes, versions, runs, errors, and who may."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apps.pipelines.models import Pipeline, PipelineRun
from tests.pipelines.conftest import CHECK, FLOW, GOOD, KEEP, TRAIN, Plant, definition

pytestmark = pytest.mark.django_db


def code(answer: Any) -> str:
    return str(answer.json()["error"]["code"])


def test_a_contributor_makes_reads_changes_trashes_and_restores_a_pipeline(plant: Plant) -> None:
    api = plant.people.api("contributor")
    made = api.post(plant.api(), {**FLOW, "description": "Every night."}, format="json")
    assert made.status_code == 201, made.content
    assert (made.json()["version"], made.json()["last_run"]) == (1, None)
    read = api.get(plant.api("/nightly/"))
    assert read.json()["definition"] == {**FLOW, "description": "Every night."}
    assert list(read.json()["definition"]["nodes"][0]) == ["name", "kind", "with"]
    listed = api.get(plant.api(), {"q": "night"}).json()["results"]
    assert [found["name"] for found in listed] == ["nightly"]

    changed = api.patch(
        plant.api("/nightly"),
        {"definition": {**FLOW, "concurrency": 1}, "description": "x"},
        format="json",
        HTTP_IF_MATCH=read["ETag"],
    )
    assert changed.status_code == 200, changed.content
    assert (changed.json()["version"], changed.json()["description"]) == (2, "x")
    stale = api.patch(plant.api("/nightly"), {"name": "y"}, format="json", HTTP_IF_MATCH=read["ETag"])
    assert (stale.status_code, code(stale)) == (409, "stale")
    same = api.patch(plant.api("/nightly"), {"definition": changed.json()["definition"]}, format="json")
    assert same.json()["version"] == 2
    versions = api.get(plant.api("/nightly/versions")).json()["results"]
    assert [found["number"] for found in versions] == [2, 1]
    assert "concurrency" not in api.get(plant.api("/nightly/versions/1")).json()["definition"]
    assert api.get(plant.api("/nightly/versions/9")).status_code == 404

    assert api.post(plant.api(), FLOW, format="json").status_code == 409
    assert api.patch(plant.api("/nightly"), {"name": "daily"}, format="json").json()["name"] == "daily"
    assert api.delete(plant.api("/daily")).status_code == 204
    assert api.get(plant.api("/daily")).status_code == 404
    assert len(api.get(plant.api(), {"trashed": "true"}).json()["results"]) == 1
    assert api.post(plant.api("/daily/restore")).status_code == 200
    assert Pipeline.objects.get().name == "daily"


def test_a_definition_as_text_is_refused_with_line_and_column(plant: Plant) -> None:
    api = plant.people.api("contributor")
    text = json.dumps(FLOW, indent=2).replace("check.dataset", "chek.dataset")
    for path in ("", "/validate"):
        answer = api.generic("POST", plant.api(path), text, content_type="application/json")
        assert (answer.status_code, code(answer)) == (422, "pipeline.unknown_node")
        detail = answer.json()["error"]["detail"]
        assert detail["pointer"] == "/nodes/1/with/dataset"
        assert text.splitlines()[detail["line"] - 1][detail["column"] - 1 :].startswith('"${chek')
    broken = api.generic("POST", plant.api(), text[:-3], content_type="application/json")
    assert (broken.status_code, code(broken)) == (400, "request.malformed")
    assert broken.json()["error"]["detail"]["line"] > 1
    plant.pipeline(CHECK)
    patched = api.patch(plant.api("/nightly"), {"definition": text}, format="json")
    assert patched.status_code == 422
    assert patched.json()["error"]["detail"]["line"] == detail["line"]
    assert Pipeline.objects.count() == 1


def test_a_viewer_may_validate_and_gets_the_graph(plant: Plant) -> None:
    answer = plant.people.api("viewer", scope="read").post(plant.api("/validate"), FLOW, format="json")
    assert answer.status_code == 200, answer.content
    graph = answer.json()["graph"]
    assert graph["layers"] == 4
    assert {"source": "good", "target": "keep"} in graph["edges"]
    assert not Pipeline.objects.exists()


def test_a_run_is_started_watched_cancelled_and_repeated(plant: Plant) -> None:
    api = plant.people.api("contributor")
    plant.pipeline(CHECK, TRAIN, GOOD, KEEP)
    made = api.post(plant.api("/nightly/runs"), {"parameters": {"least": 0.5}}, format="json")
    assert made.status_code == 201, made.content
    body = made.json()
    assert (body["number"], body["state"], body["version"], body["source"]) == (1, "queued", 1, "person")
    assert body["parameters"] == {"least": 0.5}
    assert [node["state"] for node in body["nodes"]] == ["waiting"] * 4
    run = PipelineRun.objects.get()
    plant.look(run)
    shown = api.get(plant.api("/nightly/runs/1")).json()
    train = shown["nodes"][1]
    assert (train["state"], train["attempt"], train["subject"]["kind"]) == ("running", 1, "run")
    assert train["job"]
    graph = api.get(plant.api("/nightly/runs/1/graph")).json()
    assert [node["state"] for node in graph["nodes"]] == ["succeeded", "running", "waiting", "waiting"]
    assert "state" not in api.get(plant.api("/nightly/graph")).json()["nodes"][0]
    busy = api.delete(plant.api("/nightly"))
    assert (busy.status_code, code(busy)) == (409, "pipeline.busy")
    assert code(api.post(plant.api("/nightly/runs/1/rerun"))) == "pipeline.run_live"

    assert api.post(plant.api("/nightly/runs/1/cancel")).json()["state"] == "stopping"
    plant.look(run)
    over = api.post(plant.api("/nightly/runs/1/cancel"))
    assert (over.status_code, code(over)) == (409, "pipeline.run_over")
    again = api.post(plant.api("/nightly/runs/1/rerun"), {"from": "failed"}, format="json")
    assert again.status_code == 201, again.content
    assert (again.json()["number"], again.json()["rerun_of"]) == (2, 1)
    first = again.json()["nodes"][0]
    assert (first["state"], first["reused_from"], first["outputs"]["rows"]) == ("reused", 1, 5)
    runs = api.get(plant.api("/nightly/runs")).json()["results"]
    assert [found["number"] for found in runs] == [2, 1]
    assert len(api.get(plant.api("/nightly/runs"), {"state": "cancelled"}).json()["results"]) == 1
    assert code(api.get(plant.api("/nightly/runs"), {"state": "odd"})) == "list.state"
    project = f"/api/v1/projects/{plant.project.slug}"
    assert len(api.get(f"{project}/pipeline-runs").json()["results"]) == 2
    assert [kind["name"] for kind in api.get(f"{project}/pipeline-node-kinds").json()][:2] == [
        "dataset_check",
        "run",
    ]


@pytest.mark.parametrize(
    ("path", "body", "status", "wanted"),
    [
        ("/nightly/runs", {"parameters": {"lest": 1}}, 422, "pipeline.parameter_unknown"),
        ("/nightly/runs", {"parameters": {"least": "x"}}, 422, "pipeline.parameter_value"),
        ("/nightly/runs", {"parameters": []}, 422, "pipeline.parameter_value"),
        ("/nightly/runs", {"parameter": {}}, 422, "request.unknown_field"),
        ("/nothing/runs", {}, 404, "pipeline.not_found"),
        ("/nightly/runs/7/cancel", {}, 404, "pipeline.run_not_found"),
        ("/nightly/runs/x/rerun", {}, 404, "pipeline.run_not_found"),
        ("/nightly/restore", {}, 404, "pipeline.not_found"),
    ],
)
def test_bad_calls_get_a_code_and_leave_nothing(
    plant: Plant, path: str, body: dict[str, Any], status: int, wanted: str
) -> None:
    plant.pipeline(CHECK)
    answer = plant.people.api("contributor").post(plant.api(path), body, format="json")
    assert (answer.status_code, code(answer)) == (status, wanted)
    assert not PipelineRun.objects.exists()


def test_roles_decide(plant: Plant) -> None:
    plant.pipeline(CHECK)
    assert plant.people.api("viewer").get(plant.api("/nightly")).status_code == 200
    assert plant.people.api("viewer").post(plant.api("/nightly/runs"), {}, format="json").status_code == 403
    assert plant.people.api("stranger").get(plant.api("/nightly")).status_code == 404


def test_lists_and_runs_cost_a_fixed_number_of_queries(
    plant: Plant, django_assert_max_num_queries: Any
) -> None:
    pipeline = plant.pipeline(CHECK, TRAIN, GOOD, KEEP)
    for index in range(3):
        plant.pipeline(CHECK, name=f"p{index}")
        plant.look(plant.start(pipeline))
    api = plant.people.api("viewer")
    api.get(plant.api())
    with django_assert_max_num_queries(6):
        api.get(plant.api())
    with django_assert_max_num_queries(7):
        api.get(plant.api("/nightly/runs"))
    with django_assert_max_num_queries(8):
        api.get(plant.api("/nightly/runs/1"))


def test_an_audit_row_tells_every_change(plant: Plant) -> None:
    from apps.accounts.models import AuditEvent

    api = plant.people.api("contributor")
    api.post(plant.api(), definition(CHECK), format="json")
    api.patch(plant.api("/nightly"), {"description": "x"}, format="json")
    api.post(plant.api("/nightly/runs"), {}, format="json")
    api.post(plant.api("/nightly/runs/1/cancel"))
    api.post(plant.api("/nightly/runs/1/rerun"), {"from": "start"}, format="json")
    told = AuditEvent.objects.filter(subject_kind="pipeline").order_by("at").values_list("action", flat=True)
    assert list(told) == [
        "pipeline.create",
        "pipeline.update",
        "pipeline.run",
        "pipeline.cancel_run",
        "pipeline.rerun",
    ]
