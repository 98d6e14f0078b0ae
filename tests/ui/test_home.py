"""A project's home: what runs, failed, waits, is served and drifts; and what it costs."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.test.utils import CaptureQueriesContext

from apps.accounts.states import Role
from apps.datasets.models import Dataset, DatasetVersion
from apps.deployments.models import Deployment, InferenceSegment
from apps.deployments.states import DeploymentState, Origin
from apps.experiments.models import Experiment, Run
from apps.jobs.models import Job
from apps.jobs.states import JobState
from apps.monitoring.models import Monitor
from apps.registry.models import Alias, Model, ModelVersion
from atelier.home.overview import overview
from atelier.home.steps import steps_of
from foundation.clock import now

pytestmark = pytest.mark.django_db
#: queries of the home page, whatever it shows
BUDGET = 30


def job(people: Any, state: str, **more: Any) -> Job:
    return Job.objects.create(
        kind="x.y", where="platform", project=people.project, created_by=people.owner, title=f"A {state} job", state=state, **more
    )  # fmt: skip


def deployment(people: Any, name: str = "live") -> Deployment:
    return Deployment.objects.create(
        project=people.project,
        created_by=people.owner,
        name=name,
        model_ref="churn@production",
        model_name="churn",
        state=DeploymentState.READY,
    )


def test_an_empty_project_begins_with_the_first_step(people: Any) -> None:
    found = overview(people.project)
    assert found.is_empty
    assert not found.is_live
    steps = steps_of(people.project, people.actor("owner"), Role.OWNER)
    assert steps.shown
    assert steps.next is not None
    assert steps.next.title == "Upload a dataset"


def test_running_and_failed_jobs_are_counted_beyond_what_is_shown(people: Any) -> None:
    for _ in range(8):
        job(people, JobState.RUNNING)
        job(people, JobState.FAILED, finished_at=now(), reason="The file is empty.")
    job(people, JobState.FAILED, finished_at=now() - datetime.timedelta(days=8))
    found = overview(people.project)
    assert (len(found.running), found.running_total) == (6, 8)
    assert (len(found.failed), found.failed_total) == (6, 8)
    assert found.is_live
    page = people.client("viewer").get("/p/shop/").content.decode()
    assert "The file is empty." in page
    assert "data-poll=" in page
    assert "8 running" in page


def test_predictions_fall_into_their_hours(people: Any) -> None:
    moment = datetime.datetime(2026, 4, 12, 12, 30, tzinfo=datetime.UTC)
    served = deployment(people)
    for hours, rows in ((0.1, 5), (1.1, 7), (1.2, 1), (23.9, 11), (25, 100)):
        start = moment - datetime.timedelta(hours=hours)
        InferenceSegment.objects.create(
            deployment=served, origin=Origin.PREDICT, key="k", rows=rows, bytes=1, start=start, end=start
        )
    (item,) = overview(people.project, moment=moment).served
    assert item.total == 24
    assert (item.hours[-1], item.hours[-2], item.hours[0]) == (5, 8, 11)
    assert item.watch == ""


def test_another_projects_things_stay_there(people: Any) -> None:
    job(people, JobState.RUNNING)
    deployment(people)
    assert overview(people.other_project).is_empty


def test_what_a_viewer_may_not_do_is_not_offered(people: Any) -> None:
    viewer = people.client("viewer").get("/p/shop/").content.decode()
    contributor = people.client("contributor").get("/p/shop/").content.decode()
    assert "/p/shop/datasets/new" not in viewer
    assert "/p/shop/datasets/new" in contributor


@pytest.mark.parametrize("many", [1, 6])
def test_the_home_keeps_to_its_budget_of_queries(
    people: Any, many: int, django_assert_max_num_queries: Any
) -> None:
    for number in range(many):
        job(people, JobState.RUNNING)
        job(people, JobState.FAILED, finished_at=now())
        deployment(people, f"live-{number}")
    client = people.client("viewer")
    client.get("/p/shop/")
    with django_assert_max_num_queries(BUDGET) as captured:
        client.get("/p/shop/")
    assert isinstance(captured, CaptureQueriesContext)


@pytest.mark.parametrize("path", ["/", "/account/", "/teams/red/", "/p/shop/settings"])
def test_the_other_pages_keep_to_theirs(people: Any, path: str, django_assert_max_num_queries: Any) -> None:
    client = people.client("owner")
    client.get(path)
    with django_assert_max_num_queries(14):
        client.get(path)


def test_the_steps_tick_themselves_off_and_go_away(people: Any) -> None:
    def steps(who: str = "owner") -> Any:
        return steps_of(people.project, people.actor(who), Role.OWNER)

    assert [step.done for step in steps().steps] == [False] * 8
    common = {"project": people.project, "created_by": people.owner}
    dataset = Dataset.objects.create(**common, name="churn")
    version = DatasetVersion.objects.create(
        **common, dataset=dataset, number=1, upload_digest="d", upload_bytes=1, state="ready", rows=1, columns=1,
        digest="d",
    )  # fmt: skip
    assert steps().next.title == "Train a model"
    experiment = Experiment.objects.create(**common, mlflow_id="7", name="churn")
    for name in ("calm-otter", "bold-heron"):
        Run.objects.create(
            **common, experiment=experiment, name=name, client_state="succeeded", source="client"
        )
    found = steps()
    assert found.next.title == "Compare two runs"
    assert people.client("owner").get(found.next.url).status_code == 200  # which is noted
    assert steps("viewer").next.title == "Register the model", "a step is the project's, whoever took it"
    model = Model.objects.create(**common, name="churn")
    registered = ModelVersion.objects.create(**common, model=model, number=1, source="models:/m-1")
    assert steps().next.title == "Promote a version"
    Alias.objects.create(model=model, name="production", version=registered)
    assert steps().next.title == "Deploy it"
    served = deployment(people)
    assert steps().next.title == "Make the first prediction"
    InferenceSegment.objects.create(
        deployment=served, origin=Origin.PREDICT, key="k", rows=1, bytes=1, start=now(), end=now()
    )
    assert steps().next.title == "Watch it"
    assert "7 of 8 done" in people.client("owner").get("/p/shop/").content.decode()
    Monitor.objects.create(
        **common, name="watch", dataset=dataset, baseline=version, window="1d", time_column="at"
    )
    assert not steps().shown
    assert "From data to a watched model" not in people.client("owner").get("/p/shop/").content.decode()


def test_the_steps_are_put_away_by_one_person_for_themselves(people: Any) -> None:
    client = people.client("viewer")
    assert "Put this away" in client.get("/p/shop/").content.decode()
    assert client.post("/p/shop/first-steps").status_code == 302
    assert "From data to a watched model" not in client.get("/p/shop/").content.decode()
    assert "From data to a watched model" in people.client("owner").get("/p/shop/").content.decode()
    client.post("/p/shop/first-steps", {"away": ""})
    assert "From data to a watched model" in client.get("/p/shop/").content.decode()


def test_steps_that_a_role_may_not_take_have_no_button(people: Any) -> None:
    viewer = steps_of(people.project, people.actor("viewer"), Role.VIEWER)
    assert [step.url for step in viewer.steps] == [""] * 8
