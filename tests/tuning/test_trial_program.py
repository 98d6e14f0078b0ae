"""The program of a trial: it reports, prunes itself, and keeps a model only when it is worth it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from adapters.tracking.client import MemoryRunLog
from apps.experiments import algorithms
from apps.experiments.sandbox.steps import told_steps
from apps.experiments.sandbox.watching import Pruned
from apps.tuning.sandbox.trial import Watcher, run_trial
from foundation.tasks import Context, UserError
from tests.experiments.conftest import QUICK, mixed_table

LOG = logging.getLogger("test.trial")
SETTINGS = {
    "number": 9,
    "metric": "accuracy",
    "maximize": True,
    "pruner": "median",
    "steps": "iterations",
    "first": 2,
}


class Studio:
    """Answers reports: with peers of a certain value, and a best one."""

    def __init__(self, *, peers: float = 0.0, best: float | None = None) -> None:
        self.peers, self.best = peers, best
        self.told: list[tuple[int | None, float]] = []

    def __call__(self, step: int | None, value: float) -> dict[str, Any]:
        self.told.append((step, value))
        peers = [
            {"number": n, "state": "complete", "value": self.peers, "intermediate": {str(step): self.peers}}
            for n in range(6)
        ]
        return {"peers": peers if step else [], "best": self.best}


Run = Callable[..., tuple[dict[str, Any], MemoryRunLog]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """run(studio, algorithm="mlp", …): the program over a table; its answer and its log."""

    def go(
        studio: Any, *, trial: dict[str, Any] | None = None, **payload: Any
    ) -> tuple[dict[str, Any], MemoryRunLog]:
        folder = tmp_path / uuid4().hex
        folder.mkdir()
        mixed_table().to_parquet(folder / "part-0.parquet", index=False)
        algorithm = payload.setdefault("algorithm", "hist_gradient_boosting")
        payload.setdefault("parameters", QUICK.get(algorithm, {}))
        context = Context(
            payload={
                "run_id": "0" * 32,
                "seed": 1,
                "test_size": 0.25,
                "target": "y",
                "trial": SETTINGS | (trial or {}),
                **payload,
            },
            inputs={"part-0": folder / "part-0.parquet"},
            folder=folder,
            outputs=folder,
            log=LOG,
        )
        log = MemoryRunLog()
        return run_trial(context, log, studio), log

    return go


def test_the_steps_are_the_same_for_every_length() -> None:
    assert told_steps(400)[: len(told_steps(30))] == told_steps(30)
    assert len(told_steps(5000)) < 25
    assert told_steps(1) == []


@pytest.mark.parametrize("algorithm", ["hist_gradient_boosting", "lightgbm", "mlp", "random_forest"])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_fitting_in_steps_gives_the_same_model(algorithm: str, task: str) -> None:
    found = algorithms.every()[algorithm]
    if found.missing():
        pytest.skip(found.missing() or "")
    random = np.random.default_rng(0)
    x = random.normal(size=(160, 4))
    y = x[:, 0] * 300 + x[:, 1] if task == "regression" else np.where(x[:, 0] + x[:, 1] > 0, "yes", "no")
    parameters = {p.name: p.default for p in found.parameters_for(task)} | QUICK[algorithm]
    plain = found.build(task, parameters, 3).fit(x, y)
    stepped = found.build(task, parameters, 3)
    told: dict[int, Any] = {}
    found.fit_in_steps(stepped, x, y, lambda step, model: told.setdefault(step, model.predict(x)))
    if task == "regression":
        assert np.allclose(plain.predict(x), stepped.predict(x))
    else:
        assert np.allclose(plain.predict_proba(x), stepped.predict_proba(x))
    assert list(told)[:4] == [1, 2, 3, 5]
    assert all(len(prediction) == len(y) for prediction in told.values())
    error = (lambda p: np.mean((p - y) ** 2)) if task == "regression" else (lambda p: np.mean(p != y))
    assert error(told[max(told)]) <= error(told[1]), "it learned between its steps, in the target's own unit"


def test_the_hook_into_networks_is_gone_afterwards() -> None:
    from sklearn.neural_network._multilayer_perceptron import BaseMultilayerPerceptron

    before = BaseMultilayerPerceptron._update_no_improvement_count
    network = algorithms.every()["mlp"].build(
        "classification", {p.name: p.default for p in algorithms.every()["mlp"].parameters}, 1
    )

    def stop(step: int, model: Any) -> None:
        raise Pruned(step, "enough")

    with pytest.raises(Pruned):
        algorithms.every()["mlp"].fit_in_steps(network, np.zeros((40, 2)), np.arange(40) % 2, stop)
    assert BaseMultilayerPerceptron._update_no_improvement_count is before


def test_a_good_trial_reports_on_its_way_and_keeps_its_model(run: Run) -> None:
    studio = Studio(best=0.1)
    result, log = run(studio)
    assert [step for step, _ in studio.told] == [1, 2, 3, 5, 8, 12, 18, None]
    assert studio.told[-1][1] == result["metrics"]["accuracy"]
    assert result["model"] is not None
    assert "pruned" not in result
    assert [step for step, _ in log.logged_series["validation_accuracy"]] == [1, 2, 3, 5, 8, 12, 18]
    assert "figures/confusion_matrix.json" in log.artifacts


def test_a_trial_behind_the_best_keeps_metrics_but_no_model(run: Run) -> None:
    result, log = run(Studio(best=1.1))
    assert result["model"] is None
    assert result["metrics"]["accuracy"] > 0.3
    assert (log.models, log.artifacts) == ([], {})
    assert log.logged_metrics["accuracy"] == result["metrics"]["accuracy"]


def test_an_equal_trial_keeps_its_model_and_one_that_hears_nothing_too() -> None:
    assert Watcher(SETTINGS, Studio(best=0.5), LOG).keeps({"accuracy": 0.5})
    assert Watcher(SETTINGS, Studio(), LOG).keeps({"accuracy": 0.1})
    assert Watcher(SETTINGS, lambda step, value: None, LOG).keeps({"accuracy": 0.1})


def test_a_hopeless_trial_ends_itself(run: Run) -> None:
    studio = Studio(peers=2.0)
    result, log = run(studio)
    assert result["pruned"] == 2
    assert result["reason"].startswith("Pruned at step 2: Accuracy 0.")
    assert [step for step, _ in studio.told] == [1, 2]
    assert result["parameters"]["max_iter"] == 25
    assert result["model"] is None
    assert len(log.logged_series["validation_accuracy"]) == 2


def test_folds_are_steps_too(run: Run) -> None:
    folds = {"steps": "folds"}
    studio = Studio(best=1.1)
    result, _ = run(studio, algorithm="linear", folds=3, trial=folds)
    assert [step for step, _ in studio.told] == [1, 2, 3, None]
    assert studio.told[2][1] == pytest.approx(result["metrics"]["accuracy"])
    pruned, log = run(Studio(peers=2.0), algorithm="linear", folds=3, trial=folds)
    assert pruned["pruned"] == 2
    assert "fold 2" in pruned["reason"]
    assert log.models == []


def test_without_a_pruner_or_without_an_answer_nothing_is_pruned(run: Run) -> None:
    assert "pruned" not in run(Studio(peers=2.0, best=1.1), trial={"pruner": "none"})[0]
    deaf = Watcher(SETTINGS, lambda step, value: None, LOG)
    for step in (1, 2, 3):
        deaf.at(step, {"accuracy": 0.1})
    assert list(deaf.reported) == [1, 2, 3]


def test_an_objective_that_the_data_do_not_define_is_said(run: Run) -> None:
    with pytest.raises(UserError) as caught:
        run(Studio(), trial={"metric": "mape"})
    assert caught.value.code == "study.objective_missing"
    assert "Logged were: accuracy" in caught.value.message


def test_smaller_is_better_when_minimizing() -> None:
    watcher = Watcher(SETTINGS | {"metric": "log_loss", "maximize": False}, Studio(best=0.5, peers=0.4), LOG)
    assert watcher.keeps({"log_loss": 0.4})
    assert not watcher.keeps({"log_loss": 0.6})
    watcher.at(1, {"log_loss": 0.9})
    watcher.at(2, {})
    with pytest.raises(Pruned):
        watcher.at(3, {"log_loss": 0.9})
