"""Every list and every PATCH of the REST API has the same manners; the OpenAPI document says which there are."""

from __future__ import annotations

import base64
import datetime
import hashlib
import io
import json
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any
from urllib.parse import urlencode

import pytest
from rest_framework.test import APIClient

from foundation.ids import uuid7
from tests.support.people import People

ROWS = 3
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
PROJECT = {"project": "shop", "team": "red", "name": "one", "model": "one", "number": "1"}
KEPT_IN_MLFLOW = {"runs_list"}  # its orders are MLflow's too; tests/experiments holds them
OTHER_FIELDS = {  # what has no description: a field with two values
    "me_update": ("name", "Olga", "Olive"),
    "members_update": ("role", "contributor", "maintainer"),
    "schedules_change": ("cron", "0 7 * * *", "0 8 * * *"),
}
WITHOUT_ETAG = {"notification_settings_change"}  # a person's own switches, of which the last word counts


@cache
def openapi() -> dict[str, Any]:
    """The document, as /api/schema serves it."""
    from drf_spectacular.generators import SchemaGenerator

    generator: Any = SchemaGenerator
    document: dict[str, Any] = generator().get_schema(request=None, public=True)
    return document


def operations(method: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, operation) of every operation with that method."""
    for path, methods in openapi()["paths"].items():
        if method in methods:
            yield path, methods[method]


def lists() -> list[tuple[str, dict[str, Any]]]:
    """Operations that answer a list in pages."""
    return [
        (path, operation)
        for path, operation in operations("get")
        if "/schemas/Paginated" in json.dumps(operation["responses"]["200"])
    ]


def keep_code(run: Any) -> None:
    """Give a run the code of three files, by which it can be listed."""
    from adapters.storage import get_store
    from apps.experiments.scripts.kept import code_key

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("train.py", "data.py", "README.md"):
            archive.writestr(name, "# same\n")
    run.code_name, run.code_source = "train.py", {"kind": "archive"}
    run.code_digest = hashlib.sha256(packed.getvalue()).hexdigest()
    run.save(update_fields=["code_name", "code_source", "code_digest"])
    get_store().put_bytes(packed.getvalue(), code_key(run.project, run.code_digest, run.code_source))


@pytest.fixture
def furnished(people: People, fake_tracking: Any) -> People:
    """`shop` with three of everything that can be listed, the first of them named `one`."""
    from apps.accounts.actions import create_project, create_team, create_token
    from apps.accounts.states import Scope
    from apps.datasets.models import Dataset, DatasetVersion
    from apps.deployments.models import Deployment, EventImport, Revision
    from apps.environments.models import Environment
    from apps.experiments.actions import create_experiment
    from apps.experiments.models import Run
    from apps.inbox.models import Notification
    from apps.jobs import nodes
    from apps.jobs.models import Job
    from apps.jobs.schedules.models import Schedule, ScheduleFiring
    from apps.monitoring.models import Alert, Monitor, Report
    from apps.pipelines.actions import create_pipeline, start_pipeline_run, update_pipeline
    from apps.pipelines.models import Pipeline
    from apps.registry.actions import create_model, register_version
    from apps.registry.models import Model, ModelVersion, Promotion
    from apps.tuning.models import Study, Trial

    project, owner = people.project, people.actor("owner")
    shared = {"project": project, "created_by": people.owner}
    first: dict[type, Any] = {}

    def make(model: type, /, **fields: Any) -> Any:
        row = model.objects.create(**fields)  # type: ignore[attr-defined]
        return first.setdefault(model, row)

    for step, name in enumerate(("one", "two", "three"), start=1):
        day = START + datetime.timedelta(days=step)
        create_team(actor=owner, slug=f"team-{name}", name="Same name")
        create_project(actor=owner, slug=f"project-{name}", name="Same name", team=people.team)
        create_token(actor=owner, user=people.owner, name="same name", scope=Scope.READ)
        nodes.register(kind="worker", queues=["cpu"], slots=1, tier=3)
        make(Job, project=project, kind="datasets.ingest", title="same", where="sandbox")
        dataset = make(Dataset, **shared, name=name)
        version = make(DatasetVersion, **shared, dataset=dataset, number=step, upload_bytes=1)
        experiment = create_experiment(actor=owner, project=project, name=name)
        run_id = uuid7()
        fake_tracking.create_run(
            project_id=project.pk,
            run_id=run_id.hex,
            experiment_id=experiment.mlflow_id,
            name="same",
            user="owner",
        )
        make(
            Run,
            **shared,
            id=run_id,
            experiment=experiment,
            name="same",
            source="client",
            client_state="succeeded",
        )
        keep_code(Run.objects.get(pk=run_id))
        logged = fake_tracking.log_model(run_id.hex)
        Run.objects.filter(pk=run_id).update(model={"id": logged.id, "signature": {}, "example": []})
        create_model(actor=owner, project=project, name=name)
        model = Model.objects.get(name="one")
        register_version(actor=owner, model=model, run=Run.objects.get(pk=run_id))
        kept = ModelVersion.objects.get(number=1)
        make(Promotion, project=project, version=kept, alias="staging", state="rejected")
        serving = make(Deployment, **shared, name=name, model_ref="one/1", model_name="one")
        make(
            Revision,
            deployment=serving,
            number=step,
            model_name="one",
            model_version=1,
            model_version_id=uuid7(),
        )
        make(EventImport, deployment=serving, filename="e.csv", sha256=str(step) * 64, size=1, upload_key="k")
        monitor = make(Monitor, **shared, name=name, deployment=serving, baseline=version)
        report = make(Report, monitor=monitor, start=day, end=day + datetime.timedelta(days=1))
        make(
            Alert,
            monitor=monitor,
            report=report,
            feature=name,
            start=day,
            end=day,
            rows=1,
            metric="jensen_shannon",
            value=0.5,
            threshold=0.1,
            noise=0.0,
        )
        make(Environment, **shared, name=name, requirements="six\n", request=str(step) * 64, python="3.12")
        study = make(
            Study,
            **shared,
            name=name,
            experiment=experiment,
            dataset_version=version,
            target="y",
            task="classification",
            algorithm="linear",
            search_space={},
            objectives=[{"metric": "accuracy", "direction": "maximize"}],
            sampler="random",
            pruner="none",
            n_trials=3,
            seed=1,
            run_id=run_id,
        )
        trial = Run.objects.create(
            **shared, experiment=experiment, name="same", source="client", client_state="succeeded"
        )
        make(
            Trial,
            study=study,
            number=step,
            run=trial,
            parameters={},
            state="complete",
            value=0.5,
            told_at=day,
        )
        check = {"name": "check", "kind": "dataset_check", "with": {"dataset": name}}
        create_pipeline(actor=owner, project=project, definition={"name": name, "nodes": [check]})
        pipeline = Pipeline.objects.get(name="one")
        update_pipeline(actor=owner, pipeline=pipeline, definition={"nodes": [check], "concurrency": step})
        start_pipeline_run(actor=owner, pipeline=pipeline)
        schedule = make(
            Schedule, **shared, kind="pipelines.run", subject_id=str(pipeline.pk), acts_as=people.owner,
            cron="0 6 * * *", timezone="UTC", next_due=day,
        )  # fmt: skip
        make(ScheduleFiring, schedule=schedule, due=day)
        make(Notification, user=people.owner, kind="job", sentence="Same.", url="/", key=name)
    return people


def address(path: str, people: People) -> str:
    """The address of an object of `furnished`."""
    from apps.experiments.models import Run
    from apps.jobs.schedules.models import Schedule

    run = Run.objects.filter(project=people.project).order_by("pk")[0]
    schedule = Schedule.objects.filter(project=people.project).order_by("pk")[0]
    known = {**PROJECT, "run": run.hex, "experiment": "one", "schedule": schedule.pk, "username": "viewer"}
    return path.format_map(defaultdict(lambda: "one", known))


def refused(answer: Any, status: int, code: str) -> bool:
    """Whether an answer is this error, in the one shape."""
    error = answer.json().get("error", {})
    shaped = set(error) == {"code", "message", "detail", "request_id"} and error["request_id"]
    return answer.status_code == status and error.get("code") == code and bool(shaped)


def forged(position: str) -> str:
    """A cursor that is well-formed, around a position that no list would give out."""
    return base64.b64encode(urlencode({"p": position}).encode()).decode()


def test_the_document_is_valid_and_complete(settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from django.core.management import call_command

    call_command("spectacular", validate=True, fail_on_warn=True, format="openapi-json")
    document = json.loads(capsys.readouterr().out)
    assert document["openapi"].startswith("3.1")
    assert set(document["components"]["securitySchemes"]) == {"token", "basic", "session"}
    assert not [path for path in document["paths"] if path.endswith("/")]
    for _, methods in document["paths"].items():
        for operation in methods.values():
            assert "#/components/schemas/Error" in json.dumps(operation["responses"]["default"])
            assert operation["security"]


def test_every_list_refuses_bad_limits_orders_and_cursors(furnished: People) -> None:
    client: APIClient = furnished.api("owner")
    wrong = []
    asked = {
        "list.limit": ["limit=0", "limit=501", "limit=abc", "limit=-1", "limit=1.5", "limit=" + "9" * 30],
        "list.cursor": ["cursor=nonsense", "cursor=%00", "cursor=bm8=", "cursor=" + forged("\0")],
        "list.order_by": ["order_by=password"],
    }
    found = lists()
    assert len(found) > 20
    for path, operation in found:
        names = {p["name"] for p in operation["parameters"]}
        for code, queries in asked.items():
            unordered = "order_by" not in names or operation["operationId"] in KEPT_IN_MLFLOW
            if code == "list.order_by" and unordered:
                continue
            for query in queries:
                answer = client.get(f"{address(path, furnished)}?{query}")
                if not refused(answer, 422, code):
                    wrong.append(
                        (operation["operationId"], query[:40], answer.status_code, answer.content[:80])
                    )
    assert wrong == []


def test_a_forged_cursor_breaks_no_list(furnished: People) -> None:
    client: APIClient = furnished.api("owner")
    for path, operation in lists():
        answer = client.get(f"{address(path, furnished)}?cursor={forged('x')}")  # fits a text column only
        fits = answer.status_code == 200 and answer.json()["next"] is None
        assert fits or refused(answer, 422, "list.cursor"), operation["operationId"]


def test_every_list_is_walked_page_by_page_in_every_order(furnished: People) -> None:
    client: APIClient = furnished.api("owner")
    wrong = []
    for path, operation in lists():
        name = operation["operationId"]
        orders = next(
            (p["schema"].get("enum") for p in operation["parameters"] if p["name"] == "order_by"), None
        )
        if name in KEPT_IN_MLFLOW:
            orders = None
        for order in orders or [""]:
            query = f"?order_by={order}" if order else "?"
            whole = client.get(f"{address(path, furnished)}{query}").json()
            seen: list[Any] = []
            url: str | None = f"{address(path, furnished)}{query}&limit=1"
            while url and len(seen) <= len(whole["results"]):
                page = client.get(url).json()
                seen += page["results"]
                url = page["next"]
            if set(whole) != {"results", "next"} or whole["next"] is not None or seen != whole["results"]:
                wrong.append((name, order, len(seen), len(whole["results"])))
    assert wrong == []


def test_every_list_that_can_be_furnished_is(furnished: People) -> None:
    client: APIClient = furnished.api("owner")
    empty = {
        operation["operationId"]
        for path, operation in lists()
        if len(client.get(address(path, furnished)).json()["results"]) < 1
    }
    assert empty <= {"deployments_inferences", "runs_artifacts"}  # their rows are files


def test_a_change_of_something_that_has_changed_is_refused(furnished: People) -> None:
    client: APIClient = furnished.api("owner")
    changed = [(path, operation["operationId"]) for path, operation in operations("patch")]
    assert len(changed) > 8
    for path, name in changed:
        if name in WITHOUT_ETAG:
            continue
        url = address(path, furnished)
        field, *values = OTHER_FIELDS.get(name, ("description", "new", "y"))
        read = client.get(url)
        assert read.headers.get("ETag"), path
        stale = client.patch(url, {field: values[1]}, format="json", headers={"If-Match": '"older"'})
        assert refused(stale, 409, "stale"), (path, stale.content)
        fits = client.patch(url, {field: values[0]}, format="json", headers={"If-Match": read["ETag"]})
        assert fits.status_code == 200, (path, fits.content)
        assert fits.json()[field] == values[0], path
        assert fits["ETag"] not in ("", read["ETag"]), path
        again = client.patch(url, {field: values[1]}, format="json", headers={"If-Match": read["ETag"]})
        assert refused(again, 409, "stale"), path
        assert (
            client.patch(url, {field: values[1]}, format="json", headers={"If-Match": "*"}).status_code == 200
        )


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"[" * 100_000, 400, "request.malformed"),
        (b'{"name": NaN}', 400, "request.malformed"),
        (b'{"name": "\xff"}', 400, "request.malformed"),
        (b"[1]", 422, "request.invalid"),
        (b'"text"', 422, "request.invalid"),
        (b'{"name": "fine", "description": "\\ud800"}', 422, "text.invalid"),
        (b'{"name": "fine", "description": "\\u0000"}', 422, "text.invalid"),
        (b'{"name": "' + b"x" * 9_000_000 + b'"}', 413, "request.too_large"),
    ],
    ids=["deep", "NaN", "latin-1", "array", "text", "surrogate", "NUL", "large"],
)
@pytest.mark.parametrize("address", ["/api/v1/projects/shop/models", "/api/v1/teams"])
def test_a_strange_body_gets_a_sentence(
    people: People, address: str, body: bytes, status: int, code: str
) -> None:
    body = body.replace(b'"fine"', b'"fine", "slug": "fine"') if address.endswith("teams") else body
    answer = people.api("owner").post(address, body, content_type="application/json")
    strange = code == "text.invalid" and answer.json()["error"]["code"] == "request.invalid"
    assert strange or refused(answer, status, code), answer.content[:300]


BODIES: dict[str, Callable[[APIClient, str, str], Any]] = {
    "request.malformed": lambda c, m, u: c.generic(m, u, b'{"name": ', content_type="application/json"),
    "request.media_type": lambda c, m, u: c.generic(m, u, b"x", content_type="text/csv"),
}


@pytest.mark.parametrize(("code", "status"), [("request.malformed", 400), ("request.media_type", 415)])
def test_a_body_that_cannot_be_read_is_refused_everywhere(furnished: People, code: str, status: int) -> None:
    client: APIClient = furnished.api("owner")
    wrong = []
    for method in ("post", "patch"):
        for path, operation in operations(method):
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" not in content:
                continue
            url = address(path.replace("{alert}", _alert()).replace("{promotion}", _promotion()), furnished)
            answer = BODIES[code](client, method.upper(), url)
            if not refused(answer, status, code):
                wrong.append((operation["operationId"], answer.status_code, answer.content[:100]))
    assert wrong == []


def _alert() -> str:
    from apps.monitoring.models import Alert

    return str(Alert.objects.order_by("pk")[0].pk)


def _promotion() -> str:
    from apps.registry.models import Promotion

    return str(Promotion.objects.order_by("pk")[0].pk)


@pytest.mark.parametrize("name", ["a/b", "a\0b", "n" * 300, "", " ", "-x", "ü", ["a"], {"a": 1}])
def test_a_bad_name_is_refused_wherever_one_is_given(furnished: People, name: Any) -> None:
    client: APIClient = furnished.api("owner")
    wrong = []
    bodies: dict[str, dict[str, Any]] = {
        "experiments": {},
        "models": {},
        "deployments": {"model": "one/1"},
        "monitors": {"deployment": "one", "baseline": "one@1"},
        "pipelines": {"nodes": [{"name": "a", "kind": "dataset_check", "with": {"dataset": "one"}}]},
    }
    for path, body in bodies.items():
        url = f"/api/v1/projects/shop/{path}"
        made = client.post(url, {**body, "name": name}, format="json")
        renamed = client.patch(f"{url}/one", {"name": name}, format="json")
        for method, answer in (("post", made), ("patch", renamed)):
            shaped = set(answer.json().get("error", {})) == {"code", "message", "detail", "request_id"}
            if answer.status_code != 422 or not shaped:
                wrong.append((method, path, answer.status_code, answer.content[:120]))
    assert wrong == []
