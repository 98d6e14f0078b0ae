"""Ten minutes of random faults under load. `manage.py test --faults long tests/faults -k nemesis -s`, with `--minutes`
and, to replay what happened to somebody, `--seed`."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.datasets.test_upload_stage import multipart
from tests.faults.arena import KINDS, Arena, until
from tests.faults.nemesis import KEPT, Nemesis
from tests.faults.test_requests import FORM, TABLE

pytestmark = [pytest.mark.fault("long"), pytest.mark.engine]


class Clients:
    """People who submit, cancel and upload, and who insist until they are answered."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.over = threading.Event()
        self.troubles: list[str] = []
        self.jobs: list[str] = []
        self.uploads: list[str] = []
        work = (self._submit, self._submit, self._submit, self._cancel, self._upload)
        self.threads = [threading.Thread(target=self._run, args=(what,), daemon=True) for what in work]

    def _run(self, what: object) -> None:
        number = 0
        while not self.over.is_set():
            number += 1
            try:
                what(number)  # type: ignore[operator]
            except Exception as error:  # the test says so at its end
                self.troubles.append(f"{type(error).__name__}: {error}"[:2000])
                self.over.wait(1)

    def _submit(self, number: int) -> None:
        if self._crowded():
            self.over.wait(0.5)
            return
        chosen = self.arena.random.random()
        queue = "far" if chosen < 0.25 else "cpu"
        steps = 60 if chosen > 0.95 else int(chosen * 12)
        job = self.arena.insist(KINDS[number % 2], seconds=300, queue=queue, steps=steps, pause=0.1)
        self.jobs.append(job)
        self.over.wait(0.2)

    def _crowded(self) -> bool:
        try:
            return len(self.arena.live()) > 60
        except Exception:  # the database is being killed
            return True

    def _cancel(self, number: int) -> None:
        self.over.wait(2)
        if self.jobs:
            self.arena.cancel(self.arena.random.choice(self.jobs[-10:]))

    def _upload(self, number: int) -> None:
        name = f"storm-{number}"
        body = multipart(TABLE, fields={"name": name})
        key = {"Idempotency-Key": f"storm-{number}-{self.arena.random.random()}"}
        while not self.over.is_set():
            answer = self.arena.call(
                "POST", self.arena.path("datasets"), body, headers={**FORM, **key}, timeout=60
            )
            if answer.status == 201:
                self.uploads.append(name)
                break
            self.over.wait(0.5)
        self.over.wait(8)


@pytest.mark.timeout(4 * 3600)
def test_a_nemesis_breaks_no_promise(
    arena: Arena,
    tmp_path: Path,
    seed: int,
    request: pytest.FixtureRequest,
    capfd: pytest.CaptureFixture[str],
) -> None:
    minutes = float(request.config.getoption("--minutes"))
    nemesis, clients = Nemesis(arena, tmp_path), Clients(arena)
    nemesis.start()
    over = time.monotonic() + minutes * 60
    try:
        with arena.kept_alive(*KEPT):
            for thread in clients.threads:
                thread.start()
            while time.monotonic() < over:
                nemesis.strike()
                time.sleep(arena.random.uniform(0.2, 4.0))
            clients.over.set()
            for thread in clients.threads:
                thread.join(330)
    finally:
        clients.over.set()
        nemesis.stop()
    arena.recover()

    def over_now() -> bool:
        arena.hurry()
        # The far worker is gone: what it held is lost and waits for others.
        arena.sql("update jobs_job set queue = 'cpu' where state = 'queued' and queue <> 'cpu'")
        return not arena.live()

    until(over_now, 600, lambda: str(arena.live()))
    states = Counter(arena.state(job) for job in clients.jobs)
    versions = arena.sql(
        "select v.state, count(*) from datasets_datasetversion v join datasets_dataset d on d.id = v.dataset_id "
        "where d.name like 'storm-%%' group by 1"
    )
    codes = arena.sql("select error_code, count(*) from jobs_job where state = 'errored' group by 1")
    with capfd.disabled():
        print(f"\nnemesis, seed {seed}, {minutes:g} minutes: {sum(nemesis.done.values())} faults")
        print("  " + ", ".join(f"{name} {count}" for name, count in nemesis.done.most_common()))
        print(
            f"  jobs {dict(states)}, errored for {dict(codes)}; uploads {len(clients.uploads)}, versions {dict(versions)}"
        )
    assert not clients.troubles, "\n".join(clients.troubles)
    assert set(states) <= {"succeeded", "cancelled", "errored"}, states
    assert states["succeeded"] > 0
    names = {name for (name,) in arena.sql("select name from datasets_dataset where name like 'storm-%%'")}
    assert set(clients.uploads) <= names
