"""The two stories of the tour: tumours (the whole loop on real data) and a bank (drift with a known truth)."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from atelier.tour import churn, tables
from atelier.tour.client import Client, TourError, segment
from atelier.tour.loop import Loop

PROGRAMS = Path(__file__).parent / "programs"
TUMOUR_RUNS: list[tuple[str, str, dict[str, Any]]] = [
    ("logistic-regression", "linear", {}),
    ("forest", "random_forest", {"n_estimators": 150}),
    ("boosting", "hist_gradient_boosting", {"max_iter": 80, "max_leaf_nodes": 8, "min_samples_leaf": 10}),
]
CHURN_RUN = {
    "algorithm": "hist_gradient_boosting",
    "parameters": {
        "learning_rate": 0.06,
        "max_iter": 120,
        "max_leaf_nodes": 6,
        "min_samples_leaf": 60,
        "l2_regularization": 1.0,
    },
}


def tumours(loop: Loop, folder: Path) -> None:
    """Two dataset versions, three runs compared, two model versions, a promotion, a deployment, a monitor."""
    client = loop.client
    data = tables.write_tumours(folder)
    loop.dataset("tumours", data.versions)
    ids = [
        loop.start_run(
            name,
            experiment="tumours",
            dataset="tumours@2",
            target=tables.TARGET["tumours"],
            algorithm=algorithm,
            parameters=parameters,
        )
        for name, algorithm, parameters in TUMOUR_RUNS
    ]
    runs = [loop.finished_run(run_id, metric="accuracy") for run_id in ids]
    query = "&".join(f"run={run_id}" for run_id in ids)
    loop.say("The three runs side by side", client.page(f"experiments/compare?{query}"))
    first, best = sorted(runs, key=lambda run: float(run["metrics"]["accuracy"]))[-2:]
    versions = [loop.model_version("tumours", str(run["id"])) for run in (first, best)]
    loop.say(f"Model tumours with versions {versions[0]} and {versions[1]}", client.page("models/tumours"))
    loop.promote("tumours", versions[1])
    loop.start_deployment("tumours", "tumours@production")
    loop.ready_deployment("tumours")
    start, end = loop.predict("tumours", data.records, data.truth)
    report = loop.report(
        "tumours", deployment="tumours", baseline="tumours@2", window="1d", start=start, end=end
    )
    scored = [window["performance"] for window in report["windows"] if window["performance"]]
    if scored:
        loop.say(f"Accuracy on the live rows {scored[-1]['accuracy']:.3f}", client.page("monitors/tumours"))


def stock_client(loop: Loop, folder: Path) -> None:
    """Three more data sets, and a run that the stock MLflow client logs, as in somebody's own script."""
    client = loop.client
    files = tables.write_plain(folder)
    for name, file in files.items():
        loop.dataset(name, [file])
    ids = [
        loop.start_run(
            name,
            experiment=name,
            dataset=f"{name}@1",
            target=tables.TARGET[name],
            algorithm="linear",
            parameters={},
        )
        for name in ("iris", "wine")
    ]
    logged = loop.runs("digits")
    if not any(run["state"] == "succeeded" for run in logged):
        run_program(client, "log_a_run.py", str(files["digits"]), tables.TARGET["digits"])
        logged = loop.runs("digits")
    own = next((run for run in logged if run["state"] == "succeeded"), None)
    if own is None:
        raise TourError("The run that the stock MLflow client logged does not appear in the studio.")
    loop.say(
        f"Run {own['name']}, logged by the stock MLflow client", client.page(f"experiments/runs/{own['id']}/")
    )
    for run_id in ids:
        loop.finished_run(run_id, metric="accuracy")


def bank(loop: Loop, folder: Path) -> None:
    """Customers, a churn model in production, two weeks of events, and what the monitor sees in them."""
    import pyarrow.csv as csv

    client = loop.client
    story = churn.make_story()
    customers = folder / "customers.csv"
    csv.write_csv(story.customers, customers)
    loop.dataset("customers", [customers])
    run_id = loop.start_run(
        "churn", experiment="bank-churn", dataset="customers@1", target=churn.TARGET, **CHURN_RUN
    )
    loop.finished_run(run_id, metric="roc_auc")
    version = loop.model_version("churn", run_id)
    loop.promote("churn", version)
    loop.start_deployment("churn", "churn@production")
    events = folder / "events.parquet"
    if not loop.has_events("churn", events.name):
        _predict_events(client, story, version, events)
    loop.ready_deployment("churn")
    loop.events("churn", events)
    zone = ZoneInfo(churn.ZONE)
    start = datetime.datetime.combine(churn.FIRST_DAY, datetime.time(), zone)
    end = datetime.datetime.combine(
        churn.FIRST_DAY + datetime.timedelta(days=churn.DAYS), datetime.time(), zone
    )
    report = loop.report(
        "churn", deployment="churn", baseline="customers@1", window="1d", start=start, end=end
    )
    check_drift(loop, report)


def _predict_events(client: Client, story: churn.Story, version: int, target: Path) -> None:
    """Let the registered model predict the events, as it would have done then: through the stock MLflow client."""
    import pyarrow.parquet as pq

    plain = target.with_name("plain.parquet")
    pq.write_table(story.events, plain)
    run_program(client, "predict_events.py", f"models:/churn/{version}", str(plain), str(target))


def run_program(client: Client, name: str, *arguments: str) -> None:
    """Run a program as a user would, with MLflow's well-known variables set."""
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"{client.url}/p/{client.project}/mlflow",
        "MLFLOW_TRACKING_TOKEN": client.token,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, str(PROGRAMS / name), *arguments]
    with (
        tempfile.TemporaryDirectory() as scratch
    ):  # MLflow's client leaves the models there that it has loaded
        environment["TMPDIR"] = scratch
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = [line for line in done.stderr.strip().splitlines() if line.strip()][-1:]
        raise TourError(f"The program {name} failed: {' '.join(last) or f'exit status {done.returncode}'}")


def check_drift(loop: Loop, report: dict[str, Any]) -> None:
    """Hold the report against what is known: NumOfProducts leads on the 12th with an alert, and none fired before."""
    zone = ZoneInfo(churn.ZONE)
    by_day = {
        datetime.datetime.fromisoformat(window["start"]).astimezone(zone).date(): window
        for window in report["windows"]
    }
    shifted = by_day.get(churn.SHIFT_DAY)
    if shifted is None:
        raise TourError(f"The report has no window for {churn.SHIFT_DAY:%d %B %Y}.")
    early = [
        f"{alert['feature']} on {alert['start'][:10]}"
        for alert in loop.alerts("churn")
        if datetime.datetime.fromisoformat(alert["start"]).astimezone(zone).date() < churn.SHIFT_DAY
        and alert["state"] != "closed"
    ]
    leader = max(shifted["features"], key=lambda feature: feature["prediction_drift_impact"] or 0.0)
    if leader["name"] != churn.SHIFTED or not leader["drifted"]:
        raise TourError(
            f"On the 12th {leader['name']} leads and drifted is {json.dumps(leader['drifted'])}, but only "
            f"{churn.SHIFTED} shifts in the events."
        )
    if early:
        raise TourError(f"Alerts fired before the 12th, though nothing shifts there: {', '.join(early)}.")
    query = f"window={segment(shifted['start'])}&feature={churn.SHIFTED}"
    loop.say(
        f"Verified: on 12 April {churn.SHIFTED} leads ({leader['share']:.0%} of the prediction drift impact, "
        f"drift {leader['feature_drift']:.2f}) with an alert; none fired before",
        loop.client.page(f"monitors/churn?{query}"),
    )
