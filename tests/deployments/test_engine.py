"""With the real engine: BentoML builds, our host serves, the loop restarts and switches without a failed request."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from adapters.serving import Launch, get_server
from adapters.serving.process import ask, start_time
from apps.deployments.models import Deployment, Revision
from apps.deployments.queries import gateway_route
from apps.deployments.reconcile import Places, Reconciler
from apps.deployments.states import DeploymentState, RevisionState
from foundation.ids import uuid7
from gateway.app import Gateway
from gateway.capture import Spool
from gateway.ports import Caller, ProjectRef, Route
from gateway.predictions import Predictions

pytestmark = pytest.mark.engine

ROW = [5.1, 3.5, 1.4, 0.2]


def launch(folder: Path, bento: Path) -> Launch:
    return Launch(bento, folder / "s.sock", folder / "log", folder / "r" / "1.json", folder / "run")


def wait(condition: Callable[[], Any], *, seconds: float = 60, step: Callable[[], None] | None = None) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "the condition never came true"
        if step is not None:
            step()
        time.sleep(0.05)


def test_the_bento_is_a_bento_and_carries_its_model(bentos: Any) -> None:
    folder, bundle = bentos["iris"]
    assert (folder / "bento.yaml").is_file()
    assert (folder / "src" / "model" / "MLmodel").is_file()
    assert [c["type"] for c in bundle["columns"]] == ["number"] * 4
    assert (bundle["task"], bundle["classes"]) == ("classification", [0, 1, 2])
    assert bundle["golden"]["answer"]["predictions"] == [0, 0, 0]


def test_a_process_starts_answers_stops_and_keeps_no_secret(
    bentos: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("ATELIER_SECRET_KEY", "do-not-leak")
    folder, _ = bentos["iris"]
    process = get_server().start(launch(tmp_path, folder))
    try:
        wait(lambda: process.health(timeout=5).ready)
        assert process.predict([ROW], timeout=5) == {"predictions": [0]}
        environment = Path(f"/proc/{process.pid}/environ")
        if os.geteuid() == 0:
            assert b"do-not-leak" not in environment.read_bytes()
        assert os.getsid(process.pid) == process.pid
        status, _ = ask(tmp_path / "s.sock", "GET", "/readyz", None, timeout=5)
        assert status == 200, "BentoML's own readiness is served too"
        names = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
        records = json.dumps({"records": [dict(zip(names, ROW, strict=True))]}).encode()
        status, body = ask(tmp_path / "s.sock", "POST", "/predict", records, timeout=5)
        assert (status, json.loads(body)) == (200, {"predictions": [0]}), "BentoML's own API answers too"
    finally:
        process.stop(grace=10)
    assert process.exit_code() is not None
    assert not (tmp_path / "s.sock").exists()
    assert not (tmp_path / "r" / "1.json").exists()


def test_orphans_of_an_earlier_generation_are_swept(bentos: Any, tmp_path: Path) -> None:
    folder, _ = bentos["iris"]
    server = get_server()
    process = server.start(launch(tmp_path, folder))
    assert server.sweep(tmp_path / "r") == [process.pid]
    wait(lambda: process.exit_code() is not None)
    assert start_time(process.pid) is None
    # A record whose pid now belongs to another program is only forgotten.
    (tmp_path / "r" / "2.json").write_text(
        json.dumps(
            {"pid": os.getpid(), "started": 1.0, "folder": str(tmp_path / "x"), "socket": str(tmp_path / "y")}
        )
    )
    assert server.sweep(tmp_path / "r") == []
    assert not list((tmp_path / "r").iterdir())


def test_a_model_process_ends_with_the_one_that_started_it(bentos: Any, tmp_path: Path) -> None:
    folder, _ = bentos["iris"]
    program = (
        f"import sys; sys.path[:0] = {[p for p in sys.path if p]!r}\n"
        "from pathlib import Path\nfrom adapters.serving import Launch, get_server\nimport time\n"
        f"t = Path({str(tmp_path)!r})\n"
        f"p = get_server().start(Launch(Path({str(folder)!r}), t/'s.sock', t/'log', t/'r'/'1.json', t/'run'))\n"
        "print(p.pid, flush=True)\ntime.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    wait(lambda: (tmp_path / "s.sock").exists())
    parent.kill()
    parent.wait()
    wait(lambda: start_time(pid) is None, seconds=20)


class Running:
    """The reconciler in the test's thread, on real processes."""

    def __init__(self, folder: Path, pool: ThreadPoolExecutor, bentos: dict[str, Any]) -> None:
        self.reconciler = Reconciler(
            server=get_server(),
            pool=pool,
            places=Places(folder / "m", folder / "s", folder / "l", folder / "r"),
            fetch=lambda revision, target: self._copy(revision, target, bentos),
            drain_seconds=1.5,
        )

    @staticmethod
    def _copy(revision: Revision, target: Path, bentos: dict[str, Any]) -> None:
        import shutil

        shutil.copytree(bentos[revision.bento_prefix][0], target, dirs_exist_ok=True)


@pytest.fixture
def running(tmp_path: Path, bentos: Any) -> Iterator[Running]:
    with ThreadPoolExecutor(8) as pool:
        made = Running(tmp_path, pool, bentos)
        yield made
        made.reconciler.stop_all(seconds=30)


def revise(deployment: Deployment, number: int, name: str, bentos: Any) -> Revision:
    return Revision.objects.create(
        deployment=deployment,
        number=number,
        model_name="iris",
        model_version=number,
        model_version_id=uuid7(),
        state=RevisionState.BUILT,
        bento_prefix=name,
        bundle=bentos[name][1],
    )


class Front:
    """The gateway in a thread with an event loop of its own; routes are handed over by the test's thread."""

    def __init__(self, folder: Path, project: ProjectRef) -> None:
        self.project = project
        self.route: Route | None = None
        self.statuses: list[int] = []
        self.models: list[str] = []
        self.stop = threading.Event()
        self.spool = Spool(folder)
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    async def authenticate(self, credentials: Any) -> Caller:
        return Caller(uuid7(), "ada", "write")

    async def resolve(self, caller: Caller, slug: str, *, write: bool) -> ProjectRef:
        return self.project

    async def find(self, project: ProjectRef, name: str, *, fresh: bool = False) -> Route:
        assert self.route is not None
        return self.route

    async def _run(self) -> None:
        predictions = Predictions(
            authenticate=self.authenticate,
            resolve_project=self.resolve,
            route_deployment=self.find,
            record=self.spool,
        )
        await predictions.startup()
        gateway = Gateway(django=predictions, predictions=predictions)
        await asyncio.gather(*(self._client(gateway) for _ in range(4)))
        await predictions.shutdown()

    async def _client(self, gateway: Gateway) -> None:
        body = json.dumps({"rows": [ROW]}).encode()
        while not self.stop.is_set():
            got: list[Any] = []

            async def receive() -> Any:
                return {"type": "http.request", "body": body, "more_body": False}

            async def send(message: Any, got: list[Any] = got) -> None:
                got.append(message)

            scope = {"type": "http", "method": "POST", "path": "/serve/p/iris/predict", "headers": []}
            await gateway(scope, receive, send)
            self.statuses.append(got[0]["status"])
            if got[0]["status"] == 200:
                self.models.append(json.loads(got[1]["body"])["model"])
            await asyncio.sleep(0.002)


@pytest.mark.django_db
def test_versions_change_under_load_and_crashes_heal(
    deployment: Deployment, bentos: Any, running: Running, tmp_path: Path
) -> None:
    Revision.objects.filter(deployment=deployment).delete()
    Deployment.objects.filter(pk=deployment.pk).update(state=DeploymentState.STARTING, current=None)
    revise(deployment, 1, "iris", bentos)
    ref = ProjectRef(deployment.project_id, "bank-churn", uuid7(), True)
    front = Front(tmp_path / "spool", ref)

    def step() -> None:
        running.reconciler.step()
        found = gateway_route(deployment.project_id, deployment.name)
        assert found is not None
        front.route = Route(project_slug="bank-churn", **found)

    def state() -> str:
        deployment.refresh_from_db()
        return str(deployment.state)

    wait(lambda: state() == DeploymentState.READY, step=step)
    step()
    front.thread.start()
    wait(lambda: len(front.statuses) > 50, step=step)

    new = revise(deployment, 2, "always2", bentos)
    old = Revision.objects.get(deployment=deployment, number=1)
    wait(lambda: Revision.objects.get(pk=old.pk).state == RevisionState.RETIRED, step=step)
    before = len(front.statuses)
    wait(lambda: len(front.statuses) > before + 50, step=step)
    assert set(front.statuses) == {200}, "no request failed while the version changed"
    assert front.models[-1] == "iris/2"
    assert Revision.objects.get(pk=new.pk).state == RevisionState.READY

    pid = Revision.objects.get(pk=new.pk).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait(
        lambda: Revision.objects.get(pk=new.pk).pid not in (pid, None) and state() == DeploymentState.READY,
        step=step,
    )
    step()
    before = len(front.statuses)
    wait(lambda: len(front.statuses) > before + 50, step=step)
    assert set(front.statuses) <= {200, 503}
    assert front.statuses[-1] == 200
    front.stop.set()
    front.thread.join(30)
    recorded = sum(p.read_bytes().count(b"\n") - 1 for p in (tmp_path / "spool").rglob("*.jsonl"))
    assert recorded == front.statuses.count(200), "each answered prediction is recorded once"
    deployment.refresh_from_db()
    assert deployment.restarts == 1


def test_a_model_without_a_signature_cannot_be_built(tmp_path: Path) -> None:
    from adapters.serving.bundle import read_columns
    from foundation.tasks import UserError

    with pytest.raises(UserError, match="no signature"):
        read_columns({})
    with pytest.raises(UserError, match="only tables"):
        read_columns(
            {
                "signature": {
                    "inputs": '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 28, 28]}}]'
                }
            }
        )
