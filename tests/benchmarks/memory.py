"""Memory of an idle studio (PSS of every process, two slots, no deployment), beside a lean MLflow server alone.

python3 manage.py bench memory [--settle SECONDS]
Goal: at most 1.5 GB. PSS counts a page that several processes share once in total. Linux only.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

import psutil

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT), str(ROOT / "platform")]

from peers import work_folder  # noqa: E402
from start import mlflow_alone  # noqa: E402

from tests.support.studio import Studio  # noqa: E402

GOAL = 1536.0
MEGABYTE = 1024 * 1024


def main(argv: list[str]) -> int:
    """Start a studio, let it settle, add up."""
    parser = argparse.ArgumentParser(prog="bench memory", description=__doc__)
    parser.add_argument("--settle", type=float, default=20.0, help="seconds of idling before the measurement")
    options = parser.parse_args(argv)
    folder = work_folder("memory")
    studio = Studio(folder / "home")
    try:
        studio.start()
        assert studio.process is not None
        time.sleep(options.settle)
        sizes = tree(studio.process.pid)
        studio.stop()
        with mlflow_alone(folder) as pid:
            server = psutil.Process(pid)
            peer = pss(server) + sum(map(pss, server.children(recursive=True)))
    finally:
        studio.discard()
        shutil.rmtree(folder, ignore_errors=True)
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"  {name:<14}{size:8.0f} MB")
    total = sum(sizes.values())
    print(f"  {'everything':<14}{total:8.0f} MB   goal {GOAL:.0f} MB")
    print(f"  {'MLflow alone':<14}{peer:8.0f} MB   ratio {total / peer:.1f}")
    return 0


def tree(pid: int) -> dict[str, float]:
    """Megabytes by process of the studio: the keeper's children with everything below them."""
    keeper = psutil.Process(pid)
    sizes = {"keeper": pss(keeper)}
    for child in keeper.children():
        name = label(child)
        sizes[name] = sizes.get(name, 0.0) + pss(child) + sum(map(pss, child.children(recursive=True)))
    return sizes


def label(process: psutil.Process) -> str:
    """What the keeper calls this child."""
    argv = process.cmdline()
    for position, part in enumerate(argv):
        if part.endswith("manage.py"):
            return argv[position + 1]
    return process.name()


def pss(process: psutil.Process) -> float:
    """Proportional set size in megabytes; 0 for a process that has ended meanwhile."""
    try:
        return float(process.memory_full_info().pss) / MEGABYTE
    except psutil.NoSuchProcess:
        return 0.0
