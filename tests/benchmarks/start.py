"""The second start of a studio (first page, everything ready), beside a lean MLflow server alone.

python3 manage.py bench start [--rounds N]
Goals: first page within 5 s, everything ready within 20 s.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT), str(ROOT / "platform")]

from peers import quiet_environment, work_folder  # noqa: E402

from runtime.children import descendants, identity, kill_tree  # noqa: E402
from tests.support.studio import Studio, free_port  # noqa: E402

FIRST_PAGE_GOAL, READY_GOAL = 5.0, 20.0


def main(argv: list[str]) -> int:
    """Start once to set up, then alternate restarts of the studio and of the peer."""
    parser = argparse.ArgumentParser(prog="bench start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(argv)
    folder = work_folder("start")
    studio = Studio(folder / "home")
    pages, readies, peers = [], [], []
    try:
        begun = time.monotonic()
        studio.start()
        print(f"First start, with migrations        {time.monotonic() - begun:6.1f} s", flush=True)
        studio.stop()
        with mlflow_alone(folder):  # makes its tables
            pass
        for _ in range(options.rounds):
            page, ready = restart(studio)
            pages.append(page)
            readies.append(ready)
            begun = time.monotonic()
            with mlflow_alone(folder):
                peers.append(time.monotonic() - begun)
            print(
                f"  page {page:5.1f} s   ready {ready:5.1f} s   MLflow alone {peers[-1]:5.1f} s", flush=True
            )
    finally:
        studio.discard()
        shutil.rmtree(folder, ignore_errors=True)
    page, ready, peer = map(statistics.median, (pages, readies, peers))
    print(f"First page      {page:6.1f} s   goal {FIRST_PAGE_GOAL:.0f} s")
    print(
        f"All ready       {ready:6.1f} s   goal {READY_GOAL:.0f} s   {ready / peer:.2f} × MLflow's server alone"
    )
    return 0


@contextmanager
def mlflow_alone(folder: Path) -> Iterator[int]:
    """MLflow's own server with one worker on a database file in `folder`; yields its pid once it answers."""
    port = free_port()
    store = f"sqlite:///{folder / 'mlflow.db'}"
    argv = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    argv += [
        "--workers",
        "1",
        "--backend-store-uri",
        store,
        "--artifacts-destination",
        str(folder / "artifacts"),
    ]
    environment = quiet_environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
    with open(os.devnull, "wb") as nowhere:
        process = subprocess.Popen(argv, env=environment, stdout=nowhere, stderr=nowhere, cwd=folder)
    try:
        while not answers(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None, "MLflow's server ended"
            time.sleep(0.05)
        yield process.pid
    finally:
        kill_tree(descendants(process.pid) | {identity(process.pid)})
        process.wait()


def restart(studio: Studio) -> tuple[float, float]:
    """Seconds from the command to the first page and to the ready line; stops the studio again."""
    begun = time.monotonic()
    studio.launch()
    while not answers(f"{studio.url}/login"):
        time.sleep(0.02)
    page = time.monotonic() - begun
    studio.wait_until_ready()
    ready = time.monotonic() - begun
    studio.stop()
    return page, ready


def answers(url: str) -> bool:
    """Whether a page comes with status 200."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
