"""Every kind of thing goes to the trash from its page, says there who did it, and comes back by each way."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from apps.deployments.models import Deployment
from apps.deployments.states import DeploymentState
from apps.experiments.mirror import ensure_experiment
from apps.monitoring.models import Monitor
from tests.registry.conftest import churn, make_run, make_version
from tests.support.datasets import ready_version
from tests.support.people import People

__all__ = ["churn", "make_run", "make_version"]
BASE = "/p/shop"


@dataclass(frozen=True)
class Thing:
    """Something of a project: what it is called there, its page, its list."""

    name: str
    page: str
    listing: str


@pytest.fixture
def things(people: People, make_version: Callable[..., Any]) -> dict[str, Thing]:
    version = make_version()
    experiment = ensure_experiment(actor=people.actor("contributor"), project=people.project, name="second")
    newer = ready_version(people, name="people")
    deployment = Deployment.objects.create(
        project=people.project,
        name="live",
        model_ref="churn/1",
        model_name="churn",
        state=DeploymentState.STOPPED,
    )
    Monitor.objects.create(project=people.project, name="watch", deployment=deployment, baseline=newer)
    runs = f"{BASE}/experiments/runs"
    return {
        "dataset": Thing("people", f"{BASE}/datasets/people/", f"{BASE}/datasets/"),
        "dataset version": Thing(
            "people@1", f"{BASE}/datasets/people/versions/1/", f"{BASE}/datasets/people/"
        ),
        "experiment": Thing("second", f"{BASE}/experiments/{experiment.mlflow_id}/", f"{BASE}/experiments/"),
        "run": Thing("forest", f"{runs}/{version.run.hex}/", f"{runs}/"),
        "model": Thing("churn", f"{BASE}/models/churn/", f"{BASE}/models/"),
        "model version": Thing("churn/1", f"{BASE}/models/churn/1/", f"{BASE}/models/churn/"),
        "deployment": Thing("live", f"{BASE}/deployments/live", f"{BASE}/deployments/"),
        "monitor": Thing("watch", f"{BASE}/monitors/watch", f"{BASE}/monitors/"),
    }


KINDS = ("dataset", "dataset version", "experiment", "run", "model", "model version", "deployment", "monitor")


def read(client: Any, address: str) -> str:
    answer = client.get(address, follow=True)
    assert answer.status_code == 200, address
    return html.unescape(answer.content.decode())


def undo_form(page: str) -> tuple[str, dict[str, list[str]]]:
    """Where the toast's "Undo" posts, and what."""
    found = re.search(r'<form method="post" action="([^"]+)">((?:(?!</form>).)*)data-undo>', page, re.S)
    assert found is not None, "no toast offers to undo it"
    fields: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', found[2]):
        fields.setdefault(name, []).append(value)
    return found[1], fields


@pytest.mark.parametrize("kind", KINDS)
def test_it_goes_to_the_trash_and_comes_back(people: People, things: dict[str, Thing], kind: str) -> None:
    thing, client = things[kind], people.client("maintainer")
    page = read(client, thing.page)
    trash = f"{thing.page.rstrip('/')}/trash"
    assert f'action="{trash}"' in page, "its page has no way to the trash"
    answer = client.post(trash)
    assert answer.status_code == 302
    after = read(client, answer["Location"])
    assert f"{thing.name} moved to the trash" in after
    undo, fields = undo_form(after)

    gone = read(client, thing.page)
    word = kind.rpartition(" ")[2]
    assert f"This {word} is in the trash" in gone
    assert re.search(r"Moved there <time[^>]*>[^<]*</time> by maintainer\.", gone)
    listed = read(client, f"{thing.listing}?trashed=1")
    assert "</time> by maintainer</td>" in listed
    assert people.client("viewer").post(undo, fields).status_code == 403

    assert client.post(undo, fields).status_code == 302
    assert f"This {word} is in the trash" not in read(client, thing.page)
    assert client.post(trash).status_code == 302
    restore = re.search(r'action="([^"]+/restore)"', read(client, thing.page))
    assert restore is not None, "the page in the trash has no way back"
    assert client.post(restore[1]).status_code == 302
    assert f"This {word} is in the trash" not in read(client, thing.page)


@pytest.mark.parametrize("address", [f"{BASE}/settings/trash", "/teams/red/projects/shop/trash"])
def test_a_project_goes_to_the_trash_and_comes_back_by_its_toast(people: People, address: str) -> None:
    client = people.client("owner")
    after = read(client, client.post(address)["Location"])
    assert "Shop moved to the trash" in after
    assert client.get(f"{BASE}/").status_code == 404
    undo, fields = undo_form(after)
    assert "Shop is back" in read(client, client.post(undo, fields)["Location"])
    assert client.get(f"{BASE}/").status_code == 200


def test_several_runs_are_trashed_and_brought_back_at_once(people: People, make_run: Any) -> None:
    runs, client = [make_run("a"), make_run("b")], people.client("contributor")
    chosen = {"verb": "trash", "run": [run.hex for run in runs]}
    after = read(client, client.post(f"{BASE}/experiments/runs/bulk", chosen)["Location"])
    assert "2 runs moved to the trash" in after
    undo, fields = undo_form(after)
    back = read(client, client.post(undo, fields)["Location"])
    assert "2 runs came back from the trash" in back
    assert {">a</a>", ">b</a>"} <= set(re.findall(r">[ab]</a>", back))


def test_a_dataset_in_the_trash_is_removed_for_good_by_maintainers(people: People) -> None:
    ready_version(people, name="people")
    client = people.client("maintainer")
    assert client.post(f"{BASE}/datasets/people/purge").status_code == 404, "it is not in the trash yet"
    client.post(f"{BASE}/datasets/people/trash")
    assert "Remove for good" not in read(people.client("contributor"), f"{BASE}/datasets/people/")
    assert "Remove for good" in read(client, f"{BASE}/datasets/people/")
    assert people.client("contributor").post(f"{BASE}/datasets/people/purge").status_code == 403
    after = read(client, client.post(f"{BASE}/datasets/people/purge")["Location"])
    assert "people is removed for good" in after
    assert client.get(f"{BASE}/datasets/people/").status_code == 404


def test_a_name_given_away_meanwhile_is_said_when_undoing(people: People) -> None:
    client = people.client("contributor")
    ready_version(people, name="people")
    client.post(f"{BASE}/datasets/people/trash")
    ready_version(people, name="people")
    after = read(client, client.post(f"{BASE}/datasets/people/restore")["Location"])
    assert "given to another dataset" in after
