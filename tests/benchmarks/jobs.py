"""Jobs: submit → first line of code, and how fast a long queue drains; beside a bare Celery task and `mlflow run`.

    python3 manage.py bench jobs [--starts 200] [--queued 1000] [--libraries 1000] [--isolation 0..3]

starts a scheduler and a worker with two slots on PostgreSQL (fsync and synchronous_commit on) and Valkey of its own, and
submits from this process, as a request does. Celery's own worker (two processes) runs beside it on the same Valkey, each
start alternating with ours. Goals: p50 ≤ 150 ms, p99 ≤ 500 ms; 1,000 queued no-op jobs in 60 s. `--libraries N` adds N
warm starts in a row that use scikit-learn with n_jobs=2, polars and LightGBM.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]

P50_GOAL, P99_GOAL, DRAIN_GOAL = 150.0, 500.0, 60.0


def main(argv: list[str]) -> int:
    """Print latencies, drain times and their ratios; slow is no failure: this is a measurement."""
    parser = argparse.ArgumentParser(prog="bench jobs", description=__doc__)
    parser.add_argument("--starts", type=int, default=200)
    parser.add_argument("--queued", type=int, default=1000)
    parser.add_argument("--libraries", type=int, default=0)
    parser.add_argument("--isolation", default="", choices=["", "0", "1", "2", "3"])
    parser.add_argument("--without-mlflow", action="store_true", help="leave `mlflow run` out: 10 s a start")
    options = parser.parse_args(argv)
    from jobs_peers import BareCelery, mlflow_run

    floor = Floor(options.isolation)
    peer = None
    try:
        floor.begin()
        peer = BareCelery(floor.broker_url, floor.folder)
        peer.begin()
        print(f"Worker ready, isolation tier {floor.tier()}, two slots", flush=True)
        starts(floor, peer, options.starts)
        drains(floor, peer, options.queued)
        if options.libraries:
            libraries(floor, options.libraries)
        if not options.without_mlflow:
            print(f"`mlflow run`, to the first line    {mlflow_run(floor.folder) * 1000:8.0f} ms")
    finally:
        if peer is not None:
            peer.end()
        floor.end()
    return 0


class Floor:
    """A scheduler and a worker as processes, on servers of their own; this process submits."""

    def __init__(self, isolation: str) -> None:
        for name in [name for name in os.environ if name.startswith("ATELIER_")]:
            del os.environ[name]
        from tests.faults.servers import Servers

        self.servers = Servers()
        self.folder = self.servers.home.path
        os.environ |= {
            "ATELIER_HOME": str(self.folder),
            "DJANGO_SETTINGS_MODULE": "atelier.settings",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'platform'}",
            **({"ATELIER_ISOLATION": isolation} if isolation else {}),
        }
        self.processes: list[subprocess.Popen[bytes]] = []

    @property
    def broker_url(self) -> str:
        """Of Valkey, as Celery writes it."""
        from django.conf import settings

        return str(settings.CONFIG.broker_url)

    def begin(self) -> None:
        """Servers, tables, processes; returns when the warm parent has imported everything."""
        self.servers.make()
        import django

        django.setup()
        from django.core.management import call_command

        from adapters.storage import get_store
        from adapters.storage.mark import leave_mark
        from apps.jobs.models import Worker
        from runtime.config import load
        from tests.benchmarks import jobs_process

        call_command("migrate", interactive=False, verbosity=0)
        leave_mark(get_store(), load().secret_key)
        jobs_process.register()
        for name in ("scheduler", "worker"):
            with (self.folder / f"{name}.log").open("wb") as log:
                self.processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "tests.benchmarks.jobs_process", name],
                        cwd=ROOT, stdout=log, stderr=log, start_new_session=True,
                    )
                )  # fmt: skip
        self.until(lambda: Worker.objects.filter(kind="worker").exists(), 120)
        for _ in range(3):  # the first ones wait for the imports of the warm parent
            self.one("bench.sandbox")

    def until(self, true: Callable[[], bool], seconds: float) -> None:
        """Wait; raises SystemExit with the worker's log when it takes too long."""
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline or any(p.poll() is not None for p in self.processes):
                raise SystemExit((self.folder / "worker.log").read_text()[-3000:])
            time.sleep(0.005)

    def tier(self) -> int:
        """Of the worker."""
        from apps.jobs.models import Worker

        return int(Worker.objects.filter(kind="worker").values_list("tier", flat=True)[0])

    def submit(self, kind: str, **spec: Any) -> Any:
        """One job, as an action submits it."""
        from apps.jobs.actions import submit

        return submit(kind=kind, project=None, created_by=None, spec=spec, title="Benchmark")

    def one(self, kind: str, **spec: Any) -> float:
        """Seconds from before the submit to the first line of its code."""
        from apps.jobs.models import Job

        begun = time.time()
        job = self.submit(kind, **spec)
        self.until(lambda: Job.objects.filter(pk=job.pk, finished_at__isnull=False).exists(), 120)
        job.refresh_from_db()
        if job.state != "succeeded":
            raise SystemExit(f"{kind}: {job.state}, {job.reason}")
        return float(job.result["at"]) - begun

    def drain(self, kind: str, count: int) -> float:
        """Seconds from the first submit until all are done."""
        from django.db import transaction

        from apps.jobs.models import Job

        with transaction.atomic():
            for _ in range(count):
                self.submit(kind)
        begun = time.monotonic()
        self.until(lambda: not Job.objects.live().exists(), 1800)
        took = time.monotonic() - begun
        failed = Job.objects.exclude(state="succeeded").count()
        if failed:
            raise SystemExit(f"{failed} jobs did not succeed")
        return took

    def end(self) -> None:
        """Stop what was started, and remove the home."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.servers.stop()


def starts(floor: Floor, peer: Any, count: int) -> None:
    """One at a time, alternating with Celery."""
    ours: dict[str, list[float]] = {"bench.sandbox": [], "bench.platform": []}
    theirs: list[float] = []
    for _ in range(count):
        for kind, found in ours.items():
            found.append(floor.one(kind))
        theirs.append(peer.one())
    show("sandbox job, submit → first line", ours["bench.sandbox"])
    show("platform job, submit → first line", ours["bench.platform"])
    show("bare Celery task, publish → start", theirs)
    p50, p99 = percentile(ours["bench.sandbox"], 50), percentile(ours["bench.sandbox"], 99)
    peers = percentile(theirs, 50)
    print(
        f"p50 {p50 * 1000:.0f} ms, goal {P50_GOAL:.0f}; p99 {p99 * 1000:.0f} ms, goal {P99_GOAL:.0f}; "
        f"{p50 / peers:.1f} × a bare Celery task, which isolates and records nothing"
    )


def drains(floor: Floor, peer: Any, count: int) -> None:
    """Long queues, one after the other."""
    celery = peer.drain(count)
    for kind in ("bench.platform", "bench.sandbox"):
        took = floor.drain(kind, count)
        print(
            f"{count:,} × {kind:<16} {took:7.1f} s  {count / took:6.0f} a second   "
            f"goal {DRAIN_GOAL * count / 1000:.0f} s; {took / celery:.1f} × Celery",
            flush=True,
        )
    print(f"{count:,} × bare Celery task  {celery:6.1f} s  {count / celery:6.0f} a second")


def libraries(floor: Floor, count: int) -> None:
    """Warm starts in a row that use thread pools; a hang would end at the time limit."""
    found = []
    begun = time.monotonic()
    for number in range(count):
        found.append(floor.one("bench.libraries"))
        if number % 100 == 99:
            print(f"  {number + 1:,} of {count:,}, {time.monotonic() - begun:.0f} s", flush=True)
    show(f"{count:,} starts with number libraries", found)


def show(what: str, seconds: Sequence[float]) -> None:
    """One line: median, 99th percentile, worst, in milliseconds."""
    p50, p99 = percentile(seconds, 50), percentile(seconds, 99)
    print(
        f"{what:<36} p50 {p50 * 1000:6.0f} ms   p99 {p99 * 1000:6.0f} ms   worst {max(seconds) * 1000:6.0f} ms",
        flush=True,
    )


def percentile(values: Sequence[float], share: int) -> float:
    """By nearest rank."""
    if share == 50:
        return statistics.median(values)
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * share // 100)]
