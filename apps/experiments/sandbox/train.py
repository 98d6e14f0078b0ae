"""The program that trains a built-in algorithm: read, check, fit, judge, draw, keep.

Payload: run_id, target, task (or null), algorithm, parameters, seed, test_size, folds (or null), features
(or null). Inputs: the Parquet parts of the dataset version, in the order of their names. The answer is
what the run's row keeps: task, parameters, metrics, primary_metric, model, features, rows, environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from adapters.tracking.client import Column, ModelFile, RunLog, run_log
from apps.experiments import algorithms, charts
from apps.experiments.algorithms.schema import Algorithm
from apps.experiments.metric_catalogue import PRIMARY
from apps.experiments.sandbox import columns as columns_module
from apps.experiments.sandbox import environment, evaluation, fitting, importance
from apps.experiments.sandbox.frames import read_table, to_frame
from apps.experiments.sandbox.preprocessing import FeaturePlan, build_pipeline, plan_features
from apps.experiments.sandbox.target import check_rows, detect_task, labels, usable_rows
from apps.experiments.sandbox.watching import Pruned, Watch
from foundation.errors import Invalid
from foundation.tasks import Context, UserError

STAGES = 6
HELD_OUT_ROWS = 5000
EXAMPLE_ROWS = 5
#: A learning process is drawn from at most so many judged rows: each point costs a prediction.
CURVE_ROWS = 3000
#: On smaller tables OpenMP's threads cost more than they bring, above all when others work beside them.
CELLS_WORTH_THREADS = 500_000


@dataclass(frozen=True)
class Job:
    """The payload, checked once more: the child trusts nobody's JSON."""

    target: str
    task: str | None
    algorithm: Algorithm
    given: dict[str, Any]
    seed: int
    test_size: float
    folds: int | None
    features: list[str] | None


def main(ctx: Context) -> dict[str, Any]:
    """Train and log to the run named in the payload, through the stock MLflow client."""
    return train(ctx, run_log(str(ctx.payload["run_id"])))


def train(ctx: Context, log: RunLog, watch: Watch | None = None) -> dict[str, Any]:
    """Train and log to `log`. Raises UserError where the data or the settings do not allow it.

    watch: looks on, and decides whether the training goes on and its model is kept.
    """
    job = _read_payload(ctx.payload)
    np.random.seed(job.seed % 2**32)

    ctx.progress(0, STAGES, "Reading the dataset")
    table = read_table([ctx.inputs[name] for name in sorted(ctx.inputs)])
    whole = to_frame(table)
    ctx.log.info("Read %s rows and %s columns.", f"{len(whole):,}", len(whole.columns))
    frame, y, task, plan = _prepare(ctx, job, whole)
    threads = 1 if frame.size < CELLS_WORTH_THREADS else environment.fair_share()
    with threadpool_limits(limits=threads):
        return _train_on(ctx, job, log, whole, frame, y, task, plan, threads, watch)


def _train_on(
    ctx: Context,
    job: Job,
    log: RunLog,
    whole: pd.DataFrame,
    frame: pd.DataFrame,
    y: np.ndarray,
    task: str,
    plan: FeaturePlan,
    threads: int,
    watch: Watch | None,
) -> dict[str, Any]:
    parameters = _clean(job.algorithm, job.given, task)
    log.parameters(_logged_parameters(job, task, parameters))
    estimator = job.algorithm.build(task, parameters, job.seed)
    fitting.use_threads(estimator, threads)
    pipeline = build_pipeline(plan.kinds, estimator, scales=job.algorithm.scales, seed=job.seed)

    ctx.progress(1, STAGES, f"Training {job.algorithm.title}")
    primary = PRIMARY[task]
    answer: dict[str, Any] = {
        "task": task,
        "parameters": parameters,
        "primary_metric": primary,
        "features": {"kinds": plan.kinds, "left_out": plan.left_out},
        "rows": {"all": len(whole), "used": len(frame)},
        "figures": [],
        "environment": {},
        "model": None,
    }
    try:
        fitted = _fit(ctx, job, pipeline, frame, y, task, watch)
    except Pruned as end:
        ctx.log.info("%s", end.reason)
        return answer | {"pruned": end.step, "reason": end.reason, "metrics": {}}
    if primary not in fitted.metrics:
        raise UserError(
            f"The model's predictions are not finite numbers, so {job.algorithm.title} has diverged. "
            "Try a smaller learning rate or more regularisation.",
            code="run.diverged",
        )
    log.metrics(fitted.metrics | fitted.train_metrics | {"fit_seconds": round(fitted.seconds, 4)})
    log.series(
        {f"fold_{name}": list(enumerate(values, start=1)) for name, values in fitted.fold_metrics.items()}
    )
    ctx.log.info("Trained on %s rows in %.2f s.", f"{len(fitted.train):,}", fitted.seconds)
    ctx.log.info("%s %.4f on %s judged rows.", primary, fitted.metrics[primary], f"{len(fitted.y):,}")

    answer["metrics"] = fitted.metrics | fitted.train_metrics
    answer["rows"] |= {"train": len(fitted.train), "judged": len(fitted.y)}
    if watch is not None and not watch.keeps(fitted.metrics):
        ctx.progress(STAGES, STAGES, "Done, without keeping the model")
        return answer

    ctx.progress(3, STAGES, "Drawing curves and figures")
    with threadpool_limits(limits=1):  # many small predictions from here on
        _log_curves(job, fitted, task, log)
        figures = _log_figures(ctx, job, fitted, task, log)

    ctx.progress(5, STAGES, "Keeping the model")
    surroundings = environment.describe()
    log.json("environment.json", surroundings)
    _log_held_out(ctx, fitted, task, log)
    model = _log_model(job, plan, frame, fitted, task, surroundings, log)
    log.tags(_tags(job, task, fitted, surroundings))
    ctx.log.info("Kept the model as %s.", model["uri"])
    ctx.progress(STAGES, STAGES, "Done")
    return answer | {"model": model, "figures": figures, "environment": surroundings}


def _read_payload(payload: dict[str, Any]) -> Job:
    try:
        algorithm = algorithms.get(payload["algorithm"])
    except Invalid as error:
        raise UserError(error.message, code=error.code, detail=error.detail) from error
    return Job(
        target=str(payload["target"]),
        task=payload.get("task") or None,
        algorithm=algorithm,
        given=payload.get("parameters") or {},
        seed=int(payload.get("seed", 0)),
        test_size=float(payload.get("test_size") or 0.2),
        folds=int(payload["folds"]) if payload.get("folds") else None,
        features=payload.get("features") or None,
    )


def _prepare(
    ctx: Context, job: Job, whole: pd.DataFrame
) -> tuple[pd.DataFrame, np.ndarray, str, FeaturePlan]:
    known = usable_rows(whole, job.target)
    if len(known) < len(whole):
        ctx.log.warning("%s rows without a target are left out.", f"{len(whole) - len(known):,}")
    task = detect_task(known[job.target], job.task, rows_per_class=job.folds or 2)
    if task not in job.algorithm.tasks:
        raise UserError(
            f"{job.algorithm.title} does not do {task}.",
            code="algorithm.wrong_task",
            detail={"field": "algorithm"},
        )
    y = labels(known[job.target], task)
    check_rows(y, task=task, target=job.target, test_size=job.test_size, folds=job.folds)
    plan = plan_features(known, job.target, job.features)
    for name, why in plan.left_out.items():
        if job.features is None or name in job.features:
            ctx.log.info("Column '%s' is not used: %s.", name, why)
    ctx.log.info("Task: %s of '%s' from %s columns.", task, job.target, len(plan.kinds))
    return known[list(plan.kinds)], y, task, plan


def _clean(algorithm: Algorithm, given: dict[str, Any], task: str) -> dict[str, Any]:
    try:
        return dict(algorithm.clean(given, task))
    except Invalid as error:
        raise UserError(error.message, code=error.code, detail=error.detail) from error


def _logged_parameters(job: Job, task: str, parameters: dict[str, Any]) -> dict[str, object]:
    split = {"folds": job.folds} if job.folds else {"test_size": job.test_size}
    return {
        "algorithm": job.algorithm.name,
        "target": job.target,
        "task": task,
        "seed": job.seed,
        **split,
        **parameters,
    }


def _fit(
    ctx: Context,
    job: Job,
    pipeline: Any,
    frame: pd.DataFrame,
    y: np.ndarray,
    task: str,
    watch: Watch | None,
) -> fitting.Fitted:
    if job.folds:
        folds = job.folds

        def fold_done(number: int, values: Mapping[str, list[float]]) -> None:
            ctx.progress(1 + 2 * number / (folds + 1), STAGES, f"Fold {number} of {folds}")
            if watch is not None and watch.steps == "folds":
                watch.at(number, {n: float(np.mean(v)) for n, v in values.items() if len(v) == number})

        return fitting.cross_validate(
            pipeline,
            frame,
            y,
            task=task,
            folds=folds,
            seed=job.seed,
            log=ctx.log,
            progress=fold_done,
        )
    in_steps = None
    if watch is not None and watch.steps == "iterations" and job.algorithm.iterations:
        in_steps = fitting.InSteps(job.algorithm.fit_in_steps, watch.at)
    return fitting.hold_out(
        pipeline,
        frame,
        y,
        task=task,
        test_size=job.test_size,
        seed=job.seed,
        log=ctx.log,
        in_steps=in_steps,
    )


def _log_curves(job: Job, fitted: fitting.Fitted, task: str, log: RunLog) -> None:
    rows = slice(0, CURVE_ROWS)  # the judged rows are in random order already
    encoded = fitted.pipeline[:-1].transform(fitted.frame.iloc[rows])
    model = fitted.pipeline.named_steps["model"]
    # After cross-validation the kept model has seen every row: a held-out loss would be an illusion.
    found = job.algorithm.curves(model, encoded, fitted.y[rows], task)
    if job.folds:
        found = {name: curve for name, curve in found.items() if not name.startswith("validation_loss")}
    log.series(found)


def _log_figures(ctx: Context, job: Job, fitted: fitting.Fitted, task: str, log: RunLog) -> list[str]:
    figures: dict[str, dict[str, Any]] = {}
    if task == "classification":
        classes, shares = fitted.classes, fitted.probabilities
        if len(classes) <= 50:
            figures["confusion_matrix"] = charts.confusion_matrix(
                evaluation.confusion(fitted.y, fitted.predicted, classes)
            )
        if shares is not None:
            figures["roc_curve"] = charts.roc(evaluation.roc_curves(fitted.y, shares, classes))
            figures["precision_recall"] = charts.precision_recall(
                evaluation.precision_recall_curves(fitted.y, shares, classes)
            )
            if calibration := evaluation.calibration(fitted.y, shares, classes):
                figures["calibration"] = charts.calibration(calibration)
    else:
        data = evaluation.residuals(fitted.y, fitted.predicted, job.seed)
        figures["predicted_vs_true"] = charts.predicted_vs_true(data)
        figures["residuals"] = charts.residuals(data)
    ctx.progress(4, STAGES, "Measuring which columns matter")
    found = importance.permutation_importance(
        fitted.pipeline, fitted.frame, fitted.y, task=task, seed=job.seed
    )
    log.json("importance.json", found)
    ctx.log.info("Most important: %s.", ", ".join(f["name"] for f in found["features"][:3]))
    figures["permutation_importance"] = charts.permutation_importance(found)
    if not job.folds and fitted.seconds < 5:
        points = importance.learning_curve(
            fitted.pipeline,
            fitted.train,
            fitted.y_train,
            fitted.frame,
            fitted.y,
            task=task,
            seed=job.seed,
            seconds=8.0,
        )
        if len(points) > 1:
            figures["learning_curve"] = charts.learning_curve(
                points, "accuracy" if task == "classification" else "R²"
            )
    for name, figure in figures.items():
        log.json(f"figures/{name}.json", figure)
    return list(figures)


def _log_held_out(ctx: Context, fitted: fitting.Fitted, task: str, log: RunLog) -> None:
    """A sample of judged rows with what was predicted for them, as Parquet: a baseline for monitors."""
    sample = fitted.frame.iloc[:HELD_OUT_ROWS].reset_index(drop=True)
    sample = sample.drop(columns=["__true__", "__predicted__", "__probability__"], errors="ignore")
    extra = {"__true__": fitted.y[: len(sample)], "__predicted__": fitted.predicted[: len(sample)]}
    if fitted.probabilities is not None:
        extra["__probability__"] = fitted.probabilities[: len(sample)].max(axis=1)
    path = ctx.folder / "held_out.parquet"
    pd.concat([sample, pd.DataFrame(extra)], axis=1).to_parquet(path, index=False)
    log.file(path, "evaluation")


def signature_type(column: pd.Series) -> str:
    """The MLflow type of a raw feature column as it arrives from JSON."""
    if column.dtype.kind == "f":
        return "double"
    if column.dtype.kind in "iu":
        return "long"
    if column.dtype.kind == "M":
        return "datetime"
    present = column.dropna()
    return "boolean" if column.dtype.kind == "b" or all(isinstance(v, bool) for v in present) else "string"


def label_type(y: np.ndarray) -> str:
    """The MLflow type of the model's answer."""
    return {"b": "boolean", "i": "long", "f": "double"}.get(y.dtype.kind, "string")


def _log_model(
    job: Job,
    plan: FeaturePlan,
    frame: pd.DataFrame,
    fitted: fitting.Fitted,
    task: str,
    surroundings: dict[str, Any],
    log: RunLog,
) -> dict[str, Any]:
    # Required is a column that was never missing; a model that saw gaps knows how to fill them.
    inputs = [Column(n, signature_type(frame[n]), bool(frame[n].notna().all())) for n in plan.kinds]
    outputs = [Column("", label_type(fitted.y))]
    example = fitted.frame.iloc[:EXAMPLE_ROWS].reset_index(drop=True)
    extra = ["lightgbm"] if job.algorithm.name == "lightgbm" else []
    model = ModelFile(
        pipeline=fitted.pipeline,
        inputs=inputs,
        outputs=outputs,
        example=example,
        requirements=environment.requirements(*extra),
        by_value=(columns_module,),
        metadata={"task": task, "target": job.target, "python": surroundings["python"]},
    )
    kept = log.model(model)
    return kept | {
        "signature": {
            "inputs": [{"name": c.name, "type": c.type, "required": c.required} for c in inputs],
            "outputs": [{"type": c.type} for c in outputs],
        },
        "example": records(example),
        "classes": [_plain(c) for c in fitted.classes] if task == "classification" else None,
        "requirements": list(model.requirements),
    }


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON: missing values null, times as RFC 3339."""
    return [
        {str(name): _plain(value) for name, value in row.items()} for row in frame.to_dict(orient="records")
    ]


def _plain(value: Any) -> Any:
    if value is None or value is pd.NaT or value != value:
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return value.item() if isinstance(value, np.generic) else value


def _tags(job: Job, task: str, fitted: fitting.Fitted, surroundings: dict[str, Any]) -> dict[str, object]:
    return {
        "atelier.algorithm": job.algorithm.name,
        "atelier.task": task,
        "atelier.target": job.target,
        "atelier.primary_metric": PRIMARY[task],
        "atelier.python": surroundings["python"],
        "atelier.scikit_learn": surroundings["packages"].get("scikit-learn", ""),
        "atelier.rows": len(fitted.train),
    }
