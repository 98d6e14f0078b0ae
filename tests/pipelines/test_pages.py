"""Pages of pipelines: list, editor, graph, runs, schedules, trash, and how often they ask the database."""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.jobs.schedules import firing
from apps.jobs.schedules.models import Schedule
from apps.pipelines import editing, examples
from apps.pipelines.actions import rerun, update_pipeline
from apps.pipelines.definition import read_definition
from apps.pipelines.models import NodeRun, Pipeline, PipelineRun
from apps.pipelines.presenting import picture_of
from apps.pipelines.states import NodeState, PipelineRunState
from foundation import clock
from foundation.clock import now
from tests.pipelines.conftest import CHECK, FLOW, GOOD, KEEP, TRAIN, Plant, definition

pytestmark = pytest.mark.django_db


def url(plant: Plant, path: str = "/") -> str:
    return f"/p/{plant.project.slug}/pipelines{path}"


def text_of(answer: Any) -> str:
    return str(answer.content.decode())


def flow(plant: Plant, **more: Any) -> Pipeline:
    found: Pipeline = plant.pipeline(CHECK, TRAIN, GOOD, KEEP, **more)
    return found


def failed(plant: Plant, pipeline: Pipeline) -> PipelineRun:
    """A run whose training failed, as the coordinator would leave it."""
    run: PipelineRun = plant.start(pipeline)
    NodeRun.objects.filter(pipeline_run=run, name="check").update(
        state=NodeState.SUCCEEDED,
        outputs={"dataset": "churn@1", "rows": 5},
        started_at=now(),
        finished_at=now(),
    )
    NodeRun.objects.filter(pipeline_run=run, name="train").update(
        state=NodeState.FAILED,
        reason="The loss became infinite.",
        subject_title="run-a",
        subject_url="/p/shop/r",
    )
    NodeRun.objects.filter(pipeline_run=run, name__in=["good", "keep"]).update(state=NodeState.SKIPPED)
    PipelineRun.objects.filter(pk=run.pk).update(
        state=PipelineRunState.FAILED, reason="'train' failed.", finished_at=now()
    )
    run.refresh_from_db()
    return run


# ---- the list ----------------------------------------------------------------------------------------------


def test_an_empty_list_shows_an_example_that_works(plant: Plant) -> None:
    page = text_of(plant.people.client("contributor").get(url(plant)))
    assert "No pipelines yet" in page
    assert "dag-box" in page
    assert "-d @pipeline.json" in page
    assert "Start from an example" not in text_of(plant.people.client("viewer").get(url(plant)))


def test_the_list_tells_the_last_run_and_the_next_time(plant: Plant) -> None:
    pipeline = flow(plant)
    plant.pipeline(CHECK, name="other")
    failed(plant, pipeline)
    api = plant.people.api("contributor")
    made = api.post(
        f"/api/v1/projects/{plant.project.slug}/schedules",
        {"pipeline": "nightly", "cron": "0 3 * * *"},
        format="json",
    )
    assert made.status_code == 201, made.content
    client = plant.people.client("viewer")
    page = text_of(client.get(url(plant)))
    assert 'data-state="failed"' in page
    assert "03:00" in page
    assert "never" in page
    only = text_of(client.get(url(plant) + "?state=failed"))
    assert (">nightly<" in only, ">other<" in only) == (True, False)
    assert ">other<" in text_of(client.get(url(plant) + "?state=never&q=oth"))
    assert "clear" in text_of(client.get(url(plant) + "?q=nothing-like-it")).lower()


# ---- the editor --------------------------------------------------------------------------------------------


def test_every_example_is_a_definition_of_this_project(plant: Plant) -> None:
    found = examples.examples_for(plant.project)
    for example in found:
        checked = read_definition(example.text)
        assert checked.parameters["dataset"].default == "churn"
        page = plant.people.client("contributor").get(url(plant, f"/new?from={example.key}"))
        assert "Can be saved" in text_of(page)
    plant.people.client("contributor").post(url(plant, "/new"), {"definition": found[0].text})
    assert json.loads(examples.examples_for(plant.project)[0].text)["name"] == "churn-train-2"


def test_a_pipeline_is_written_and_changed_in_the_editor(plant: Plant) -> None:
    client = plant.people.client("contributor")
    made = client.post(url(plant, "/new"), {"definition": json.dumps(FLOW, indent=2).replace("\n", "\r\n")})
    assert made.status_code == 302
    assert made["Location"] == url(plant, "/nightly")
    edit = url(plant, "/nightly/edit")
    assert "&quot;nightly&quot;" in text_of(client.get(edit))
    changed = definition(CHECK, TRAIN, description="Now shorter.")
    client.post(edit, {"definition": json.dumps(changed)})
    pipeline = Pipeline.objects.get()
    assert (pipeline.description, pipeline.versions.count()) == ("Now shorter.", 2)
    assert "keep" in text_of(client.get(edit + "?version=1"))
    versions = text_of(client.get(url(plant, "/nightly/versions")))
    assert "Take it up again" in versions
    assert "dag-box" in text_of(client.get(url(plant, "/nightly/versions/1")))
    assert client.get(url(plant, "/nightly/versions/9")).status_code == 404


@pytest.mark.parametrize(
    ("text", "says", "line"),
    [
        ('{"name": "a",\n "nodes": [}', "This is not JSON", 2),
        ('{"name": "a",\n\n "nodes": []}', "at least one node", 3),
        ('{"name": "a", "nodes": [\n {"name": "x", "kind": "rn"}]}', "Did you mean", 2),
        ("", "This is not JSON", 1),
    ],
)
def test_what_is_wrong_is_shown_with_its_place(plant: Plant, text: str, says: str, line: int) -> None:
    client = plant.people.client("contributor")
    answers = [
        client.post(url(plant, "/new"), {"definition": text}),
        client.post(url(plant, "/new"), {"definition": text, "check": "1"}),
        client.post(url(plant, "/validate"), {"definition": text}),
    ]
    assert [answer.status_code for answer in answers] == [422, 200, 200]
    for answer in answers:
        page = text_of(answer)
        assert says in page
        assert f'data-goto="{line}:' in page
    assert not Pipeline.objects.exists()


def test_a_circle_is_named_and_a_taken_name_too(plant: Plant) -> None:
    flow(plant)
    client = plant.people.client("contributor")
    circle = definition({**CHECK, "needs": ["train"]}, TRAIN, name="round")
    assert "check → train → check" in text_of(
        client.post(url(plant, "/new"), {"definition": json.dumps(circle)})
    )
    again = client.post(url(plant, "/new"), {"definition": json.dumps(FLOW)})
    assert again.status_code == 422
    assert "There is already a pipeline" in text_of(again)
    assert Pipeline.objects.count() == 1


def test_a_fault_far_to_the_right_is_still_pointed_at() -> None:
    text = '{"name": "a", ' + " " * 300 + '"nodes": 7}'
    [fault] = editing.check_text(text).faults
    assert fault.excerpt[len(fault.caret)] == text[fault.column - 1]


def test_hostile_text_is_only_text(plant: Plant) -> None:
    bad = definition({**CHECK, "description": "<script>alert(1)</script>"}, name="x")
    client = plant.people.client("contributor")
    client.post(url(plant, "/new"), {"definition": json.dumps(bad)})
    for path in ("/x", "/x/edit", "/x/versions/1"):
        assert "<script>alert" not in text_of(client.get(url(plant, path)))


# ---- the graph ---------------------------------------------------------------------------------------------


def test_the_graph_is_a_picture_with_a_table_beside_it(plant: Plant) -> None:
    flow(plant)
    page = text_of(plant.people.client("viewer").get(url(plant, "/nightly")))
    links = re.findall(r'class="dag-box[^"]*" href="#(node-\w+)"', page)
    assert sorted(set(links)) == ["node-check", "node-good", "node-keep", "node-train"]
    assert all(f'id="{link}"' in page for link in links)
    assert ">if so<" in page
    assert "train.metrics.accuracy ≥ least" in page
    assert 'aria-label="good: Condition train.metrics.accuracy ≥ least, after train"' in page


def test_the_graph_of_a_run_has_its_states(plant: Plant) -> None:
    run = failed(plant, flow(plant))
    page = text_of(plant.people.client("contributor").get(url(plant, "/nightly/runs/1")))
    assert "is-failed" in page
    assert "train: Run linear, failed" in page
    assert "The loss became infinite." in page
    assert 'href="/p/shop/r"' in page
    assert "Re-run from the failed node" in page
    assert "data-poll" not in page.split('id="pipeline-run"')[1].split(">")[0]
    picture = picture_of(read_definition(FLOW), {node.name: node for node in run.nodes.all()})
    looks = {stroke.css for stroke in picture.drawings[0].strokes}
    assert looks == {"done", "cut"}


def test_a_condition_says_on_its_line_whether_it_held(plant: Plant) -> None:
    run = plant.start(flow(plant))
    run.nodes.filter(name="good").update(state=NodeState.SUCCEEDED, outputs={"holds": False})
    run.nodes.filter(name="keep").update(state=NodeState.SKIPPED)
    nodes = {node.name: node for node in run.nodes.all()}
    [stroke] = [s for s in picture_of(read_definition(FLOW), nodes).drawings[0].strokes if s.label]
    assert (stroke.label, stroke.css) == ("no", "cut")


def test_a_large_graph_is_drawn_once(plant: Plant) -> None:
    nodes = [{"name": f"c{i}", "kind": "dataset_check", "with": {"dataset": "churn"}} for i in range(50)]
    plant.pipeline(*nodes)
    page = plant.people.client("contributor").get(url(plant, "/nightly"))
    assert len(page.content) < 100_000
    assert text_of(page).count("dag-box ") == 50


# ---- runs --------------------------------------------------------------------------------------------------


def test_a_run_is_started_with_typed_parameters(plant: Plant) -> None:
    parameters = {
        "least": {"type": "number", "default": 0.8, "description": "Good enough."},
        "deep": {"type": "boolean", "default": True},
        "ages": {"type": "list", "default": [1, 2]},
        "size": {"type": "string", "choices": ["small", "large"], "default": "large"},
        "data": {"type": "dataset"},
    }
    plant.pipeline(CHECK, parameters=parameters)
    client = plant.people.client("contributor")
    page = text_of(client.get(url(plant, "/nightly")))
    assert 'value="0.8"' in page
    assert "[1, 2]" in page
    assert "<option>churn@1</option>" in page
    values = {f"parameter-{name}": value for name, value in
              {"least": "0.9", "deep": "false", "ages": "[3]", "size": "small", "data": "churn@1"}.items()}  # fmt: skip
    started = client.post(url(plant, "/nightly/runs"), values)
    run = PipelineRun.objects.get()
    assert started["Location"] == url(plant, "/nightly/runs/1")
    assert run.parameters == {"least": 0.9, "deep": False, "ages": [3], "size": "small", "data": "churn@1"}
    for name, wrong in (("least", "many"), ("ages", "{}"), ("ages", "[1"), ("size", "huge"), ("data", "")):
        answer = client.post(url(plant, "/nightly/runs"), values | {f"parameter-{name}": wrong})
        assert answer.status_code == 422, name
        assert "field-errors" in text_of(answer)
    assert PipelineRun.objects.count() == 1


def test_a_run_is_cancelled_and_repeated(plant: Plant) -> None:
    pipeline = flow(plant)
    run = failed(plant, pipeline)
    client = plant.people.client("contributor")
    resumed = client.post(url(plant, f"/nightly/runs/{run.number}/resume"))
    assert resumed["Location"] == url(plant, "/nightly/runs/2")
    page = text_of(client.get(url(plant, "/nightly/runs/2")))
    assert 'data-state="reused"' in page
    assert "from #1" in page
    assert "data-poll" in page
    client.post(url(plant, "/nightly/runs/2/cancel"))
    assert PipelineRun.objects.get(number=2).state in ("cancelled", "stopping")
    client.post(url(plant, f"/nightly/runs/{run.number}/again"))
    assert PipelineRun.objects.get(number=3).nodes.filter(state="waiting").count() == 4
    listed = text_of(client.get(url(plant, "/nightly/runs?state=failed")))
    assert ("#1<" in listed, "#3<" in listed) == (True, False)
    assert "again, of #1" in text_of(client.get(url(plant, "/nightly/runs")))


def test_a_corrected_definition_goes_on_where_the_run_failed(plant: Plant) -> None:
    pipeline = flow(plant)
    run = failed(plant, pipeline)
    client = plant.people.client("contributor")
    assert "Go on with version" not in text_of(client.get(run.get_absolute_url()))
    less = {**TRAIN, "with": {**TRAIN["with"], "seed": 7}}
    client.post(url(plant, "/nightly/edit"), {"definition": json.dumps(definition(CHECK, less, GOOD, KEEP))})
    assert "Go on with version 2" in text_of(client.get(run.get_absolute_url()))
    client.post(url(plant, f"/nightly/runs/{run.number}/newest"))
    again = PipelineRun.objects.get(number=2)
    assert (again.version.number, again.rerun_of) == (2, run)
    assert plant.states(again) == {
        "check": "reused",
        "train": "waiting",
        "good": "waiting",
        "keep": "waiting",
    }


def test_a_live_part_is_sent_only_when_it_changed(plant: Plant) -> None:
    plant.start(flow(plant))
    client = plant.people.client("viewer")
    for path in ("/nightly/live", "/nightly/runs/1/live"):
        first = client.get(url(plant, path))
        again = client.get(url(plant, path), headers={"If-None-Match": first["ETag"]})
        assert (first.status_code, again.status_code) == (200, 304)


# ---- name, trash, schedules --------------------------------------------------------------------------------


def test_it_is_renamed_described_trashed_and_restored(plant: Plant) -> None:
    flow(plant)
    client = plant.people.client("contributor")
    client.post(url(plant, "/nightly/settings"), {"name": "daily", "description": "At noon."})
    assert "At noon." in text_of(client.get(url(plant, "/daily")))
    wrong = client.post(url(plant, "/daily/settings"), {"name": "no blanks", "description": ""})
    assert wrong.status_code == 422
    client.post(url(plant, "/daily/trash"))
    assert "in the trash" in text_of(client.get(url(plant, "/daily")))
    assert ">daily<" in text_of(client.get(url(plant) + "?trashed=1"))
    client.post(url(plant, "/daily/restore"))
    assert client.get(url(plant, "/daily")).status_code == 200
    plant.start(Pipeline.objects.get())
    assert "still working" in text_of(client.post(url(plant, "/daily/trash"), follow=True))


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Any:
    """later(hours): from now on it is so much later for schedules."""

    def move(hours: float) -> None:
        moment = now() + datetime.timedelta(hours=hours)
        monkeypatch.setattr(clock, "now", lambda: moment)

    return move


def schedule(plant: Plant, who: str = "contributor", **more: Any) -> Schedule:
    body = {"pipeline": "nightly", "cron": "0 * * * *", **more}
    made = plant.people.api(who).post(f"/api/v1/projects/{plant.project.slug}/schedules", body, format="json")
    assert made.status_code == 201, made.content
    return Schedule.objects.get(pk=made.json()["id"])


def test_a_schedule_starts_a_run_with_its_parameters(plant: Plant, later: Any) -> None:
    flow(plant)
    body = {"pipeline": "nightly", "cron": "0 * * * *", "parameters": {"leest": 1}}
    wrong = plant.people.api("contributor").post(
        f"/api/v1/projects/{plant.project.slug}/schedules", body, format="json"
    )
    assert wrong.json()["error"]["code"] == "pipeline.parameter_unknown"
    one = schedule(plant, parameters={"least": 0.7})
    later(1)
    assert firing.fire_due() == 1
    run = PipelineRun.objects.get()
    assert (run.source, run.parameters, run.created_by) == (
        "schedule",
        {"least": 0.7},
        plant.people.contributor,
    )
    client = plant.people.client("viewer")
    assert run.get_absolute_url() in text_of(client.get(f"/p/{plant.project.slug}/schedules/{one.pk}/"))
    page = text_of(client.get(url(plant, "/nightly")))
    assert "At the start of every hour" in page
    form = text_of(plant.people.client("contributor").get(f"/p/{plant.project.slug}/schedules/{one.pk}/edit"))
    assert 'value="0.7"' in form
    later(2)
    firing.fire_due()
    assert PipelineRun.objects.count() == 1
    newest = one.firings.first()
    assert newest is not None
    assert (newest.state, "still working" in newest.reason) == ("skipped", True)
    # Another schedule of the same pipeline is not held up by it.
    schedule(plant, parameters={"least": 0.6})
    later(3)
    firing.fire_due()
    assert [found.parameters for found in PipelineRun.objects.order_by("number")] == [
        {"least": 0.7},
        {"least": 0.6},
    ]


def test_a_schedule_stops_when_its_pipeline_is_in_the_trash(plant: Plant, later: Any) -> None:
    flow(plant)
    one = schedule(plant)
    plant.people.client("contributor").post(url(plant, "/nightly/trash"))
    later(1)
    firing.fire_due()
    one.refresh_from_db()
    assert (one.enabled, one.reason) == (False, "The pipeline is in the trash.")


def test_nobody_reaches_through_somebody_elses_schedule(plant: Plant, later: Any) -> None:
    pipeline = flow(plant)
    one = schedule(plant, who="maintainer")
    deploy = {"name": "serve", "kind": "deploy", "with": {"deployment": "churn", "model": "churn@production"}}
    changed = definition(CHECK, deploy)
    update_pipeline(actor=plant.people.actor("contributor"), pipeline=pipeline, definition=changed)
    later(1)
    firing.fire_due()
    assert not PipelineRun.objects.exists()
    [row] = one.firings.all()
    assert "contributor, who may not start the node 'serve'" in row.reason
    one.refresh_from_db()
    assert one.enabled
    # The maintainer looks at it and saves the schedule again.
    plant.people.api("maintainer").patch(
        f"/api/v1/projects/{plant.project.slug}/schedules/{one.pk}", {"cron": "30 * * * *"}, format="json"
    )
    later(3)
    firing.fire_due()
    assert PipelineRun.objects.count() == 1


# ---- access and budgets ------------------------------------------------------------------------------------


def test_a_viewer_looks_and_a_stranger_sees_nothing(plant: Plant) -> None:
    run = failed(plant, flow(plant))
    for path in ("/nightly", f"/nightly/runs/{run.number}", "/nightly/versions"):
        page = text_of(plant.people.client("viewer").get(url(plant, path)))
        main = page.split('<main id="main"')[1]
        assert "csrfmiddlewaretoken" not in main
        assert plant.people.client("stranger").get(url(plant, path)).status_code == 404
    assert plant.people.client("viewer").post(url(plant, "/nightly/runs")).status_code == 403


def test_every_page_keeps_to_its_budget(plant: Plant) -> None:
    pipeline = flow(plant)
    for number in range(5):
        plant.pipeline(CHECK, name=f"p{number}")
    for _ in range(3):
        run = failed(plant, pipeline)
    rerun(actor=plant.people.actor("contributor"), run=run)
    schedule(plant)
    budgets = {
        "/": 14,
        "/new": 16,
        "/nightly": 20,
        "/nightly/live": 12,
        "/nightly/edit": 12,
        "/nightly/runs": 12,
        "/nightly/runs/4": 14,
        "/nightly/versions": 12,
        "/nightly/settings": 12,
    }
    client = plant.people.client("contributor")
    found = {}
    for path in budgets:
        assert client.get(url(plant, path)).status_code == 200, path
        with CaptureQueriesContext(connection) as captured:
            client.get(url(plant, path))
        found[path] = len(captured)
    assert {path: count for path, count in found.items() if count > budgets[path]} == {}
