"""Predictions through Atelier's gateway with authentication and capture, beside BentoML's own server on the same Bento.

python3 manage.py bench prediction [--seconds S] [--rounds N]
An SVC on iris, one record per request, at 1, 8 and 64 connections, alternating between both; the load generator is a
process of its own. Both sides answer over TCP on the loopback address.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT), str(ROOT / "platform")]

from client_calls import free_port, stop, wait_for  # noqa: E402
from peers import quiet_environment, work_folder  # noqa: E402

CONNECTIONS = (1, 8, 64)
TOKEN = "atl_benchmark-token-of-no-studio"
ROW = [5.1, 3.5, 1.4, 0.2]


def main(argv: list[str]) -> int:
    """Build the Bento, start both sides, alternate, print the ratios, stop both."""
    parser = argparse.ArgumentParser(prog="bench prediction", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="measured seconds per round and side")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(argv)
    folder = work_folder("prediction")
    try:
        print("Building the Bento …", flush=True)
        bento, bundle = build(folder)
        with ExitStack() as stack:
            sides = {
                "bentoml": (stack.enter_context(running_peer(folder, bento)), {"rows": [ROW]}),
                "atelier": (stack.enter_context(running_gateway(folder, bento, bundle)), {"rows": [ROW]}),
            }
            print(f"Measuring, {options.rounds} rounds of {options.seconds:g} s, alternating …", flush=True)
            found = {
                connections: [
                    {
                        name: load(url, body, connections, options.seconds)
                        for name, (url, body) in sides.items()
                    }
                    for _ in range(options.rounds)
                ]
                for connections in CONNECTIONS
            }
        report(found)
        report_capture(folder, found)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def report(found: dict[int, list[dict[str, dict[str, float]]]]) -> None:
    """Print medians; a ratio above 1 means that Atelier is faster."""
    print(
        f"{'connections':>11} {'BentoML/s':>11} {'Atelier/s':>11} {'ratio':>8} {'p50 ms':>15} {'p99 ms':>15}"
    )
    for connections, rounds in found.items():
        peer, own = (
            {key: statistics.median(r[name][key] for r in rounds) for key in ("rate", "p50", "p99")}
            for name in ("bentoml", "atelier")
        )
        failed = int(sum(r[name]["failed"] for r in rounds for name in r))
        print(
            f"{connections:>11} {peer['rate']:>11,.0f} {own['rate']:>11,.0f} {own['rate'] / peer['rate']:>6.2f} × "
            f"{peer['p50']:>6.2f} → {own['p50']:>6.2f} {peer['p99']:>6.1f} → {own['p99']:>6.1f}"
            + (f"   {failed} failed" if failed else "")
        )


def report_capture(folder: Path, found: Any) -> None:
    """Say how many inferences were recorded: at least as many as were counted."""
    recorded = sum(path.read_bytes().count(b"\n") - 1 for path in (folder / "spool").rglob("*.*"))
    print(f"{recorded:,} inferences were recorded on the way.")


def build(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The same Bento that a deployment of an iris model gets, built in a process of its own."""
    program = (
        "import json, sys\n"
        f"sys.path[:0] = {[str(ROOT), str(ROOT / 'platform')]!r}\n"
        "from pathlib import Path\n"
        "from tests.deployments.iris import save_iris\n"
        "from adapters.serving.bento import build\n"
        f"folder = Path({str(folder)!r})\n"
        "model = save_iris(folder / 'model')\n"
        "bundle = build(model, folder / 'bento', work=folder, version='r1', labels={})\n"
        "print(json.dumps(bundle))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=quiet_environment()
    )
    if done.returncode:
        raise SystemExit(f"The Bento could not be built: {done.stderr.strip()[-1500:]}")
    return folder / "bento", json.loads(done.stdout.strip().splitlines()[-1])


@contextmanager
def running_peer(folder: Path, bento: Path) -> Iterator[str]:
    """`bentoml serve` on the Bento, as BentoML ships it."""
    port = free_port()
    environment = quiet_environment(BENTOML_HOME=str(folder / "bentoml"))
    command = [
        sys.executable,
        "-m",
        "bentoml",
        "serve",
        str(bento),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    with (folder / "peer.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
        try:
            wait_for(f"http://127.0.0.1:{port}/readyz", process, Path(log.name))
            yield f"http://127.0.0.1:{port}/predict"
        finally:
            stop(process)


@contextmanager
def running_gateway(folder: Path, bento: Path, bundle: dict[str, Any]) -> Iterator[str]:
    """The model process as deployments start it, and the gateway in front of it."""
    from adapters.serving import Launch, get_server

    launch = Launch(
        bento, folder / "m.sock", folder / "model.log", folder / "record" / "m.json", folder / "run"
    )
    model = get_server().start(launch)
    port = free_port()
    plan = {
        "port": port,
        "socket": str(launch.socket),
        "spool": str(folder / "spool"),
        "bundle": bundle,
        "token": TOKEN,
    }
    command = [sys.executable, str(HERE / "prediction_front.py"), json.dumps(plan)]
    try:
        deadline = time.monotonic() + 60
        while not model.health(timeout=5).ready:
            if time.monotonic() > deadline:
                raise SystemExit(f"The model process did not become ready:\n{launch.log.read_text()[-2000:]}")
            time.sleep(0.2)
        process = subprocess.Popen(command, env=quiet_environment())
        try:
            wait_for_port(port, process)
            yield f"http://127.0.0.1:{port}/serve/bench/iris/predict"
        finally:
            stop(process)
    finally:
        model.stop(grace=10)


def wait_for_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until somebody listens on the port."""
    import socket

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit("the gateway did not start")


def load(url: str, body: dict[str, Any], connections: int, seconds: float) -> dict[str, float]:
    """One round of one side."""
    plan = {"url": url, "token": TOKEN, "body": body, "connections": connections, "seconds": seconds}
    command = [sys.executable, str(HERE / "prediction_load.py"), json.dumps(plan)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=quiet_environment())
    if done.returncode:
        raise SystemExit(f"The load generator failed: {done.stderr.strip()[-1500:]}")
    return dict(json.loads(done.stdout))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) or os.EX_OK)
