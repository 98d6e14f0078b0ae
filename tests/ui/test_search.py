"""The search over everything: what is found, for whom, in which order; the page, REST, and what it costs."""

from __future__ import annotations

from typing import Any

import pytest

from apps.accounts.models import Project
from apps.datasets.models import Dataset, DatasetVersion
from apps.deployments.models import Deployment
from apps.experiments.models import Experiment, Run
from apps.jobs.models import Job
from apps.monitoring.models import Monitor
from apps.registry.models import Model, ModelVersion
from atelier.search.finding import search, sources
from foundation.clock import now
from foundation.search import Needle
from tests.support.people import People

pytestmark = pytest.mark.django_db


def make(people: People, project: Project, name: str) -> Run:
    """One of everything of that name in a project."""
    common = {"project": project, "created_by": people.owner}
    dataset = Dataset.objects.create(**common, name=name, description="Customers of a bank")
    version = DatasetVersion.objects.create(
        **common, dataset=dataset, number=2, upload_digest="d", upload_bytes=1, state="failed"
    )
    experiment = Experiment.objects.create(**common, name=name, mlflow_id=str(Experiment.objects.count() + 5))
    job = Job.objects.create(
        kind="x.y", where="sandbox", title=f"Train {name}", state="succeeded", finished_at=now(), **common
    )
    run: Run = Run.objects.create(**common, experiment=experiment, name=name, job=job, algorithm="linear")
    model = Model.objects.create(**common, name=name)
    ModelVersion.objects.create(**common, model=model, number=3, source="models:/m-1")
    Deployment.objects.create(
        **common, name=name, model_ref=f"{name}@production", model_name=name, state="ready"
    )
    Monitor.objects.create(
        **common, name=name, dataset=dataset, baseline=version, window="1d", time_column="at"
    )
    return run


def kinds(people: People, who: str, typed: str, **options: Any) -> dict[str, list[str]]:
    """kind → titles of what a persona finds."""
    results = search(people.actor(who), typed, **options)
    return {group.source.kind: [hit.title for hit in group.hits] for group in results.groups}


def test_everything_of_ones_projects_is_found_and_nothing_else(people: People) -> None:
    make(people, people.project, "bold-otter")
    make(people, people.other_project, "bold-heron")
    ours, theirs = kinds(people, "viewer", "bold"), kinds(people, "stranger", "bold")
    expected = {"dataset", "experiment", "run", "model", "deployment", "monitor", "job"}
    assert set(ours) == set(theirs) == expected
    assert {title for titles in ours.values() for title in titles} == {"bold-otter", "Train bold-otter"}
    assert {title for titles in theirs.values() for title in titles} == {"bold-heron", "Train bold-heron"}
    assert kinds(people, "viewer", "elsewhere") == kinds(people, "viewer", "blue") == {}
    assert kinds(people, "stranger", "shop") == kinds(people, "stranger", "red") == {}
    assert kinds(people, "viewer", "shop") == {"project": ["Shop"]}
    assert kinds(people, "viewer", "red") == {"team": ["Red team"], "project": ["Shop"]} or kinds(
        people, "viewer", "red"
    ) == {"team": ["Red team"]}
    assert len(kinds(people, "admin", "bold")["run"]) == 2


def test_the_trash_is_not_searched(people: People) -> None:
    run = make(people, people.project, "bold-otter")
    for model in (Dataset, Experiment, Run, Model, Deployment, Monitor):
        model.objects.update(deleted_at=now())
    assert set(kinds(people, "viewer", "bold")) == {"job"}
    Project.objects.filter(pk=people.project.pk).update(deleted_at=now())
    assert kinds(people, "viewer", run.hex) == {}


def test_words_in_any_order_and_in_descriptions(people: People) -> None:
    make(people, people.project, "bold-otter")
    assert kinds(people, "viewer", "OTTER bold")["run"] == ["bold-otter"]
    assert kinds(people, "viewer", "bank customers")["dataset"] == ["bold-otter"]
    assert kinds(people, "viewer", "linear otter")["run"] == ["bold-otter"]
    assert kinds(people, "viewer", "bold heron") == {}


@pytest.mark.parametrize(
    "typed", ["", "  ", "\x00", "%", "_", "'; drop table", "((", "\\", "x" * 5000, "\ud800"]
)
def test_whatever_is_typed_is_answered(people: People, typed: str) -> None:
    make(people, people.project, "bold-otter")
    if "\ud800" not in typed:
        assert kinds(people, "viewer", typed) == {}
    client = people.client("viewer")
    assert client.get("/search", {"q": typed.replace("\ud800", "")}).status_code == 200


def test_ids_are_found_by_their_beginning_and_by_the_end_that_pages_show(people: People) -> None:
    run = make(people, people.project, "bold-otter")
    for typed in (run.hex, str(run.pk), run.hex[:12], run.hex[-8:], run.hex[-8:].upper()):
        assert kinds(people, "viewer", typed)["run"] == ["bold-otter"], typed
        assert "run" not in kinds(people, "stranger", typed)
    assert "job" in kinds(people, "viewer", str(run.job_id))
    assert Needle.of("beef").digits == ""


def test_versions_are_found_as_people_write_them(people: People) -> None:
    make(people, people.project, "bold-otter")
    (dataset,) = search(people.actor("viewer"), "bold-otter@2").groups
    assert [(hit.title, hit.url) for hit in dataset.hits] == [
        ("bold-otter@2", "/p/shop/datasets/bold-otter/versions/2/")
    ]
    assert kinds(people, "viewer", "bold/3") == {"model": ["bold-otter/3"]}
    assert kinds(people, "viewer", "bold/4") == kinds(people, "stranger", "bold/3") == {}


def test_the_name_itself_comes_first_and_then_what_begins_so(people: People) -> None:
    for name in ("otter", "otter-1", "an-otter", "an-otter-2"):
        Dataset.objects.create(project=people.project, created_by=people.owner, name=name)
    found = kinds(people, "viewer", "otter")["dataset"]
    assert found[:2] == ["otter", "otter-1"]
    assert set(found[2:]) == {"an-otter", "an-otter-2"}


def test_the_project_one_is_in_comes_before_the_others(people: People) -> None:
    for project in (people.project, people.other_project):
        make(people, project, f"bold-{project.slug}")
    assert kinds(people, "admin", "bold", near="shop")["run"] == ["bold-shop", "bold-else"]
    assert kinds(people, "admin", "bold", near="else")["run"] == ["bold-else", "bold-shop"]
    assert kinds(people, "admin", "bold", near="nonsense")["run"] == ["bold-else", "bold-shop"]


def test_pages_and_actions_follow_the_role(people: People) -> None:
    assert kinds(people, "contributor", "new run", near="shop")["place"] == ["New run"]
    assert "place" not in kinds(people, "viewer", "new run", near="shop")
    assert "place" not in kinds(people, "stranger", "new run", near="shop")
    assert kinds(people, "viewer", "datasets", near="shop")["place"] == ["Datasets"]
    assert "Inbox" in kinds(people, "viewer", "inbox")["place"]


def test_every_page_and_action_leads_somewhere(people: People) -> None:
    from django.urls import reverse

    from atelier.search.places import ANYWHERE, HERE

    for place in ANYWHERE:
        reverse(place.name)
    for place in HERE:
        reverse(place.name, args=["shop"])


def test_one_kind_shows_more_and_says_so(people: People) -> None:
    Dataset.objects.bulk_create(
        Dataset(project=people.project, created_by=people.owner, name=f"otter-{n}") for n in range(60)
    )
    (few,) = search(people.actor("viewer"), "otter").groups
    assert (len(few.hits), few.more) == (5, True)
    (many,) = search(people.actor("viewer"), "otter", kind="dataset").groups
    assert (len(many.hits), many.more) == (50, True)
    page = people.client("viewer").get("/search?q=otter").content.decode()
    assert "More datasets" in page
    assert "kind=dataset" in page


def test_rest_answers_hits_and_refuses_what_it_does_not_know(people: People) -> None:
    run = make(people, people.project, "bold-otter")
    api = people.api("viewer")
    answer = api.get("/api/v1/search?q=bold&kind=run").json()
    (hit,) = answer["results"]
    assert {name: hit[name] for name in ("kind", "id", "title", "url", "project", "state")} == {
        "kind": "run",
        "id": run.hex,
        "title": "bold-otter",
        "url": f"/p/shop/experiments/runs/{run.hex}/",
        "project": "shop",
        "state": "succeeded",
    }
    assert answer["next"] is None
    assert api.get("/api/v1/search?q=bold&project=else").status_code == 404
    assert api.get("/api/v1/search?q=bold&kind=weather").json()["error"]["code"] == "search.kind"
    assert api.get("/api/v1/search?q=").json()["results"] == []
    assert people.api("anonymous").get("/api/v1/search?q=bold").status_code == 401
    assert people.api("stranger").get("/api/v1/search?q=bold").json()["results"] == []


def test_a_token_of_a_project_searches_that_project(people: People) -> None:
    from apps.accounts.access import Actor

    for project in (people.project, people.other_project):
        make(people, project, f"bold-{project.slug}")
    bound = Actor(user=people.admin, project_id=people.project.pk)
    groups = search(bound, "bold").groups
    assert {hit.project for group in groups for hit in group.hits} == {"shop"}


def test_the_page_says_what_it_found_and_what_not(people: People) -> None:
    client = people.client("viewer")
    assert "Find anything in your projects" in client.get("/search").content.decode()
    assert "Nothing in your projects fits" in client.get("/search?q=nosuch").content.decode()
    make(people, people.project, "bold-otter")
    fragment = client.get("/search?q=bold", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in fragment
    assert 'role="option"' in fragment
    whole = client.get("/search?q=bold").content.decode()
    assert 'role="option"' not in whole
    assert whole.count("bold-otter") >= 7


def test_the_cost_does_not_grow_with_what_is_there(
    people: People, django_assert_max_num_queries: Any
) -> None:
    client = people.client("contributor")
    client.get("/search?q=bold", headers={"HX-Request": "true"})
    with django_assert_max_num_queries(8 + len(sources())):
        client.get("/search?q=nosuch&near=shop", headers={"HX-Request": "true"})
    for number in range(8):
        make(people, people.project, f"bold-{number}")
    with django_assert_max_num_queries(8 + 2 * len(sources())):
        client.get("/search?q=bold&near=shop", headers={"HX-Request": "true"})
