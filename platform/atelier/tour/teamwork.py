"""The tour's studio stories: a study with pruning, a pipeline from check to registered model, a second member."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from atelier.tour import tables
from atelier.tour.client import TourError, segment
from atelier.tour.loop import Loop

TRIALS = 20
PATIENCE = 600.0  # a study shares two slots with everything else
STUDY = "digits-network"
PIPELINE = "cells"
COLLEAGUE = "tour-guest"
LIVE = {"queued", "running", "stopping"}


def study(loop: Loop, folder: Path) -> None:
    """Twenty trials of a neural network on the digits; most learning rates are hopeless and are pruned."""
    client = loop.client
    path = f"studies/{STUDY}"
    loop.await_version("digits", 1)
    found = client.find(path)
    if found is None:
        body = {
            "name": STUDY,
            "description": "How deep, how wide and how fast should a network of handwritten digits learn?",
            "experiment": "digits",
            "dataset": "digits@1",
            "target": tables.TARGET["digits"],
            "algorithm": "mlp",
            "parameters": {"max_iter": 40, "early_stopping": False},
            "search_space": {
                "learning_rate_init": {"type": "float", "low": 1e-5, "high": 0.3, "log": True},
                "n_layers": {"type": "int", "low": 1, "high": 3},
                "units": {"type": "int", "low": 8, "high": 96},
                "activation": {"type": "categorical", "choices": ["relu", "tanh"]},
            },
            "n_trials": TRIALS,
            "parallelism": 2,
            "seed": 7,
        }
        found = client.post("studies", body)
    elif found["state"] in ("stopped", "failed"):
        found = client.post(f"{path}/resume", {})
    found = client.wait(
        f"The study {STUDY}",
        lambda: client.get(path),
        lambda made: made["state"] not in LIVE,
        patience=PATIENCE,
    )
    if found["state"] != "completed" or not found["best_trial"]:
        raise TourError(f"The study {STUDY} {found['state']}: {found['reason'] or 'no trial was complete'}")
    best = found["best_trial"]
    metric = found["objectives"][0]["metric"]
    loop.say(
        f"Study {STUDY}: {found['n_complete'] + found['n_pruned'] + found['n_failed']} trials, "
        f"{found['n_pruned']} pruned; the best is number {best['number']} with {metric} {best['value']:.3f}",
        client.page(path),
    )


def pipeline(loop: Loop, folder: Path) -> None:
    """Check the dataset, train two algorithms, judge one on the rows of version 1, register it if it is good."""
    client = loop.client
    path = f"pipelines/{PIPELINE}"
    loop.await_version("tumours", 2)
    if client.find(path) is None:
        client.post("pipelines", definition())
    known = [
        run for run in client.listed(f"{path}/runs") if run["state"] in ("succeeded", "running", "queued")
    ]
    number = (known[0] if known else client.post(f"{path}/runs", {}))["number"]
    run = client.wait(
        f"The pipeline {PIPELINE}",
        lambda: client.get(f"{path}/runs/{number}"),
        lambda made: made["state"] in ("succeeded", "failed", "cancelled"),
        patience=PATIENCE,
    )
    if run["state"] != "succeeded":
        raise TourError(f"The pipeline {PIPELINE} {run['state']}: {run['reason'] or 'no reason given'}")
    nodes = ", ".join(node["name"] for node in run["nodes"] if node["state"] in ("succeeded", "reused"))
    loop.say(f"Pipeline {PIPELINE}, run {number}: {nodes}", client.page(f"{path}/runs/{number}"))


def definition() -> dict[str, Any]:
    """The pipeline as POST /pipelines takes it."""
    training = {"dataset": "${check.dataset}", "target": tables.TARGET["tumours"]}
    return {
        "name": PIPELINE,
        "description": "Trains on the newest cells, and registers the forest when it is good enough.",
        "parameters": {
            "dataset": {"type": "dataset", "default": "tumours", "description": "What to learn from."},
            "least": {"type": "number", "default": 0.9, "description": "The macro F1 that is good enough."},
        },
        "nodes": [
            {
                "name": "check",
                "kind": "dataset_check",
                "with": {"dataset": "${parameters.dataset}", "rows_at_least": 300, "missing_at_most": 0.1},
            },
            {"name": "forest", "kind": "run", "with": {**training, "algorithm": "random_forest"}},
            {"name": "linear", "kind": "run", "with": {**training, "algorithm": "linear"}},
            {
                "name": "judge",
                "kind": "evaluate",
                "with": {"run": "${forest.run}", "dataset": "${check.dataset}"},
            },
            {
                "name": "good-enough",
                "kind": "condition",
                "needs": ["linear"],
                "with": {
                    "left": "${judge.metrics.f1_macro}",
                    "operator": ">=",
                    "right": "${parameters.least}",
                },
            },
            {
                "name": "register",
                "kind": "register",
                "needs": ["good-enough"],
                "with": {"model": "cells", "run": "${forest.run}"},
            },
        ],
    }


def colleague(loop: Loop, folder: Path) -> None:
    """A second member who may look at everything of this project and change nothing."""
    client = loop.client
    team = client.get(f"/api/v1/projects/{client.project}")["team"]
    members = f"/api/v1/teams/{segment(team)}/members"
    if client.find(f"{members}/{COLLEAGUE}") is None:
        client.post(
            members,
            {
                "username": COLLEAGUE,
                "name": "Tour's guest",
                "role": "member",
                "projects": {client.project: "viewer"},
                "new_account": True,
            },
        )
    # the one-time password is not kept: a team's owner gives a new one on the page when somebody wants to sign in
    loop.say(
        f"Member {COLLEAGUE}, a viewer: sees everything, changes nothing",
        f"{client.url}/teams/{segment(team)}/members",
    )
