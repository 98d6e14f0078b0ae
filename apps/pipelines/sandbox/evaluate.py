"""Program of the job pipelines.evaluate: metrics of a model, and of the one beside it, on the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.tracking.models import ModelDescription, describe, load
from apps.experiments.metric_catalogue import PRIMARY
from apps.registry.sandbox.folders import rebuild
from foundation.tasks import Context, UserError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def main(ctx: Context) -> dict[str, Any]:
    """payload: judged and against (or null) {label, files, task, target, dataset_version}, target, parts, dataset,
    dataset_version. Returns metrics, against (null without another model), rows, dataset, seen, task,
    primary_metric."""
    from apps.experiments.sandbox.frames import read_table, to_frame
    from apps.experiments.sandbox.target import detect_task, labels, usable_rows

    judged, against = ctx.payload["judged"], ctx.payload["against"]
    target = str(ctx.payload["target"])
    ctx.progress(0, 3, "Reading the rows")
    whole = to_frame(read_table([ctx.inputs[name] for name in ctx.payload["parts"]]))
    frame = usable_rows(whole, target)
    if len(frame) < len(whole):
        ctx.log.warning("%s rows without a target are left out.", f"{len(whole) - len(frame):,}")
    task = judged["task"] or detect_task(frame[target])
    truth = labels(frame[target], detect_task(frame[target], task))
    rows = frame.drop(columns=[target])
    ctx.progress(1, 3, f"Judging {judged['label']}")
    metrics = _judge(ctx, judged, rows, truth, task, "judged")
    ctx.progress(2, 3, f"Judging {against['label']}" if against else "")
    theirs = _judge(ctx, against, rows, truth, task, "against") if against else None
    ctx.progress(3, 3, "Done")
    return {
        "metrics": metrics,
        "against": theirs,
        "rows": len(frame),
        "dataset": ctx.payload["dataset"],
        "seen": judged["dataset_version"] == ctx.payload["dataset_version"],
        "task": task,
        "primary_metric": PRIMARY[task],
    }


def _judge(
    ctx: Context, model: dict[str, Any], rows: pd.DataFrame, truth: np.ndarray, task: str, folder: str
) -> dict[str, float]:
    from threadpoolctl import threadpool_limits

    from apps.experiments.sandbox import evaluation

    label = model["label"]
    described, loaded = _load(rebuild(ctx, model["files"], folder), label)
    frame = _columns_of(described, rows, label)
    with threadpool_limits(limits=1):
        predicted, shares, classes = _predict(loaded, frame, label, task)
    if task == "regression":
        return _logged(ctx, label, evaluation.regression_metrics(truth, _numbers(predicted, label)))
    return _logged(ctx, label, _classified(truth, predicted, shares, classes))


def _load(folder: Path, label: str) -> tuple[ModelDescription, Any]:
    try:
        return describe(folder), load(folder)
    except Exception as error:
        raise UserError(f"{label} cannot be loaded: {_one_line(error)}", code="pipeline.model") from error


def _columns_of(described: ModelDescription, rows: pd.DataFrame, label: str) -> pd.DataFrame:
    """The columns that the model takes, in its order; those it may do without are filled with nothing."""
    names = [str(column["name"]) for column in described.columns]
    needed = [str(column["name"]) for column in described.columns if column["required"]]
    if not names:
        return rows
    if lacking := [name for name in needed if name not in rows.columns]:
        shown = ", ".join(f"'{name}'" for name in lacking[:5])
        raise UserError(
            f"{label} needs the column {shown}, which the dataset has not.", code="pipeline.model"
        )
    return rows.reindex(columns=names)


def _predict(
    loaded: Any, frame: pd.DataFrame, label: str, task: str
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Predictions, and for a classifier that knows them the share of each class, with the classes.

    A scikit-learn model is asked itself: MLflow's check of types refuses a whole-numbered column in which a value
    is missing, which the model can handle.
    """
    import numpy as np

    raw = loaded.get_raw_model() if hasattr(loaded, "get_raw_model") else loaded
    own = hasattr(raw, "predict") and type(raw).__module__.split(".")[0] in ("sklearn", "lightgbm")
    try:
        predicted = np.asarray((raw if own else loaded).predict(frame))
        shares = None
        if task == "classification" and own and hasattr(raw, "predict_proba"):
            shares = np.asarray(raw.predict_proba(frame))
    except Exception as error:
        raise UserError(
            f"{label} cannot predict these rows: {_one_line(error)}", code="pipeline.model"
        ) from error
    if len(np.atleast_1d(predicted)) != len(frame):
        answers = len(np.atleast_1d(predicted))
        raise UserError(f"{label} gave {answers} answers for {len(frame)} rows.", code="pipeline.model")
    column = predicted.reshape(len(frame), -1)[:, 0]
    return column, shares, raw.classes_ if shares is not None else None


def _classified(
    truth: np.ndarray, predicted: np.ndarray, shares: np.ndarray | None, classes: np.ndarray | None
) -> dict[str, float]:
    """Classes are compared as text: a model may answer "1" where the table holds 1."""
    import numpy as np

    from apps.experiments.sandbox import evaluation

    true, said = _texts(truth), _texts(predicted)
    known = _texts(np.asarray(classes)) if classes is not None else np.unique(np.concatenate([true, said]))
    strange = bool(set(true) - set(known))
    if strange:
        known = np.unique(np.concatenate([true, said, known]))
    return evaluation.classification_metrics(true, said, None if strange else shares, known)


def _texts(values: np.ndarray) -> np.ndarray:
    import numpy as np

    if values.dtype.kind == "f" and np.all(np.isfinite(values)) and np.all(values == np.floor(values)):
        values = values.astype(np.int64)
    return values.astype(str).astype(object)


def _numbers(predicted: np.ndarray, label: str) -> np.ndarray:
    import numpy as np

    try:
        numbers = predicted.astype(np.float64)
    except ValueError as error:
        raise UserError(f"{label} does not answer with numbers.", code="pipeline.model") from error
    if not np.all(np.isfinite(numbers)):
        raise UserError(f"{label} gave answers that are no finite numbers.", code="pipeline.model")
    return numbers


def _logged(ctx: Context, label: str, metrics: dict[str, float]) -> dict[str, float]:
    for name, value in metrics.items():
        ctx.log.info("%s: %s %.4f", label, name, value)
    return metrics


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:300] + "…"
