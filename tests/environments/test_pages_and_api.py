"""Environments on pages and over REST: who may, what is said, and that the two agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import AuditEvent
from apps.environments.models import Environment, EnvironmentUse
from apps.experiments.models import Run
from apps.jobs.models import Job
from tests.support.datasets import run_inline
from tests.support.people import People

pytestmark = pytest.mark.django_db
API = "/api/v1/projects/shop/environments"
PAGES = "/p/shop/environments/"
Built = Callable[..., Environment]


def error_of(answer: Any) -> dict[str, Any]:
    return dict(answer.json()["error"])


def test_it_is_made_read_renamed_and_trashed_by_rest(people: People, built: Built) -> None:
    api = people.api("contributor")
    made = api.post(API, {"name": "boost", "requirements": "tinyboost>=2\n"}, format="json")
    assert made.status_code == 201
    assert made.json()["state"] == "building"
    run_inline(Environment.objects.get().job)
    answer = api.get(f"{API}/boost")
    body = answer.json()
    assert (body["state"], body["uses"], body["hosts"]) == ("ready", 0, 1)
    assert body["packages"][0] == {"name": "tinyboost", "version": "2.0"}
    assert "--hash=sha256:" in body["lock"]
    assert body["on_disk"] == body["size"] == body["folders"][0]["size"]
    tag = answer.headers["ETag"]
    renamed = api.patch(f"{API}/boost", {"name": "booster"}, format="json", headers={"If-Match": tag})
    assert renamed.json()["name"] == "booster"
    stale = api.patch(f"{API}/booster", {"name": "x"}, format="json", headers={"If-Match": tag})
    assert stale.status_code in (409, 412)
    assert [row["name"] for row in api.get(f"{API}?q=tinyboost&state=ready").json()["results"]] == ["booster"]
    assert api.delete(f"{API}/booster").status_code == 204
    assert api.get(f"{API}/booster").status_code == 404
    assert api.post(f"{API}/booster/restore").json()["name"] == "booster"
    actions = AuditEvent.objects.filter(subject_kind="environment").values_list("action", flat=True)
    assert set(actions) == {f"environment.{verb}" for verb in ("create", "update", "trash", "restore")}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "boost", "requirements": "-r x"}, 422, "environment.bad_line"),
        ({"name": "boost", "requirements": "# none"}, 422, "environment.empty"),
        ({"name": "a b", "requirements": "six"}, 422, "name.invalid"),
        ({"name": "boost"}, 422, "request.invalid"),
        ({"name": "boost", "requirements": "six", "channel": "x"}, 422, "request.unknown_field"),
    ],
)
def test_bad_input_leaves_nothing(
    people: People, allowed: None, body: dict[str, str], status: int, code: str
) -> None:
    answer = people.api("contributor").post(API, body, format="json")
    assert (answer.status_code, error_of(answer)["code"]) == (status, code)
    assert not Environment.objects.exists()
    assert not Job.objects.exists()


def test_a_name_is_taken_once(people: People, built: Built) -> None:
    built("boost", "tinymath")
    answer = people.api("contributor").post(
        API, {"name": "boost", "requirements": "tinyboost"}, format="json"
    )
    assert (answer.status_code, error_of(answer)["code"]) == (409, "environment.duplicate")


def test_a_stranger_finds_nothing(people: People, built: Built) -> None:
    built("boost", "tinymath")
    assert people.api("stranger").get(f"{API}/boost").status_code == 404
    assert people.client("stranger").get(f"{PAGES}boost").status_code == 404
    assert people.api("viewer").post(f"{API}/boost/build").status_code == 403


def test_the_form_builds_from_lines_or_from_a_file(people: People, built: Built) -> None:
    client = people.client("contributor")
    assert "Build the environment" in client.get(f"{PAGES}new").text
    answer = client.post(
        f"{PAGES}new",
        {
            "name": "boost",
            "requirements": "",
            "file": SimpleUploadedFile("requirements.txt", b"tinymath==1.5"),
        },
    )
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{PAGES}boost")
    page = client.get(f"{PAGES}boost").text
    assert "Building" in page
    assert "HX-Refresh" not in client.get(f"{PAGES}boost?fragment=1").headers
    run_inline(Environment.objects.get().job)
    assert client.get(f"{PAGES}boost?fragment=1").headers["HX-Refresh"] == "true"
    page = client.get(f"{PAGES}boost").text
    assert "Run a script in it" in page
    assert "tinymath" in page
    assert "1.5" in page
    assert "hx-get" not in page.split('id="environment"')[1][:300]  # nothing moves any more
    assert "tinymath==1.5" in client.get(f"{PAGES}boost/lock").text
    assert "boost" in client.get(PAGES).text
    refused = client.post(f"{PAGES}new", {"name": "boost", "requirements": "six @ file:///x"})
    assert refused.status_code == 422
    assert "comes from an address" in refused.text


def test_a_failed_one_says_why_and_is_built_again(people: People, built: Built) -> None:
    built("bad", "nosuchpackage")
    client = people.client("contributor")
    page = client.get(f"{PAGES}bad").text
    assert "nosuchpackage was not found" in page
    assert "Build it again" in page
    assert "Build it again" not in people.client("viewer").get(f"{PAGES}bad").text
    assert client.post(f"{PAGES}bad/build").status_code == 302
    assert Environment.objects.get().state == "building"
    assert Job.objects.count() == 2


def test_the_trash_of_pages_works(people: People, built: Built) -> None:
    built("boost", "tinymath")
    client = people.client("contributor")
    assert client.post(f"{PAGES}boost/trash").headers["Location"] == PAGES
    assert "is in the trash" in client.get(f"{PAGES}boost").text
    assert "boost" in client.get(f"{PAGES}?trashed=1").text
    assert client.post(f"{PAGES}boost/restore").headers["Location"] == f"{PAGES}boost"


def test_where_scripts_are_off_the_pages_say_who_can_allow_them(people: People) -> None:
    assert "switched off" in people.client("contributor").get(PAGES).text
    assert "switched off" in people.client("contributor").get(f"{PAGES}new").text
    answer = people.client("contributor").post(f"{PAGES}new", {"name": "a", "requirements": "six"})
    assert answer.status_code == 422
    assert "switched off" in answer.text


def test_pages_cost_the_same_for_many(people: People, built: Built) -> None:
    for number in range(3):
        built(f"env{number}", f"tinymath>={number / 2}")
    client = people.client("viewer")
    for path, budget in (("", 14), ("env1", 16), ("env1?fragment=1", 12), ("new", 14)):
        assert client.get(PAGES + path).status_code == 200  # the first look also fills caches
        with CaptureQueriesContext(connection) as captured:
            client.get(PAGES + path)
        assert len(captured) <= budget, (path, len(captured))


def test_a_run_names_its_environment(people: People, built: Built) -> None:
    """One request: the run, its environment, its build and what waits, or none of them."""
    environment = built("boost", "tinyboost")

    def send(spec: dict[str, Any]) -> Any:
        code = SimpleUploadedFile("train.py", b"print('hello')\n")
        body = {"spec": json.dumps(spec), "code": code}
        return people.api("contributor").post("/api/v1/projects/shop/runs", body, format="multipart")

    ready = send({"environment": "boost"})
    assert ready.status_code == 201, ready.json()
    run = Run.objects.get()
    assert run.environment == environment.digest
    assert run.job is not None
    assert run.job.not_before is None
    waiting = send({"environment": {"requirements": "tinymath"}})
    assert waiting.status_code == 201
    held = EnvironmentUse.objects.exclude(environment=environment).get()
    assert held.environment.is_building
    assert held.job.not_before is not None
    bad = send({"environment": {"requirements": "--index-url https://evil.example"}})
    assert (bad.status_code, error_of(bad)["code"]) == (422, "environment.bad_line")
    assert error_of(bad)["detail"]["field"] == "environment"
    unknown = send({"environment": "nosuch"})
    assert (unknown.status_code, error_of(unknown)["code"]) == (404, "environment.not_found")
    assert Run.objects.count() == 2
    assert (
        "train.py" in people.client("viewer").get(f"{PAGES}boost").text
        or run.name in people.client("viewer").get(f"{PAGES}boost").text
    )


def test_the_form_of_a_script_offers_environments(people: People, built: Built) -> None:
    built("boost", "tinyboost")
    client = people.client("contributor")
    form = "/p/shop/experiments/new/script"
    page = client.get(f"{form}?environment=boost").text
    assert '<option value="boost" selected>' in page
    sent = {"source": "print(1)", "entry_point": "train.py", "minutes": "5", "experiment": "Default"}
    answer = client.post(form, {**sent, "environment": "boost"})
    assert answer.status_code == 302, answer.text
    run = Run.objects.get()
    tab = client.get(f"/p/shop/experiments/runs/{run.hex}/environment").text
    assert f'href="{PAGES}boost"' in tab
    again = client.get(f"{form}?from={run.hex}").text
    assert '<option value="boost" selected>' in again
    shown = people.api("viewer").get(f"/api/v1/projects/shop/runs/{run.hex}").json()
    assert (shown["environment"]["name"], shown["environment"]["state"]) == ("boost", "ready")
    refused = client.post(form, {**sent, "environment": "+", "requirements": "six\n-r other.txt"})
    assert refused.status_code == 422
    assert "Line 2 of the requirements" in refused.text
    assert "six\n-r other.txt" in refused.text  # nothing typed is lost
    assert client.post(form, {**sent, "environment": "+", "requirements": "tinymath"}).status_code == 302
    assert Environment.objects.count() == 2
