"""Calls of the stock MLflow client through Atelier's gateway, beside a lean MLflow server in the same run.

python3 manage.py bench client_calls [--rounds N]
The peer is `mlflow server` with one worker on a database of its own in the same PostgreSQL server, so that durability
and disk are the same. One client process alternates between both.
"""

import argparse
import json
import os
import shutil
import socket
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

START_SECONDS = 240.0
# measure: (unit, whether more is better)
MEASURES = {
    "create_run": ("calls/s", True),
    "log_metric": ("calls/s", True),
    "log_batch": ("metrics/s", True),
    "search": ("ms", False),
}


def main(argv: list[str]) -> int:
    """Start a studio and the peer, run the rounds, print the ratios, stop both."""
    parser = argparse.ArgumentParser(prog="bench client_calls", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(argv)
    folder = work_folder("calls")
    try:
        with running_studio(folder / "home") as (url, token), running_peer(folder) as peer:
            plan = {
                "rounds": options.rounds,
                "servers": {
                    "mlflow": {"uri": peer, "token": "none"},
                    "atelier": {"uri": f"{url}/p/bench/mlflow", "token": token},
                },
            }
            print(f"Measuring, {options.rounds} rounds each, alternating …", flush=True)
            command = [sys.executable, str(HERE / "client_rounds.py"), json.dumps(plan)]
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, env=quiet_environment()
            )
            if done.returncode:
                raise SystemExit(f"The client failed: {done.stderr.strip()[-1500:]}")
            report(json.loads(done.stdout.strip().splitlines()[-1]))
    finally:
        forget(folder)
    return 0


def report(found: dict[str, dict[str, list[float]]]) -> None:
    """Print medians and ratios; a ratio above 1 means that Atelier is faster."""
    print(f"{'':12}{'MLflow server':>16}{'Atelier':>14}{'ratio':>10}")
    for name, (unit, more) in MEASURES.items():
        peer, own = statistics.median(found["mlflow"][name]), statistics.median(found["atelier"][name])
        ratio = own / peer if more else peer / own
        print(f"{name:12}{peer:>13,.0f}   {own:>11,.0f}   {ratio:>7.2f} ×   {unit}")


@contextmanager
def running_studio(home: Path) -> Iterator[tuple[str, str]]:
    """Run a studio of its own; yields its address and a token, with a project called bench."""
    port = free_port()
    environment = quiet_environment(ATELIER_HOME=str(home))
    manage = [sys.executable, str(ROOT / "manage.py")]
    print("Starting a studio …", flush=True)
    log = (home.parent / "studio.log").open("w")
    process = subprocess.Popen([*manage, "up", "--port", str(port)], env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{url}/readyz", process, Path(log.name))
        done = subprocess.run(
            [*manage, "token", "admin"], env=environment, capture_output=True, text=True, check=True
        )
        token = done.stdout.strip()
        call(f"{url}/api/v1/projects", token, {"slug": "bench", "name": "Benchmark"})
        yield url, token
    finally:
        stop(process)
        log.close()


@contextmanager
def running_peer(folder: Path) -> Iterator[str]:
    """Run a stock MLflow server on a new database of the studio's PostgreSQL; yields its address."""
    port = free_port()
    uri = peer_database(folder / "home")
    environment = quiet_environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    command += ["--backend-store-uri", uri, "--artifacts-destination", str(folder / "artifacts")]
    print("Starting the MLflow server beside it …", flush=True)
    with (folder / "peer.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process, Path(log.name))
            yield f"http://127.0.0.1:{port}"
        finally:
            stop(process)


def peer_database(path: Path) -> str:
    """Make an empty database in the studio's embedded PostgreSQL and return its SQLAlchemy address."""
    import psycopg

    from runtime import postgres
    from runtime.home import Home, read_json

    home = Home(path)
    password = home.passwords_kept()["superuser"]
    folder = read_json(home.endpoints)["database_dir"]
    with psycopg.connect(
        postgres.url(Path(folder), postgres.SUPERUSER, password, postgres.DATABASE), autocommit=True
    ) as admin:
        admin.execute("create database peer")
    return f"postgresql+psycopg://{postgres.SUPERUSER}:{password}@/peer?host={folder}"


def call(url: str, token: str, body: dict[str, str]) -> None:
    """POST a JSON body as the token's owner."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30):
        return


def wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until `url` answers 200. Raises SystemExit with the end of the log when the process ends first."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise SystemExit(f"{url} did not become ready:\n{log.read_text()[-2000:]}")


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process that this benchmark started, and wait for it."""
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def forget(folder: Path) -> None:
    """Remove the benchmark's files, and what root's embedded PostgreSQL keeps outside of the home."""
    pointer = folder / "home" / "data-location"
    if pointer.exists():
        shutil.rmtree(pointer.read_text().strip(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """Return a TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) or os.EX_OK)
