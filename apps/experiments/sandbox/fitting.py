"""Fits a pipeline on a hold-out split or by cross-validation and gathers everything judged afterwards."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone, is_classifier
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split
from sklearn.pipeline import Pipeline

from apps.experiments.sandbox.evaluation import classification_metrics, regression_metrics
from foundation.tasks import UserError

#: The training rows are scored on at most so many of them.
TRAIN_ROWS_SCORED = 20_000


@dataclass
class Fitted:
    """What fitting leaves behind.

    pipeline: the model to keep. frame, y, predicted, probabilities: the judged rows (held-out, or all of
    them out of fold) with the predictions that were made for them. train, y_train: the rows the kept
    pipeline learned from. metrics: of the judged rows. fold_metrics: name -> one value per fold.
    """

    pipeline: Pipeline
    frame: pd.DataFrame
    y: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray | None
    train: pd.DataFrame
    y_train: np.ndarray
    metrics: dict[str, float]
    train_metrics: dict[str, float]
    seconds: float
    fold_metrics: dict[str, list[float]] = field(default_factory=dict)

    @property
    def classes(self) -> np.ndarray:
        """The labels in the order of the probability columns; classification only."""
        found: np.ndarray = self.pipeline.classes_
        return found


def hold_out(
    pipeline: Pipeline,
    frame: pd.DataFrame,
    y: np.ndarray,
    *,
    task: str,
    test_size: float,
    seed: int,
    log: logging.Logger,
    in_steps: InSteps | None = None,
) -> Fitted:
    """Train on one part and judge on the other; classes are split in proportion (stratified).

    in_steps: fits the estimator and judges it on the held-out rows on the way.
    """
    train, test, y_train, y_test = train_test_split(
        frame,
        y,
        test_size=test_size,
        random_state=seed,
        stratify=y if task == "classification" else None,
    )
    begun = time.monotonic()
    grow = None if in_steps is None else _watched(in_steps, pipeline, test, y_test)
    _fit(pipeline, train, y_train, log, grow)
    seconds = time.monotonic() - begun
    use_threads(pipeline.named_steps["model"], 1)
    predicted, probabilities = _predict(pipeline, test, task)
    return Fitted(
        pipeline=pipeline,
        frame=test,
        y=y_test,
        predicted=predicted,
        probabilities=probabilities,
        train=train,
        y_train=y_train,
        metrics=_judge(y_test, predicted, probabilities, pipeline, task),
        train_metrics=_judge_train(pipeline, train, y_train, task, seed),
        seconds=seconds,
    )


def cross_validate(
    pipeline: Pipeline,
    frame: pd.DataFrame,
    y: np.ndarray,
    *,
    task: str,
    folds: int,
    seed: int,
    log: logging.Logger,
    progress: Callable[[int, Mapping[str, list[float]]], None],
) -> Fitted:
    """Judge every row out of fold, report the mean and deviation over the folds, keep a model of all rows.

    progress: told the number of folds that are done, with the metrics of each.
    """
    kind = StratifiedKFold if task == "classification" else KFold
    splitter = kind(folds, shuffle=True, random_state=seed)
    classes = np.unique(y) if task == "classification" else None
    predicted = np.empty(len(y), dtype=y.dtype if classes is not None else np.float64)
    probabilities = np.zeros((len(y), len(classes))) if classes is not None else None
    per_fold: dict[str, list[float]] = {}
    begun = time.monotonic()
    for number, (rows, held) in enumerate(splitter.split(frame, y), start=1):
        part = clone(pipeline)
        _fit(part, frame.iloc[rows], y[rows], log)
        predicted[held], shares = _predict(part, frame.iloc[held], task)
        if probabilities is not None and shares is not None:
            probabilities[held] = shares
        for name, value in _judge(y[held], predicted[held], shares, part, task).items():
            per_fold.setdefault(name, []).append(value)
        progress(number, per_fold)
    _fit(pipeline, frame, y, log)
    seconds = time.monotonic() - begun
    use_threads(pipeline.named_steps["model"], 1)
    complete = {name: values for name, values in per_fold.items() if len(values) == folds}
    metrics = {name: float(np.mean(values)) for name, values in complete.items()}
    metrics |= {f"{name}_std": float(np.std(values)) for name, values in complete.items()}
    return Fitted(
        pipeline=pipeline,
        frame=frame,
        y=y,
        predicted=predicted,
        probabilities=probabilities,
        train=frame,
        y_train=y,
        metrics=metrics,
        train_metrics=_judge_train(pipeline, frame, y, task, seed),
        seconds=seconds,
        fold_metrics=complete,
    )


Grow = Callable[[Any, Any, np.ndarray], None]


@dataclass(frozen=True)
class InSteps:
    """fit: Algorithm.fit_in_steps; tell: takes (step, metrics of the held-out rows)."""

    fit: Callable[[Any, Any, Any, Callable[[int, Any], None]], None]
    tell: Callable[[int, dict[str, float]], None]


def _watched(in_steps: InSteps, pipeline: Pipeline, test: pd.DataFrame, y: np.ndarray) -> Grow:
    """How to fit the pipeline's estimator on encoded rows, judging it on held-out ones between its steps."""

    def run(estimator: Any, encoded: Any, y_train: np.ndarray) -> None:
        held = pipeline[:-1].transform(test)

        def tell(step: int, model: Any) -> None:
            predicted = model.predict(held)
            if is_classifier(estimator):
                shares = model.predict_proba(held)
                in_steps.tell(step, classification_metrics(y, predicted, shares, model.classes_))
            else:
                in_steps.tell(step, regression_metrics(y, predicted))

        in_steps.fit(estimator, encoded, y_train, tell)

    return run


def _fit(
    pipeline: Pipeline, frame: pd.DataFrame, y: np.ndarray, log: logging.Logger, grow: Grow | None = None
) -> None:
    """Fit and pass each different warning of the libraries on to the reader's log, once."""
    _check_early_stopping(pipeline.named_steps["model"], y)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", message="Got `batch_size` less than 1 or larger")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=FutureWarning)
        if grow is None:
            pipeline.fit(frame, y)
        else:
            grow(pipeline.named_steps["model"], pipeline[:-1].fit_transform(frame, y), y)
    for text in dict.fromkeys(str(w.message).split("\n")[0] for w in caught):
        log.warning("%s", text)


def _check_early_stopping(model: Any, y: np.ndarray) -> None:
    """Early stopping holds back a tenth of the training rows, with some of every class among both parts.

    y: (training rows,). Raises UserError "target.too_few_rows", with the way out.
    """
    model = getattr(model, "regressor", model)  # the MLP of numbers scales its target around the network
    settings = model.get_params()
    if settings.get("early_stopping") is not True:
        return
    counts = np.unique(y, return_counts=True)[1] if is_classifier(model) else np.array([len(y)])
    held = int(np.ceil(len(y) * settings["validation_fraction"]))
    if held < max(2, len(counts)) or counts.min() < 2:
        raise UserError(
            f"Early stopping holds back a tenth of the {len(y)} training rows, which is too few to judge by"
            f"{' every class' if is_classifier(model) else ''}. Turn it off, or add rows.",
            code="target.too_few_rows",
            detail={"field": "parameters.early_stopping", "rows": len(y)},
        )


def use_threads(estimator: Any, threads: int) -> None:
    """Hold an estimator that runs in parallel to so many threads. One for every prediction: many small
    calls are slower when they fan out."""
    if estimator.get_params().get("n_jobs") is not None:
        estimator.set_params(n_jobs=threads)


def _predict(pipeline: Pipeline, frame: pd.DataFrame, task: str) -> tuple[np.ndarray, np.ndarray | None]:
    predicted = pipeline.predict(frame)
    if task == "classification" and hasattr(pipeline, "predict_proba"):
        return predicted, pipeline.predict_proba(frame)
    return predicted, None


def _judge(
    y: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray | None, pipeline: Pipeline, task: str
) -> dict[str, float]:
    if task == "classification":
        return classification_metrics(y, predicted, probabilities, pipeline.classes_)
    return regression_metrics(y, predicted)


def _judge_train(
    pipeline: Pipeline, frame: pd.DataFrame, y: np.ndarray, task: str, seed: int
) -> dict[str, float]:
    if len(frame) > TRAIN_ROWS_SCORED:
        rows = np.random.default_rng(seed).choice(len(frame), TRAIN_ROWS_SCORED, replace=False)
        frame, y = frame.iloc[rows], y[rows]
    predicted, probabilities = _predict(pipeline, frame, task)
    kept = ("accuracy", "f1_macro", "roc_auc", "log_loss", "rmse", "mae", "r2")
    judged = _judge(y, predicted, probabilities, pipeline, task)
    return {f"train_{name}": judged[name] for name in kept if name in judged}
