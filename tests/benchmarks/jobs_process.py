"""`python -m tests.benchmarks.jobs_process worker|scheduler`: a process that also knows the benchmark's kinds."""

from __future__ import annotations

import functools
import importlib
import os
import sys
import time
from typing import Any

from foundation.tasks import Context, SandboxPlan

PROGRAM = "tests.benchmarks.jobs_process"


def noop(ctx: Context) -> dict[str, Any]:
    """Says when its first line was reached."""
    return {"at": time.time()}


def libraries(ctx: Context) -> dict[str, Any]:
    """Uses the number libraries with threads, as a training does."""
    at = time.time()
    import numpy as np
    import polars as pl
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5))
    y = (x[:, 0] > 0).astype(int)
    RandomForestClassifier(n_estimators=10, n_jobs=2, random_state=0).fit(x, y).predict(x)
    pl.DataFrame({"k": [1, 1, 2], "v": [1.0, 2.0, 3.0]}).group_by("k").agg(pl.col("v").sum())
    try:
        from lightgbm import LGBMClassifier
    except OSError:  # the system has no libgomp
        boosted = False
    else:
        LGBMClassifier(n_estimators=5, n_jobs=2, verbose=-1).fit(x, y)
        boosted = True
    return {"at": at, "trace": float((x.T @ x).trace()), "boosted": boosted}


class Sandboxed:
    """A program of this file."""

    function = "noop"

    def prepare(self, job: Any) -> SandboxPlan:
        """Nothing to prepare."""
        return SandboxPlan(program=f"{PROGRAM}:{self.function}", wall_seconds=120)


class Libraries(Sandboxed):
    """With thread pools."""

    function = "libraries"


class Platform:
    """Code of ours, in the worker."""

    def run(self, ctx: Any) -> dict[str, Any]:
        """Says when its first line was reached."""
        return {"at": time.time()}


def register() -> None:
    """Make the kinds known to this process."""
    from apps.jobs.handlers import handles

    handles("bench.sandbox", where="sandbox")(Sandboxed)
    handles("bench.libraries", where="sandbox")(Libraries)
    handles("bench.platform", where="platform")(Platform)


def main(name: str) -> None:
    """Be a worker or a scheduler as the studio's own, with these kinds, imported by the warm parent."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "atelier.settings"
    import django

    django.setup()

    from adapters.executors import local
    from runtime.config import load

    register()
    module = importlib.import_module(f"apps.jobs.{name}")
    if name == "worker":
        modules = [*local.DEFAULT_MODULES, PROGRAM]
        module.LocalExecutor = functools.partial(local.LocalExecutor, modules=modules)  # type: ignore[attr-defined]
    module.main(load())


if __name__ == "__main__":
    main(sys.argv[1])
