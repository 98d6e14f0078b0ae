"""The metrics that built-in algorithms log: their titles, and which direction is better.

Pure data: web, sandbox and the registry's promotion check all read it. Names of cross-validated
deviations end in `_std`, those of the training rows begin with `train_`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One metric. direction: "max" when larger is better, "min" when smaller is, "none" when neither."""

    name: str
    title: str
    direction: Literal["max", "min", "none"]
    task: str
    help: str


_ALL = (
    Metric("accuracy", "Accuracy", "max", "classification", "Share of rows predicted correctly."),
    Metric(
        "balanced_accuracy", "Balanced accuracy", "max", "classification", "Mean of the recall of each class."
    ),
    Metric("f1_macro", "F1 (macro)", "max", "classification", "Mean of the F1 of each class."),
    Metric("precision_macro", "Precision (macro)", "max", "classification", "Mean precision of the classes."),
    Metric("recall_macro", "Recall (macro)", "max", "classification", "Mean recall of the classes."),
    Metric("f1", "F1", "max", "classification", "F1 of the positive class; two classes only."),
    Metric("precision", "Precision", "max", "classification", "Precision of the positive class."),
    Metric("recall", "Recall", "max", "classification", "Recall of the positive class."),
    Metric(
        "roc_auc",
        "ROC AUC",
        "max",
        "classification",
        "Chance that a positive row ranks above a negative one; one-vs-rest mean for more classes.",
    ),
    Metric(
        "average_precision", "Average precision", "max", "classification", "Area under precision and recall."
    ),
    Metric("log_loss", "Log loss", "min", "classification", "Mean negative log of the true class's share."),
    Metric("brier", "Brier score", "min", "classification", "Mean squared error of the probabilities."),
    Metric("r2", "R²", "max", "regression", "Share of the variance that is explained."),
    Metric("rmse", "RMSE", "min", "regression", "Root mean squared error, in the target's unit."),
    Metric("mae", "MAE", "min", "regression", "Mean absolute error, in the target's unit."),
    Metric("median_ae", "Median error", "min", "regression", "Median absolute error, in the target's unit."),
    Metric(
        "max_error", "Largest error", "min", "regression", "Largest absolute error, in the target's unit."
    ),
    Metric("mape", "MAPE", "min", "regression", "Mean absolute error as a share of the true value."),
    Metric("explained_variance", "Explained variance", "max", "regression", "R² without the mean's error."),
)
METRICS: dict[str, Metric] = {m.name: m for m in _ALL}

#: The metrics that tables and comparisons show first.
TELLING = ("accuracy", "f1_macro", "roc_auc", "log_loss", "rmse", "mae", "r2")
_OTHER_TITLES = {
    "fit_seconds": "Training time (s)",
    "train_loss": "Training loss",
    "validation_loss": "Validation loss",
    "validation_score": "Validation score",
}

#: The metric that ranks runs of a task when nobody chose another.
PRIMARY = {"classification": "accuracy", "regression": "rmse"}


def base_name(name: str) -> str:
    """The metric behind a logged name: `train_rmse` and `fold_rmse` are about `rmse`."""
    for prefix in ("train_", "fold_", "validation_", "val_", "test_", "eval_"):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def direction(name: str) -> str:
    """Whether "max", "min" or "none" is better for a logged metric, foreign ones by their usual names."""
    base = base_name(name)
    if base.endswith(("_std", "_seconds")):
        return "none"
    if base in METRICS:
        return METRICS[base].direction
    words = set(base.lower().replace("-", "_").replace(".", "_").split("_"))
    if words & {"loss", "error", "rmse", "mse", "mae", "mape", "perplexity", "logloss"}:
        return "min"
    if words & {"accuracy", "acc", "auc", "f1", "precision", "recall", "r2", "score"}:
        return "max"
    return "none"


def title(name: str) -> str:
    """The metric's title for a table header; foreign metrics keep their own name."""
    if name in METRICS:
        return METRICS[name].title
    if name in _OTHER_TITLES:
        return _OTHER_TITLES[name]
    for prefix, words in (
        ("train_", "training rows"),
        ("fold_", "per fold"),
        ("validation_", "on the way"),
    ):
        if name.startswith(prefix) and name.removeprefix(prefix) in METRICS:
            return f"{METRICS[name.removeprefix(prefix)].title}, {words}"
    if name.endswith("_std") and name.removesuffix("_std") in METRICS:
        return f"{METRICS[name.removesuffix('_std')].title}, deviation"
    return name
