"""A team with its people, a deployment with a built revision, and a model behind it that is a fake."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from adapters.serving import Launch
from adapters.serving.fake import FakeServer
from adapters.storage import get_store
from apps.accounts.access import Actor
from apps.accounts.models import Membership, Project, Team, User
from apps.accounts.states import Role
from apps.deployments.models import Deployment, Revision
from apps.deployments.source import Source
from apps.deployments.states import DeploymentState, RevisionState
from apps.lineage import actions as lineage
from foundation.ids import uuid7

BUNDLE: dict[str, Any] = {
    "columns": [
        {"name": "Age", "type": "integer", "required": True},
        {"name": "Balance", "type": "number", "required": True},
        {"name": "Geography", "type": "string", "required": False},
    ],
    "tensor": None,
    "task": "regression",
    "classes": [],
    "golden": {"rows": [[42, 1.5, "Spain"]], "answer": {"predictions": [43.5]}},
    "tag": "atelier_model:r1",
}


@dataclass
class Studio:
    """The people and their project."""

    project: Project
    owner: User
    contributor: User
    viewer: User
    stranger: User

    def client(self, user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    def actor(self, user: User) -> Actor:
        return Actor(user=user)

    def url(self, path: str = "") -> str:
        return f"/p/{self.project.slug}/deployments{path}"

    def api(self, path: str = "") -> str:
        return f"/api/v1/projects/{self.project.slug}/deployments{path}"


@pytest.fixture
def studio(db: None) -> Studio:
    team = Team.objects.create(slug="bank", name="Bank")
    project = Project.objects.create(team=team, slug="bank-churn", name="Churn")
    people = {}
    for name, role in (
        ("ada", Role.MAINTAINER),
        ("cleo", Role.CONTRIBUTOR),
        ("vic", Role.VIEWER),
        ("eve", None),
    ):
        people[name] = User.objects.create_user(username=name, password="pass-word-1")
        if role:
            Membership.objects.create(team=team, user=people[name], role=role)
    return Studio(project, people["ada"], people["cleo"], people["vic"], people["eve"])


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch, studio: Studio) -> Callable[[str, int], Source]:
    """Says what every reference resolves to; the registry has tests of its own."""
    state: dict[str, Source] = {}

    def names(ref: str, number: int) -> Source:
        name, _, alias = ref.partition("@")
        name = name.partition("/")[0]
        version = uuid7()
        lineage.put_node(
            project=studio.project,
            kind="model_version",
            key=version,
            title=f"{name}/{number}",
            url="/",
            state="ready",
        )
        state["now"] = Source(ref, name, number, version, alias, f"models/{name}/{number}")
        return state["now"]

    def resolve(project: Project, reference: object) -> Source:
        return state["now"]

    for module in ("actions",):
        monkeypatch.setattr(f"apps.deployments.{module}.resolve", resolve)
    monkeypatch.setattr(
        "apps.deployments.forms.choices",
        lambda project: [
            ("churn", [("churn@production", "churn@production"), ("churn/1", "churn version 1")])
        ],
    )
    names("churn/1", 1)
    return names


@pytest.fixture
def deployment(studio: Studio) -> Deployment:
    """One that answers, as far as the rows say; `model` gives it a process."""
    made = Deployment.objects.create(
        project=studio.project,
        created_by=studio.owner,
        name="churn",
        model_ref="churn/1",
        model_name="churn",
        state=DeploymentState.READY,
    )
    revision = Revision.objects.create(
        deployment=made,
        number=1,
        model_name="churn",
        model_version=1,
        model_version_id=uuid7(),
        state=RevisionState.READY,
        bento_prefix="bentos/1/1",
        bundle=BUNDLE,
    )
    Deployment.objects.filter(pk=made.pk).update(current=revision)
    made.refresh_from_db()
    return made


@pytest.fixture
def model(deployment: Deployment, tmp_path: Path) -> Iterator[Any]:
    """A fake model process behind the deployment: it adds up the numbers."""
    server = FakeServer()
    folder = tmp_path / "m"
    process = server.start(
        Launch(folder / "b", folder / "m.sock", folder / "log", folder / "r.json", folder / "run")
    )
    Revision.objects.filter(deployment=deployment).update(socket=str(process.launch.socket))
    yield process
    process.stop(grace=1)


@pytest.fixture
def spool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder that pages and sealers take for the spool."""
    folder = tmp_path / "spool"
    monkeypatch.setattr("apps.deployments.segments.spool_folder", lambda: folder)
    monkeypatch.setattr("apps.deployments.tryit.spool_folder", lambda: folder)
    return folder


@pytest.fixture
def store() -> Any:
    return get_store()


BUILD = """
import json, sys
sys.path[:0] = {paths!r}
from pathlib import Path
from adapters.serving.bento import build
print(json.dumps(build(Path({model!r}), Path({out!r}), work=Path({work!r}), version="r1", labels={{"a": "b"}})))
"""


def build(folder: Path, name: str, **options: Any) -> tuple[Path, dict[str, Any]]:
    """A Bento, built in a process of its own as in the sandbox."""
    from tests.deployments.iris import save_iris

    model = save_iris(folder / f"{name}-model", **options)
    work = folder / f"{name}-work"
    work.mkdir()
    paths = [p for p in sys.path if p]
    program = BUILD.format(paths=paths, model=str(model), out=str(folder / name), work=str(work))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / name, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def bentos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("bentos")
    return {"iris": build(folder, "iris"), "always2": build(folder, "always2", fmt="cloudpickle", constant=2)}
