"""Trials through a study: proposed, written with run and job, claimed, told; beside Optuna's RDBStorage in the same run.

    python3 manage.py bench study [--trials 200]

makes a throw-away PostgreSQL with MLflow's tables. Ours is the coordinator and the fenced end of the job, everything
durable; the peer is Optuna's ask and tell on its own database in the same server. Both propose by TPE over the same
space, one after the other in one process. A last line tells what a proposal costs with 1,000 trials behind it.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

GOAL_RATIO = 1.0
GOAL_MS = 100.0
SPACE = {
    "learning_rate": {"low": 0.01, "high": 0.3, "log": True},
    "max_iter": {"low": 50, "high": 400, "log": True},
    "max_leaf_nodes": {"low": 7, "high": 127, "log": True},
    "l2_regularization": {"low": 1e-6, "high": 10.0, "log": True},
}
RESULT: dict[str, Any] = {
    "task": "classification", "parameters": {}, "primary_metric": "accuracy", "features": {}, "rows": {},
    "figures": [], "environment": {}, "model": None,
}  # fmt: skip


def main(argv: list[str]) -> int:
    """Print both rates, their ratio and the cost of a late proposal; slow is no failure: this is a measurement."""
    parser = argparse.ArgumentParser(prog="bench study", description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    options = parser.parse_args(argv)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "platform"))
    import django

    from tests.settings import TEST_HOME

    django.setup()
    from runtime.testing import Cluster

    cluster = Cluster(TEST_HOME)
    cluster.start()
    try:
        cluster.begin_mlflow()
        cluster.finish_mlflow()
        ours = atelier(options.trials)
        peer = optuna_rdb(options.trials, cluster.superuser_url("postgres"))
    finally:
        cluster.stop()
    print(f"Optuna RDBStorage  {peer:8.1f} trials/s")
    print(f"Atelier            {ours:8.1f} trials/s, each with a run, a job and its lineage")
    print(f"ratio {ours / peer:.2f}, goal {GOAL_RATIO:.1f}")
    late = proposal()
    print(f"a proposal at 1,000 trials: {late:.0f} ms, goal {GOAL_MS:.0f} ms: ratio {late / GOAL_MS:.2f}")
    return 0


def goodness(parameters: Any) -> float:
    """Something to learn."""
    return float(1 - abs(parameters["learning_rate"] - 0.1) - parameters["max_leaf_nodes"] / 1000)


def atelier(count: int) -> float:
    """Trials a second through the coordinator and the end of their jobs."""
    from django.core.management import call_command

    from adapters.storage import reset_store
    from adapters.storage.local import LocalStore
    from apps.jobs import attempts
    from apps.jobs.attempts import Ending
    from apps.tuning.actions import create_study
    from apps.tuning.coordinator import advance
    from apps.tuning.spec import parse_study
    from tests.experiments.conftest import build_version
    from tests.support.people import make_people

    call_command("migrate", verbosity=0)
    people = make_people()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = LocalStore(folder / "store")
        reset_store(store)
        build_version(people, store, folder, "churn")
        actor = people.actor("contributor")
        body = {
            "name": "bench", "dataset": "churn", "target": "y", "algorithm": "hist_gradient_boosting",
            "search_space": SPACE, "n_trials": count + 1, "parallelism": 1, "sampler": "tpe", "pruner": "none",
        }  # fmt: skip
        spec = parse_study(body, actor=actor, project=people.project)
        study = create_study(actor=actor, project=people.project, spec=spec)
        began = 0.0
        for number in range(count + 1):
            advance(study.pk)
            trial = study.trials.select_related("run__job").get(number=number)
            job = attempts.claim(job_id=trial.run.job_id, worker="bench", tier=9, lease_seconds=60)
            assert job is not None
            attempts.mark_running(job_id=job.pk, fence=job.fence)
            result = RESULT | {"metrics": {"accuracy": goodness(trial.parameters)}}
            attempts.finish(job_id=job.pk, fence=job.fence, ending=Ending("succeeded", result=result))
            began = began or time.perf_counter()  # the first one imports Optuna
        return count / (time.perf_counter() - began)


def optuna_rdb(count: int, url: str) -> float:
    """Trials a second through Optuna's own ask and tell."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.RDBStorage(url.replace("postgresql://", "postgresql+psycopg://", 1))
    study = optuna.create_study(
        storage=storage, direction="maximize", sampler=optuna.samplers.TPESampler(seed=1)
    )
    began = 0.0
    for _ in range(count + 1):
        trial = study.ask()
        chosen = {
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
            "max_iter": trial.suggest_int("max_iter", 50, 400, log=True),
            "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 7, 127, log=True),
            "l2_regularization": trial.suggest_float("l2_regularization", 1e-6, 10.0, log=True),
        }
        study.tell(trial, goodness(chosen))
        began = began or time.perf_counter()
    return count / (time.perf_counter() - began)


def proposal() -> float:
    """Milliseconds of a proposal with 1,000 trials behind it."""
    from adapters.search import Seen, get_search
    from apps.experiments import algorithms
    from apps.tuning.space import parse_space

    dice = random.Random(1)
    space = parse_space(algorithms.get("hist_gradient_boosting"), SPACE)
    history = [
        Seen(n, "complete", {d.name: _draw(dice, d) for d in space}, dice.random()) for n in range(1000)
    ]
    times = []
    for number in range(1000, 1010):
        began = time.perf_counter()
        get_search().propose(space, maximize=True, sampler="tpe", seed=1, number=number, history=history)
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def _draw(dice: random.Random, dimension: Any) -> float | int:
    value = dice.uniform(dimension.low, dimension.high)
    return round(value) if dimension.type == "int" else value
