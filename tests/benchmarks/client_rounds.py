"""Run as a process of its own: the stock MLflow client against two servers, in alternating rounds.

Argument: JSON {"servers": {name: {"uri", "token"}}, "rounds": n}. Prints JSON {name: {measure: [values]}}.
create_run and log_metric are calls a second, log_batch is metrics a second, search is milliseconds for 100 runs.
"""

import json
import os
import sys
import time
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric

RUNS, METRICS, BATCHES, BATCH, SEARCHES = 20, 40, 3, 1000, 5


def measure(client: MlflowClient, experiment: str) -> dict[str, float]:
    """Do one round and return its measures."""
    began = time.perf_counter()
    runs = [client.create_run(experiment, run_name=f"bench-{number}") for number in range(RUNS)]
    found = {"create_run": RUNS / (time.perf_counter() - began)}
    run = runs[0].info.run_id
    began = time.perf_counter()
    for step in range(METRICS):
        client.log_metric(run, "loss", 1 / (step + 1), step=step)
    found["log_metric"] = METRICS / (time.perf_counter() - began)
    began = time.perf_counter()
    for batch in range(BATCHES):
        moment = int(time.time() * 1000)
        values = [Metric(f"m{i % 10}", float(i), moment, batch * BATCH + i // 10) for i in range(BATCH)]
        client.log_batch(run, metrics=values)
    found["log_batch"] = BATCHES * BATCH / (time.perf_counter() - began)
    for other in runs[1:]:
        client.log_metric(other.info.run_id, "score", float(len(other.info.run_id)))
    began = time.perf_counter()
    for _ in range(SEARCHES):
        client.search_runs(
            [experiment], filter_string="metrics.score > 0", order_by=["metrics.score DESC"], max_results=100
        )
    found["search"] = (time.perf_counter() - began) / SEARCHES * 1000
    return found


def main(plan: dict[str, Any]) -> None:
    """Run all rounds, the first of which only warms up, and print what was measured."""
    clients: dict[str, tuple[MlflowClient, str, str]] = {}
    for name, server in plan["servers"].items():
        os.environ["MLFLOW_TRACKING_TOKEN"] = server["token"]
        client = MlflowClient(tracking_uri=server["uri"])
        clients[name] = (client, client.create_experiment(f"bench-{time.time_ns()}"), server["token"])
    found: dict[str, dict[str, list[float]]] = {name: {} for name in clients}
    for turn in range(plan["rounds"] + 1):
        for name, (client, experiment, token) in clients.items():
            os.environ["MLFLOW_TRACKING_TOKEN"] = token
            for measure_name, value in measure(client, experiment).items():
                if turn:
                    found[name].setdefault(measure_name, []).append(value)
    print(json.dumps(found))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
