"""The lineage graph: nodes, edges, both directions, the line, and who may read it."""

from __future__ import annotations

from typing import Any

import pytest

from apps.lineage import actions, queries
from apps.lineage.models import Edge, Node
from foundation.errors import Invalid, NotFound
from tests.support.people import People


@pytest.fixture
def chain(people: People) -> People:
    """dataset version → two runs → one model version → deployment → monitor."""
    for kind, key, name in (
        ("dataset_version", "d1", "churn@1"),
        ("run", "r1", "first"),
        ("run", "r2", "second"),
        ("model_version", "m1", "churn/1"),
        ("deployment", "p1", "churn"),
        ("monitor", "w1", "watch"),
    ):
        actions.put_node(project=people.project, kind=kind, key=key, title=name, name=name, url=f"/{key}")
    for source, target, kind in (
        (("dataset_version", "d1"), ("run", "r1"), "trained_on"),
        (("dataset_version", "d1"), ("run", "r2"), "trained_on"),
        (("run", "r1"), ("model_version", "m1"), "registered_from"),
        (("model_version", "m1"), ("deployment", "p1"), "serves"),
        (("deployment", "p1"), ("monitor", "w1"), "watches"),
    ):
        actions.link(source=source, target=target, kind=kind)
    return people


def test_both_directions_reach_everything(chain: People) -> None:
    start = queries.find_node(chain.project, "model_version:churn/1")
    assert [n.id for n in queries.graph(chain.project, start=start, direction="up").nodes] == [
        "d1",
        "r1",
        "m1",
    ]
    assert [n.id for n in queries.graph(chain.project, start=start, direction="down").nodes] == [
        "m1",
        "p1",
        "w1",
    ]
    both = queries.graph(chain.project, start=start)
    assert {n.id for n in both.nodes} == {"d1", "r1", "m1", "p1", "w1"}
    assert len(both.edges) == 4


def test_the_line_has_one_stop_a_kind(chain: People) -> None:
    stops = queries.line(kind="dataset_version", key="d1")
    assert [stop.kind for stop in stops] == [
        "dataset_version",
        "run",
        "model_version",
        "deployment",
        "monitor",
    ]
    assert stops[1].more == 1
    assert queries.line(kind="run", key="unknown") == []


def test_putting_and_linking_twice_changes_nothing(chain: People) -> None:
    actions.put_node(project=chain.project, kind="run", key="r1", title="renamed", url="/r1")
    actions.link(source=("run", "r1"), target=("model_version", "m1"), kind="registered_from")
    assert Node.objects.count() == 6
    assert Edge.objects.count() == 5


def test_an_edge_never_crosses_projects(chain: People) -> None:
    actions.put_node(project=chain.other_project, kind="run", key="r9", title="theirs", url="/r9")
    assert actions.link(source=("dataset_version", "d1"), target=("run", "r9"), kind="trained_on") is None


def test_names_and_ids_find_a_node(chain: People) -> None:
    assert queries.find_node(chain.project, "dataset:churn@1").key == "d1"
    assert queries.find_node(chain.project, "run:r2").key == "r2"
    with pytest.raises(NotFound):
        queries.find_node(chain.other_project, "dataset:churn@1")
    for bad in ("churn", "thing:1", "run:", ""):
        with pytest.raises(Invalid):
            queries.find_node(chain.project, bad)


def test_the_api_answers_members_only(chain: People) -> None:
    path = "/api/v1/projects/shop/lineage?node=dataset:churn@1&direction=down"
    body = chain.api("viewer").get(path).json()
    assert len(body["nodes"]) == 6
    assert len(body["edges"]) == 5
    assert chain.api("stranger").get(path).status_code == 404
    assert chain.api("viewer").get("/api/v1/projects/shop/lineage").status_code == 422
    assert chain.api("viewer").get(f"{path}x").status_code == 422


def test_a_line_takes_a_few_queries_however_wide_it_is(
    chain: People, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        actions.put_node(project=chain.project, kind="run", key=f"w{number}", title="w", url="/w")
        actions.link(source=("dataset_version", "d1"), target=("run", f"w{number}"), kind="trained_on")
    with django_assert_max_num_queries(8):
        stops = queries.line(kind="dataset_version", key="d1")
    assert stops[1].more >= 30
