"""Builds the multi-layer perceptrons (sandbox only)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from sklearn.compose import TransformedTargetRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

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


def curves(estimator: Any, features: Any, target: Any, task: str) -> dict[str, list[tuple[int, float]]]:
    """Training loss per epoch, and the held-back score where early stopping watched it."""
    network = getattr(estimator, "regressor_", estimator)
    series = {"train_loss": [(n, float(v)) for n, v in enumerate(network.loss_curve_, start=1)]}
    scores = getattr(network, "validation_scores_", None)
    if scores:
        series["validation_score"] = [(n, float(v)) for n, v in enumerate(scores, start=1)]
    return series
