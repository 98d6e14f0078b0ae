"""The program of a report, run in the isolated child: baseline and recorded rows in, drift of every window out.

Payload: features [name], task, classes, columns {timestamp, prediction, label, probabilities, id}, bounds [µs],
rules {…}, profile (a stored baseline profile or null), parts [{input, moment}], model {input: path in the Bento}.
Inputs: baseline-0… and part-0… (Parquet), labels (Parquet, optional), the files that `model` names (absent where the
profile is given).
Result: {"profile": …, "made_profile": bool, "windows": […]}; `describe_window` lists the keys of a window.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.monitoring.sandbox import baseline, impact, measure, quality
from apps.monitoring.sandbox.columns import category
from apps.monitoring.sandbox.metrics import METRICS
from apps.monitoring.sandbox.metrics.jensen_shannon import NAME as LEADING
from apps.monitoring.sandbox.pairs import Columns
from apps.monitoring.sandbox.rules import PREDICTION, Rules
from apps.monitoring.sandbox.sketch import VERSION, Sketch
from foundation.tasks import Context, UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def main(ctx: Context) -> dict[str, Any]:
    """Compute one report. Raises UserError for rows or a model that cannot be used."""
    payload = ctx.payload
    stored = payload.get("profile")
    made = stored is None
    profile = stored if stored is not None else make_profile(ctx)
    names = read_columns(payload)
    parts = [measure.Part(ctx.inputs[part["input"]], part.get("moment")) for part in payload["parts"]]
    ctx.progress(80, 100, "Comparing the windows with the baseline")
    rules = Rules.from_json(payload["rules"])
    windows = compare(
        profile, parts, payload["bounds"], names, rules, payload["task"], ctx.inputs.get("labels")
    )
    fired = sum(feature["drifted"] for window in windows for feature in window["features"])
    ctx.log.info(
        "%d rows in %d windows; %d features drifted.", sum(w["rows"] for w in windows), len(windows), fired
    )
    ctx.progress(100, 100, "Done")
    return {"profile": profile if made else None, "made_profile": made, "windows": windows}


def read_columns(payload: dict[str, Any]) -> Columns:
    """Return the column names of the payload."""
    given = payload["columns"]
    return Columns(
        timestamp=given.get("timestamp"),
        prediction=given.get("prediction"),
        label=given.get("label"),
        classes=tuple(category(name) for name in payload.get("classes", ())),
        probabilities=given.get("probabilities"),
        id=given.get("id"),
    )


def make_profile(ctx: Context) -> dict[str, Any]:
    """Sketch the baseline; with a model also measure the features' impact and sketch its predictions."""
    payload = ctx.payload
    paths = [ctx.inputs[name] for name in sorted(ctx.inputs) if name.startswith("baseline-")]
    ctx.progress(5, 100, "Reading the baseline")
    features = list(payload["features"])
    sketches = baseline.build_sketches(paths, features)
    missing = sorted(set(features) - {sketch.name for sketch in sketches})
    if missing:
        raise UserError(
            f"The baseline has no usable column {', '.join(missing)}. Choose the version the model was trained on.",
            code="monitor.baseline_columns",
            detail={"columns": missing},
        )
    ctx.log.info("Baseline: %d rows, %d features.", sketches[0].rows if sketches else 0, len(sketches))
    impacts: dict[str, float] = {}
    predictions: Sketch | None = None
    if ctx.payload.get("model"):
        impacts, predictions = ask_model(ctx, paths, features)
    elif payload["columns"].get("prediction"):
        found = baseline.build_sketches(paths, [payload["columns"]["prediction"]])
        predictions = found[0] if found else None
    return {
        "version": VERSION,
        "sketches": [sketch.to_json() for sketch in sketches],
        "impact": impacts,
        "prediction": predictions.to_json() if predictions else None,
    }


def ask_model(ctx: Context, paths: Sequence[Path], features: list[str]) -> tuple[dict[str, float], Sketch]:
    """Return the impact of each feature and the sketch of the model's predictions on the baseline."""
    import numpy as np
    import pyarrow as pa

    from apps.monitoring.sandbox.predictor import load_predictor

    ctx.progress(20, 100, "Loading the model")
    predictor = load_predictor(ctx.folder / "bento", ctx.payload["model"], ctx.inputs)
    frame = impact.sample_rows(paths, features, features=len(features))
    labels = np.asarray(predictor.labels(frame))
    column = pa.chunked_array([pa.array(labels.tolist())])
    predictions = baseline.sketch_column(ctx.payload["columns"].get("prediction") or PREDICTION, column)

    def progress(step: int, total: int) -> None:
        ctx.progress(25 + 50 * step / total, 100, f"Measuring the impact of the features ({step}/{total})")

    impacts = impact.measure_impact(predictor, frame, features, progress=progress)
    leading = sorted(impacts.items(), key=lambda item: -item[1])[:3]
    ctx.log.info("Impact, leading: %s.", ", ".join(f"{name} {share:.0%}" for name, share in leading))
    return impacts, predictions


def compare(
    profile: dict[str, Any],
    parts: Sequence[measure.Part],
    bounds: Sequence[int],
    names: Columns,
    rules: Rules,
    task: str,
    labels: Path | None = None,
) -> list[dict[str, Any]]:
    """Return every window's drift, impact, prediction drift, performance and quality, oldest first."""
    sketches = [Sketch.from_json(data) for data in profile["sketches"]]
    prediction = Sketch.from_json(profile["prediction"]) if profile.get("prediction") else None
    tally = measure.tally(parts, [*sketches, *([prediction] if prediction else [])], bounds, names, labels)
    alpha = rules.alpha(len(sketches) + (prediction is not None))
    drifts = {
        sketch.name: _drift(sketch, tally.counts[sketch.name], alpha)
        for sketch in [*sketches, *([prediction] if prediction else [])]
    }
    scores = tally.pairs.score(len(bounds) - 1, task)
    return [
        describe_window(index, sketches, prediction, tally, drifts, profile.get("impact") or {}, rules)
        | {"start": bounds[index], "end": bounds[index + 1], "performance": scores[index]}
        for index in range(len(bounds) - 1)
    ]


def _drift(sketch: Sketch, counts: "NDArray[np.int64]", alpha: float) -> "dict[str, NDArray[np.float64]]":
    values = {name: metric.measure(sketch.counts, counts) for name, metric in METRICS.items()}
    return values | {"noise": METRICS[LEADING].noise(sketch.counts, counts, alpha=alpha)}


def describe_window(
    index: int,
    sketches: Sequence[Sketch],
    prediction: Sketch | None,
    tally: measure.Tally,
    drifts: "dict[str, dict[str, NDArray[np.float64]]]",
    impacts: dict[str, float],
    rules: Rules,
) -> dict[str, Any]:
    """Return one window: rows, enough, features, prediction_drift, prediction, quality.

    feature_drift is the Jensen-Shannon distance; prediction_drift_impact = feature_impact × feature_drift; share is
    that product divided by the sum of the window's products. Values that cannot be computed are None.
    """
    rows = int(tally.rows[index])
    features: list[dict[str, Any]] = []
    issues: list[dict[str, Any]] = []
    for sketch in sketches:
        counts = tally.counts[sketch.name][index]
        found = quality.measure_quality(sketch, counts, int(tally.mistyped[sketch.name][index]))
        issues += quality.list_issues(sketch, found)
        entry = _entry(sketch, sketch.name, rows, index, drifts[sketch.name], rules)
        share = impacts.get(sketch.name)
        drift = entry.pop("drift")
        product = None if share is None or drift is None else share * drift
        features.append(
            {
                "name": sketch.name,
                "metric": LEADING,
                "feature_drift": drift,
                "feature_impact": share,
                "prediction_drift_impact": product,
                **entry,
                "counts": counts.tolist(),
                "quality": found,
            }
        )
    total = sum(feature["prediction_drift_impact"] or 0.0 for feature in features)
    for feature in features:
        product = feature["prediction_drift_impact"]
        feature["share"] = None if product is None else (product / total if total > 0 else 0.0)
    said: dict[str, Any] | None = None
    if prediction is not None:
        said = _entry(prediction, PREDICTION, rows, index, drifts[prediction.name], rules)
        said["counts"] = tally.counts[prediction.name][index].tolist()
    return {
        "rows": rows,
        "enough": rows >= rules.min_rows,
        "features": features,
        "prediction_drift": said["drift"] if said else None,
        "prediction": said,
        "quality": {"issues": issues},
    }


def _entry(
    sketch: Sketch, name: str, rows: int, index: int, drift: "dict[str, NDArray[np.float64]]", rules: Rules
) -> dict[str, Any]:
    distance, noise = _finite(drift[LEADING][index]), float(drift["noise"][index])
    return {
        "drift": distance,
        "psi": _finite(drift["psi"][index]),
        "noise": noise,
        "threshold": rules.threshold(name),
        "drifted": rules.fires(name=name, rows=rows, drift=distance, noise=noise),
    }


def _finite(value: float) -> float | None:
    number = float(value)
    return number if number == number else None
