"""The warm parent: a small single-threaded process that has only imported the libraries programs use.

On each request it forks a nanny, which forks the child: user code is reached in milliseconds instead of the
seconds that the imports take. It never starts a thread pool, never touches user data, and ends when its
worker does. Orphans of a nanny that died are killed here.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import NoReturn

from adapters.executors import proctree
from adapters.executors.child import find_thread_pools
from adapters.executors.confine import become_subreaper, hide_process
from adapters.executors.hugepages import gather_pages
from adapters.executors.nanny import serve

# Submodules that first use would import anyway: importing them here saves it in every child.
DEFAULT_MODULES = (
    "numpy",
    "pandas",
    "polars",
    "pyarrow.parquet",
    "pyarrow.compute",
    "fastexcel",
    "threadpoolctl",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.neural_network",
    "sklearn.compose",
    "sklearn.pipeline",
    "sklearn.model_selection",
    "sklearn.inspection",
    "sklearn.metrics",
    "mlflow",
    "mlflow.pyfunc",
    "mlflow.sklearn",
    "lightgbm",
    "optuna",
)


#: After so many starts, and when nobody waits.
REGATHER = 50


def import_all(modules: list[str]) -> tuple[list[str], dict[str, str]]:
    """Import what can be imported. Returns the names, and name -> reason for the others."""
    done: list[str] = []
    missing: dict[str, str] = {}
    for name in modules:
        try:
            importlib.import_module(name)
            done.append(name)
        except Exception as error:  # a library that cannot load (libgomp) must not take the others along
            missing[name] = f"{type(error).__name__}: {error}"[:300]
    return done, missing


def thread_names() -> list[str]:
    """Names of this process's threads beside the main one, as the kernel sees them; [] where it does not
    tell. Expected: polars' sleeping cleaner of spill files ("polars-ooc-clea"), which a fork survives."""
    names: list[str] = []
    try:
        for task in os.listdir("/proc/self/task"):
            if int(task) != os.getpid():
                names.append(Path(f"/proc/self/task/{task}/comm").read_text().strip())
    except OSError:
        return names
    return sorted(names)


def _kill_orphans(nannies: set[int]) -> None:
    """Children of ours that are no nannies were left behind by a nanny that died."""
    strangers = [pid for pid in proctree._children(os.getpid()) if pid not in nannies]
    for pid in strangers:
        for victim in [pid, *proctree.descendants(pid)]:
            proctree._signal(victim, signal.SIGKILL)


def run(control: socket.socket, modules: list[str]) -> NoReturn:
    """Import, report ready, then fork on request until the worker's end of `control` is closed."""
    began = time.monotonic()
    become_subreaper()
    hide_process()
    done, missing = import_all(modules)
    find_thread_pools()
    gc.collect()
    gc.freeze()
    gather_pages()
    ready = {
        "modules": done,
        "missing": missing,
        "threads": thread_names(),
        "seconds": round(time.monotonic() - began, 2),
    }
    control.sendall(json.dumps({"ready": ready}).encode() + b"\n")
    nannies: set[int] = set()
    forks = 0
    while True:
        readable, _, _ = select.select([control], [], [], 1.0)
        ended = proctree.reap()
        if ended:
            nannies -= set(ended)
            _kill_orphans(nannies)
        if not readable:
            if forks >= REGATHER:  # each fork leaves some of our large pages in pieces
                forks = 0
                gather_pages(seconds=0.5)
            continue
        try:
            data, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        except OSError:
            data, descriptors = b"", []
        if not data:
            os._exit(0)
        for descriptor in descriptors:
            pid = os.fork()
            if pid == 0:
                control.close()
                serve(socket.socket(fileno=descriptor), warm=True)
            nannies.add(pid)
            forks += 1
            os.close(descriptor)


def main() -> NoReturn:
    """Arguments: the descriptor of the control socket, then the modules to import."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    run(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
