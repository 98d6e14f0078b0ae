"""The arena: a small studio (web, scheduler, workers) on servers of its own, where anything may be killed.

It remembers every answer that its clients got and every job whose acceptance was acknowledged; the checker joins
them with the ledger and the database.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime import children
from runtime.home import read_json
from runtime.processes import QUIET
from tests.faults import ledger
from tests.faults.process import PROJECT
from tests.faults.servers import Question, Servers
from tests.support.studio import ROOT, clean_environment, free_port

LEASE = 5.0
START_LIMIT = 400.0  # as many as a studio of the suite has, on a machine in great need
SETTLE_LIMIT = 120.0
LIVE = ("queued", "starting", "running", "stopping")
KINDS = ("fault.sandbox", "fault.platform")


@dataclass(frozen=True)
class Answer:
    """What a client got. status 0: the connection broke, so nobody knows whether it was done."""

    method: str
    path: str
    status: int
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> Any:
        """The parsed JSON."""
        return json.loads(self.text)


class Arena:
    """One for a session of tests. seed: of everything that is drawn at random."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.servers = Servers()
        self.home = self.servers.home
        self.port = free_port()
        self.folder = self.home.path / "faults"
        self.folder.mkdir(mode=0o700)
        self.ledger = self.folder / "ledger"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.extra: dict[str, dict[str, str]] = {}
        self.answers: list[Answer] = []
        self.acknowledged: dict[str, dict[str, Any]] = {}
        self.cancelled: set[str] = set()
        self.keys: dict[str, str] = {}
        self.reported: set[str] = set()
        self.token = ""  # of ada, who owns the project
        self.tokens: dict[str, str] = {}
        self._question = Question(f"{self.servers.superuser()}&options=-csearch_path%3Datelier")
        self._migration: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    # --- processes ---------------------------------------------------------------------------------------

    def make(self) -> Arena:
        """Servers, tables, people, and the web process."""
        self.servers.make()
        done = subprocess.run(
            self._argv("prepare"), env=self.environment(), cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.tokens = json.loads(done.stdout.splitlines()[-1])
        self.token = self.tokens["ada"]
        return self

    def with_mlflow(self) -> None:
        """Make MLflow's tables (its server does not run here). Again is nothing."""
        if self._migration is None:
            services = read_json(self.home.services)
            self._migration = subprocess.Popen(
                [sys.executable, "-c", "from adapters.tracking.server import upgrade_here; upgrade_here()"],
                env=self.environment(ATELIER_MLFLOW_MIGRATE_URL=services["mlflow_database_url"], **QUIET),
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        if self._migration.returncode is None:
            _, errors = self._migration.communicate()
            assert self._migration.returncode == 0, errors

    def environment(self, **more: str) -> dict[str, str]:
        """Of the studio's processes: a short lease, short graces, and the way to the ledger."""
        return clean_environment(
            self.home.path,
            PYTHONPATH=f"{ROOT}:{ROOT / 'platform'}",
            PYTHONUTF8="1",
            ATELIER_PORT=str(self.port),
            ATELIER_LEASE_SECONDS=f"{LEASE:g}",
            ATELIER_GRACE_SECONDS="0.5",
            ATELIER_DRAIN_SECONDS="0.5",
            ATELIER_ISOLATION="0",  # the children write into the ledger
            ATELIER_FAULTS_FOLDER=str(self.folder),
            ATELIER_FAULTS_KNOCK=f"http://127.0.0.1:{self.port}/api/v1/projects/{PROJECT}/jobs",
            **more,
        )

    def _argv(self, role: str) -> list[str]:
        return [sys.executable, "-m", "tests.faults.process", role]

    def start(self, *names: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start processes ("worker", "worker-2", "scheduler", "web") side by side; returns the last one once all are
        ready. `environment` stays with the name for later starts."""
        for name in names:
            if environment:
                self.extra[name] = environment
            if name not in self.processes or self.processes[name].poll() is not None:
                self.processes[name] = self._spawn(name)
        for name in names:
            until(lambda name=name: self._is_ready(name), START_LIMIT, lambda: self.report(names[-1]))
        return self.processes[names[-1]]

    def _spawn(self, name: str) -> subprocess.Popen[bytes]:
        with (self.home.logs / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                self._argv(name.partition("-")[0]),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self.environment(**self.extra.get(name, {})),
            )

    def _is_ready(self, name: str) -> bool:
        process = self.processes[name]
        assert process.poll() is None, f"{name} has ended:\n{self.report(name)}"
        if name == "web":
            with suppress(OSError, http.client.HTTPException):
                return self._send("GET", "/healthz", None, {}, 5).status == 200
            return False
        with suppress(Exception):
            return bool(self.sql("select 1 from jobs_worker where pid = %s", process.pid))
        return False

    def alive(self, name: str) -> bool:
        """Whether that process runs."""
        return name in self.processes and self.processes[name].poll() is None

    def kill(self, *names: str) -> None:
        """SIGKILL."""
        for name in names:
            self.processes[name].kill()
            self.processes[name].wait()

    def freeze(self, name: str) -> None:
        """SIGSTOP."""
        self.processes[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """SIGCONT."""
        self.processes[name].send_signal(signal.SIGCONT)

    def stop(self, *names: str, seconds: float = 60) -> None:
        """SIGTERM to all at once; fails when one does not end."""
        for name in names:
            if self.alive(name):
                self.processes[name].send_signal(signal.SIGCONT)
                self.processes[name].terminate()
        for name in names:
            if name not in self.processes:
                continue
            try:
                self.processes[name].wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill(name)
                raise AssertionError(f"{name} did not end:\n{self.report(name)}") from None
            del self.processes[name]

    @contextmanager
    def kept_alive(self, *names: str) -> Iterator[None]:
        """What the keeper does: whoever dies is started again, until the block ends."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.05):
                for name in names:
                    if not over.is_set() and not self.alive(name):
                        self.processes[name] = self._spawn(name)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def recover(self) -> None:
        """Back to a studio with everything running, whatever a test has left."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
        self.servers.start_database()
        self.servers.start_broker()
        spare = [name for name in self.processes if name not in ("web", "scheduler", "worker")]
        self.extra.clear()
        self.stop(*spare)
        self.sql("update jobs_job set queue = 'cpu' where state = 'queued' and queue <> 'cpu'")
        self.start("web", "scheduler", "worker")

    def end(self) -> None:
        """Stop everything and remove it."""
        try:
            with suppress(AssertionError):
                self.stop(*list(self.processes), seconds=20)
        finally:
            self.servers.stop()

    # --- clients -----------------------------------------------------------------------------------------

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        timeout: float = 30,
        token: str | None = None,
    ) -> Answer:
        """One request in a connection of its own, remembered for the checker. Never raises for a broken one."""
        sent = {"Authorization": f"Bearer {self.token if token is None else token}", **(headers or {})}
        data = body
        if body is not None and not isinstance(body, bytes):
            data = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        try:
            answer = self._send(method, path, data, sent, timeout)
        except (OSError, http.client.HTTPException):
            answer = Answer(method, path, 0)
        with self._lock:
            self.answers.append(answer)
        return answer

    def _send(
        self, method: str, path: str, data: bytes | None, headers: dict[str, str], timeout: float
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=data, headers=headers)
            got = connection.getresponse()
            text = got.read().decode("utf-8", errors="replace")
            return Answer(method, path, got.status, text, {k.lower(): v for k, v in got.getheaders()})
        finally:
            connection.close()

    def path(self, tail: str) -> str:
        """An address in the arena's project."""
        return f"/api/v1/projects/{PROJECT}/{tail}"

    def submit(
        self, kind: str = "fault.sandbox", *, key: str | None = None, queue: str = "cpu", **spec: Any
    ) -> str:
        """Submit a job; "" when that was not acknowledged. key: the Idempotency-Key."""
        headers = {"Idempotency-Key": key} if key else {}
        body = {"kind": kind, "spec": spec, "queue": queue}
        answer = self.call("POST", self.path("rehearsals"), body, headers=headers)
        if answer.status != 201:
            return ""
        job = str(answer.body["id"])
        with self._lock:
            self.acknowledged[job] = {"kind": kind, **spec}
            if key:
                assert self.keys.setdefault(key, job) == job, f"the key {key} stands for two jobs"
        return job

    def insist(
        self, kind: str = "fault.sandbox", *, seconds: float = 120, queue: str = "cpu", **spec: Any
    ) -> str:
        """Submit with one Idempotency-Key until it is acknowledged, as a careful client does."""
        key = str(uuid.UUID(int=self.random.getrandbits(128)))
        deadline = time.monotonic() + seconds
        while True:
            job = self.submit(kind, key=key, queue=queue, **spec)
            if job:
                return job
            assert time.monotonic() < deadline, f"never accepted: {self.answers[-1]}"
            time.sleep(0.1)

    def cancel(self, job: str) -> Answer:
        """Ask a job to stop."""
        answer = self.call("POST", self.path(f"jobs/{job}/cancel"))
        if answer.status == 200:
            self.cancelled.add(job)
        return answer

    # --- looking -----------------------------------------------------------------------------------------

    def sql(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows, read as the superuser in the studio's schema."""
        return self._question(text, *values)

    def state(self, job: str) -> str:
        """A job's state by its row; "" when there is none."""
        rows = self.sql("select state from jobs_job where id = %s", job)
        return str(rows[0][0]) if rows else ""

    def attempts(self, job: str) -> list[tuple[int, str, str]]:
        """(number, outcome, error code) of each attempt."""
        return [
            (int(number), str(outcome), str(code))
            for number, outcome, code in self.sql(
                "select number, outcome, error_code from jobs_jobattempt where job_id = %s order by number",
                job,
            )
        ]

    def facts(self, *events: str, job: str = "") -> list[dict[str, Any]]:
        """What the ledger says."""
        return ledger.read(self.ledger, *events, job=job)

    def live(self) -> list[tuple[Any, ...]]:
        """Jobs that are not over."""
        return self.sql(
            "select id, kind, state, fence, worker, not_before > now() from jobs_job where state = any(%s)",
            list(LIVE),
        )

    def settle(self, seconds: float = SETTLE_LIMIT) -> None:
        """Wait until every job is over and the outbox is empty."""
        quiet = (
            "select (select count(*) from jobs_job where state = any(%s)), (select count(*) from jobs_outbox)"
        )
        until(
            lambda: self.sql(quiet, list(LIVE)) == [(0, 0)],
            seconds,
            lambda: f"still live: {self.live()}\n{self.report(*self.processes)}",
        )

    def hurry(self) -> None:
        """Make the back-off of waiting jobs end now: what it is worth is tested where it is decided."""
        self.sql("update jobs_job set not_before = now() where state = 'queued' and not_before > now()")
        self.sql("update jobs_outbox set due_at = now() where due_at > now()")

    def pids_of(self, job: str) -> set[int]:
        """Processes that the job's attempts have begun in."""
        return {int(fact["pid"]) for fact in self.facts("begin", job=job)}

    def logs(self) -> str:
        """Everything that the studio's processes have written."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.home.logs.glob("*.log")))

    def report(self, *names: str) -> str:
        """The ends of logs, for a failure's message."""
        parts = []
        for name in names:
            path = self.home.logs / f"{name}.log"
            if path.exists():
                parts += [f"--- {name}", *path.read_text(errors="replace").splitlines()[-30:]]
        return "\n".join(parts)

    def strays(self) -> list[tuple[int, str]]:
        """Processes of this home that no living process of the arena has started."""
        import psutil

        known = {os.getpid()}
        for process in [*self.processes.values(), self.servers.database, self.servers.broker]:
            if process is not None and process.poll() is None:
                known |= {process.pid, *(pid for pid, _ in children.descendants(process.pid))}
        marks = (str(self.home.path), str(self.servers.database_dir))
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.pid in known or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                environment = process.environ()
                here = any(mark in " ".join(process.cmdline()) for mark in marks)
                if (
                    here
                    or str(self.home.path) in (environment.get("ATELIER_HOME"), process.cwd())
                    or (str(environment.get("HOME", "")).startswith(str(self.home.attempts)))
                ):
                    found.append((process.pid, " ".join(process.cmdline())[:120]))
        return found


def until(what: Callable[[], Any], seconds: float = 60, explain: Callable[[], str] = lambda: "") -> Any:
    """Wait for it. Looks often, but not all the time: others need the processor."""
    deadline = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < deadline, f"it did not come about within {seconds:.0f} s. {explain()}"
        time.sleep(0.03)


def exists(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def is_open(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
