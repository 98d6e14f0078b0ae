"""Builds the multi-layer perceptrons (sandbox only)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.neural_network._multilayer_perceptron import BaseMultilayerPerceptron
from sklearn.preprocessing import StandardScaler

from apps.experiments.sandbox.steps import told_steps

# scikit-learn clips a batch that is larger than the training rows and warns about it on every fit.
warnings.filterwarnings("ignore", message="Got `batch_size` less than 1 or larger than sample size")


def build(task: str, parameters: Mapping[str, Any], seed: int) -> Any:
    """MLPClassifier, or MLPRegressor on the scaled target, with `n_layers` equal hidden layers, unfitted."""
    shared: dict[str, Any] = {
        "hidden_layer_sizes": (parameters["units"],) * parameters["n_layers"],
        "activation": parameters["activation"],
        "alpha": parameters["alpha"],
        "batch_size": parameters["batch_size"],
        "learning_rate_init": parameters["learning_rate_init"],
        "max_iter": parameters["max_iter"],
        "early_stopping": parameters["early_stopping"],
        "random_state": seed,
    }
    if task == "classification":
        return MLPClassifier(**shared)
    # Gradient steps are blind to the target's unit: without scaling, large targets are never reached.
    return TransformedTargetRegressor(MLPRegressor(**shared), transformer=StandardScaler())


@dataclass(frozen=True)
class _Unfinished:
    """A network of the scaled target between two epochs."""

    network: Any
    mean: float
    deviation: float

    def predict(self, features: Any) -> Any:
        """Numbers (rows,) in the target's own unit."""
        return self.network.predict(features) * self.deviation + self.mean


def fit_in_steps(estimator: Any, features: Any, target: Any, tell: Callable[[int, Any], None]) -> None:
    """Tells after some epochs."""
    scaled = isinstance(estimator, TransformedTargetRegressor)
    mean, deviation = float(np.mean(target)) if scaled else 0.0, float(np.std(target)) if scaled else 1.0
    wanted = set(told_steps((estimator.regressor if scaled else estimator).max_iter))

    def told(network: Any) -> None:
        if network.n_iter_ in wanted:
            tell(network.n_iter_, _Unfinished(network, mean, deviation or 1.0) if scaled else network)

    with _after_each_epoch(told):
        estimator.fit(features, target)


@contextmanager
def _after_each_epoch(told: Callable[[Any], None]) -> Iterator[None]:
    """scikit-learn's networks have no callbacks yet (1.9), and partial_fit would neither stop by itself nor judge
    held-back rows. Every epoch ends with one call that counts those without progress: it is listened to, in this
    process, which trains nothing else."""
    original = BaseMultilayerPerceptron._update_no_improvement_count

    def listened(network: Any, *args: Any, **kwargs: Any) -> None:
        original(network, *args, **kwargs)
        told(network)

    BaseMultilayerPerceptron._update_no_improvement_count = listened
    try:
        yield
    finally:
        BaseMultilayerPerceptron._update_no_improvement_count = original


def curves(estimator: Any, features: Any, target: Any, task: str) -> dict[str, list[tuple[int, float]]]:
    """Training loss per epoch, and the held-back score where early stopping watched it."""
    network = getattr(estimator, "regressor_", estimator)
    series = {"train_loss": [(n, float(v)) for n, v in enumerate(network.loss_curve_, start=1)]}
    scores = getattr(network, "validation_scores_", None)
    if scores:
        series["validation_score"] = [(n, float(v)) for n, v in enumerate(scores, start=1)]
    return series
