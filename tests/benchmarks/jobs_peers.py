"""The peers of `bench jobs`: a bare Celery task on the same Valkey, and `mlflow run` of a local project."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from peers import quiet_environment

MODULE = """
import time
import redis
from celery import Celery

broker = {broker!r}
app = Celery("bare", broker=broker)
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True, task_default_queue="bare",
                worker_prefetch_multiplier={prefetch})
client = redis.Redis.from_url({redis!r})


@app.task
def noop():
    client.rpush("bare-starts", time.time())
"""


class BareCelery:
    """Celery as its tutorial has it: two processes, a task that does nothing but say when it began."""

    def __init__(self, broker_url: str, folder: Path) -> None:
        self.folder = folder / "celery"
        self.folder.mkdir()
        plain = broker_url.replace("redis+socket://", "unix://").split("?")[0]
        text = MODULE.format(broker=broker_url, redis=f"{plain}?db=0", prefetch=4)
        (self.folder / "bare.py").write_text(text)
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Start its worker and wait for the first task."""
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "bare", "worker", "--concurrency", "2", "--loglevel", "error",
                 "--without-gossip", "--without-mingle"],
                cwd=self.folder, stdout=log, stderr=log, start_new_session=True, env=quiet_environment(),
            )  # fmt: skip
        sys.path.insert(0, str(self.folder))
        import bare  # type: ignore[import-not-found]

        self.task: Any = bare.noop
        self.client = bare.client
        self.client.delete("bare-starts")
        self.one(timeout=60)

    def one(self, timeout: float = 30) -> float:
        """Seconds from publishing to the task's first line."""
        begun = time.time()
        self.task.delay()
        answer = self.client.blpop("bare-starts", timeout=timeout)
        if answer is None:
            raise SystemExit((self.folder / "log").read_text()[-2000:])
        return float(answer[1]) - begun

    def drain(self, count: int) -> float:
        """Seconds from the first publishing until `count` tasks have begun: they begin meanwhile."""
        begun = time.monotonic()
        for _ in range(count):
            self.task.delay()
        for _ in range(count):
            if self.client.blpop("bare-starts", timeout=60) is None:
                raise SystemExit("a Celery task was lost")
        return time.monotonic() - begun

    def end(self) -> None:
        """Stop its worker."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def mlflow_run(folder: Path, rounds: int = 3) -> float:
    """Seconds from `mlflow run` of a local project to the first line of its code, the best of some rounds; the first,
    which makes the database, is left out."""
    project = folder / "project"
    project.mkdir()
    said = project / "at"
    (project / "MLproject").write_text(
        'name: bench\nentry_points:\n  main:\n    command: "python first.py"\n'
    )
    (project / "first.py").write_text(f"import time; open({str(said)!r}, 'w').write(str(time.time()))\n")
    environment = quiet_environment(
        MLFLOW_TRACKING_URI=f"sqlite:///{folder / 'mlflow-run.db'}",
        GIT_PYTHON_REFRESH="quiet",
        PATH=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
    )
    found = []
    for _ in range(rounds + 1):
        begun = time.time()
        done = subprocess.run(
            [sys.executable, "-m", "mlflow", "run", str(project), "--env-manager", "local"],
            env=environment, cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"mlflow run fails: {done.stderr[-1000:]}")
        found.append(float(said.read_text()) - begun)
    return min(found[1:])
