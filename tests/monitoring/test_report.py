"""The program of a report, without its child process: rows in, windows out."""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.monitoring.sandbox import report
from apps.monitoring.sandbox.rules import Rules
from foundation.tasks import Context, UserError

START = datetime(2021, 4, 1, tzinfo=UTC)


def bounds(days: int) -> list[int]:
    return [int((START + timedelta(days=day)).timestamp() * 1e6) for day in range(days + 1)]


def baseline_table(rows: int = 5000) -> pa.Table:
    random = np.random.default_rng(0)
    return pa.table(
        {
            "age": random.normal(40, 10, rows),
            "land": random.choice(["FR", "DE", "ES"], rows),
            "y": [0, 1] * (rows // 2),
        }
    )


def events_table(rows: int, *, day: int = 0, age: float = 40, seed: int = 1) -> pa.Table:
    random = np.random.default_rng(seed)
    moments = [START + timedelta(days=day, seconds=float(s)) for s in random.uniform(0, 86_399, rows)]
    truth = random.integers(0, 2, rows)
    return pa.table(
        {
            "timestamp": pa.array(moments, pa.timestamp("us", "UTC")),
            "age": random.normal(age, 10, rows),
            "land": random.choice(["FR", "DE", "ES"], rows),
            "prediction": truth,
            "label": pa.array([int(v) if i % 2 else None for i, v in enumerate(truth)]),
        }
    )


def run(folder: Path, tables: list[pa.Table], *, days: int = 1, **payload: Any) -> dict[str, Any]:
    inputs: dict[str, Path] = {"baseline-0": folder / "baseline.parquet"}
    pq.write_table(payload.pop("baseline", baseline_table()), inputs["baseline-0"])
    for index, table in enumerate(tables):
        inputs[f"part-{index}"] = folder / f"part-{index}.parquet"
        pq.write_table(table, inputs[f"part-{index}"])
    if "labels" in payload:
        inputs["labels"] = payload.pop("labels")
    context = Context(
        payload={
            "features": ["age", "land"],
            "task": "classification",
            "classes": ["0", "1"],
            "columns": {"timestamp": "timestamp", "prediction": "prediction", "label": "label"},
            "bounds": bounds(days),
            "rules": {},
            "profile": None,
            "parts": [{"input": f"part-{index}"} for index in range(len(tables))],
            **payload,
        },
        inputs=inputs,
        folder=folder,
        outputs=folder,
        log=logging.getLogger("test"),
    )
    return report.main(context)


def feature(window: dict[str, Any], name: str) -> dict[str, Any]:
    return next(found for found in window["features"] if found["name"] == name)


def test_a_shifted_feature_fires_and_the_others_do_not(tmp_path: Path) -> None:
    events = [events_table(400), events_table(400, day=1, age=60, seed=2)]
    calm, shifted = run(tmp_path, events, days=2)["windows"]
    assert [found["drifted"] for found in calm["features"]] == [False, False]
    assert feature(shifted, "age")["drifted"]
    assert not feature(shifted, "land")["drifted"]
    assert feature(shifted, "age")["feature_drift"] > 0.4


def test_too_few_rows_are_measured_but_never_fire(tmp_path: Path) -> None:
    (window,) = run(tmp_path, [events_table(99, age=90)])["windows"]
    assert not window["enough"]
    assert feature(window, "age")["feature_drift"] > 0.9
    assert not feature(window, "age")["drifted"]


def test_a_window_without_rows_has_no_values(tmp_path: Path) -> None:
    (window,) = run(tmp_path, [])["windows"]
    assert window["rows"] == 0
    assert feature(window, "age")["feature_drift"] is None
    assert window["performance"] is None


def test_the_end_of_a_window_belongs_to_the_next(tmp_path: Path) -> None:
    table = events_table(3)
    edge = [START, START + timedelta(days=1) - timedelta(microseconds=1), START + timedelta(days=1)]
    table = table.set_column(0, "timestamp", pa.array(edge, pa.timestamp("us", "UTC")))
    assert [window["rows"] for window in run(tmp_path, [table], days=2)["windows"]] == [2, 1]


def test_rows_in_any_order_and_in_several_parts_are_counted_once(tmp_path: Path) -> None:
    whole = pa.concat_tables([events_table(300, day=day, seed=day) for day in range(3)])
    mixed = whole.take(pa.array(np.random.default_rng(9).permutation(len(whole))))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    at_once = run(tmp_path / "a", [whole], days=3)["windows"]
    in_parts = run(tmp_path / "b", [mixed.slice(0, 400), mixed.slice(400)], days=3)["windows"]
    assert [w["rows"] for w in at_once] == [300, 300, 300]
    assert [w["features"] for w in at_once] == [w["features"] for w in in_parts]


def test_performance_counts_only_rows_with_a_label(tmp_path: Path) -> None:
    (window,) = run(tmp_path, [events_table(400)])["windows"]
    assert window["performance"]["rows"] == 200
    assert window["performance"]["accuracy"] == 1


def test_labels_told_later_take_precedence_over_those_that_came_along(tmp_path: Path) -> None:
    table = events_table(400)
    table = table.append_column("__id", pa.array([f"id{i}" for i in range(400)]))
    wrong = [str(1 - value) for value in table.column("prediction").to_pylist()[:100]]
    told = pa.table({"id": [f"id{i}" for i in range(100)], "label": wrong})
    pq.write_table(told, tmp_path / "labels.parquet")
    columns = {"timestamp": "timestamp", "prediction": "prediction", "label": "label", "id": "__id"}
    (window,) = run(tmp_path, [table], columns=columns, labels=tmp_path / "labels.parquet")["windows"]
    assert window["performance"]["rows"] == 250
    assert window["performance"]["accuracy"] == 150 / 250


def test_probabilities_of_two_classes_add_the_area_under_the_curve(tmp_path: Path) -> None:
    table = events_table(400)
    shares = [[1 - value, float(value)] for value in table.column("prediction").to_pylist()]
    table = table.append_column("p", pa.array(shares))
    columns = {"timestamp": "timestamp", "prediction": "prediction", "label": "label", "probabilities": "p"}
    (window,) = run(tmp_path, [table], columns=columns)["windows"]
    assert window["performance"]["roc_auc"] == 1


def test_a_column_that_changes_its_type_between_parts_is_still_counted(tmp_path: Path) -> None:
    other = events_table(300, seed=4)
    other = other.set_column(
        1, "age", pa.array([f"{value:.3f}" for value in other.column("age").to_pylist()])
    )
    (window,) = run(tmp_path, [events_table(300), other])["windows"]
    assert window["rows"] == 600
    assert feature(window, "age")["quality"]["mistyped"] == 0
    assert not feature(window, "age")["drifted"]


def test_impact_times_drift_is_the_product_and_shares_sum_to_one(tmp_path: Path) -> None:
    made = run(tmp_path, [events_table(400)])["profile"]
    made["impact"] = {"age": 0.8, "land": 0.2}
    second = run(tmp_path, [events_table(400, age=55)], profile=made)
    (window,) = second["windows"]
    age, land = feature(window, "age"), feature(window, "land")
    assert age["prediction_drift_impact"] == pytest.approx(0.8 * age["feature_drift"])
    assert age["share"] + land["share"] == pytest.approx(1)
    assert second["made_profile"] is False


def test_without_a_model_there_is_drift_but_no_impact(tmp_path: Path) -> None:
    (window,) = run(tmp_path, [events_table(400)])["windows"]
    assert feature(window, "age")["feature_impact"] is None
    assert feature(window, "age")["share"] is None


def test_a_stored_profile_gives_the_same_windows_as_a_fresh_one(tmp_path: Path) -> None:
    first = run(tmp_path, [events_table(400)])
    again = run(tmp_path, [events_table(400)], profile=first["profile"])
    assert first["windows"] == again["windows"]


def test_quality_names_missing_unseen_and_mistyped_values(tmp_path: Path) -> None:
    table = events_table(200)
    table = table.set_column(1, "age", pa.array(["x", None] * 100))
    table = table.set_column(2, "land", pa.array(["FR", "PE"] * 100))
    (window,) = run(tmp_path, [table])["windows"]
    assert feature(window, "age")["quality"]["mistyped"] == 0.5
    assert feature(window, "age")["quality"]["missing"] == 1
    assert feature(window, "land")["quality"]["unseen"] == 0.5
    kinds = {(issue["feature"], issue["kind"]) for issue in window["quality"]["issues"]}
    assert kinds == {("age", "missing"), ("age", "mistyped"), ("land", "unseen")}


def test_a_column_that_events_do_not_hold_counts_as_missing(tmp_path: Path) -> None:
    (window,) = run(tmp_path, [events_table(200).drop_columns(["land"])])["windows"]
    assert feature(window, "land")["quality"]["missing"] == 1
    assert feature(window, "land")["drifted"]


def test_a_baseline_without_a_feature_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        run(tmp_path, [], features=["age", "income"])
    assert caught.value.code == "monitor.baseline_columns"
    assert "income" in caught.value.message


def test_rows_without_times_belong_to_the_moment_of_their_part(tmp_path: Path) -> None:
    table = events_table(120).drop_columns(["timestamp"])
    moment = bounds(2)[1]
    found = run(tmp_path, [table], days=2, columns={}, parts=[{"input": "part-0", "moment": moment}])[
        "windows"
    ]
    assert [window["rows"] for window in found] == [0, 120]


def test_the_result_is_json(tmp_path: Path) -> None:
    import json

    json.dumps(run(tmp_path, [events_table(50)], days=2), allow_nan=False)


def test_alerts_look_at_drift_and_never_at_shares() -> None:
    rules = Rules(features={"age": 0.3})
    assert rules.fires(name="age", rows=500, drift=0.31, noise=0.1)
    assert not rules.fires(name="age", rows=500, drift=0.29, noise=0.1)
    assert rules.fires(name="land", rows=500, drift=0.11, noise=0.1)
    assert not rules.fires(name="land", rows=500, drift=0.11, noise=0.12)
    assert not rules.fires(name="land", rows=99, drift=0.9, noise=0.1)
    assert not rules.fires(name="land", rows=500, drift=None, noise=0.1)


def test_windows_of_200_rows_without_drift_stay_quiet(tmp_path: Path) -> None:
    """300 windows × 2 features: the rules promise at most one false alert in a thousand windows."""
    from apps.monitoring.sandbox.baseline import build_sketches
    from apps.monitoring.sandbox.metrics import jensen_shannon

    path = tmp_path / "baseline.parquet"
    pq.write_table(baseline_table(), path)
    sketches = build_sketches([path], ["age", "land"])
    rules = Rules()
    fired = 0
    for seed in range(300):
        table = events_table(200, seed=seed + 100)
        for sketch in sketches:
            counts, _ = sketch.count(table.column(sketch.name), [(0, 200)])
            drift = float(jensen_shannon.measure(sketch.counts, counts)[0])
            noise = float(jensen_shannon.noise(sketch.counts, counts, alpha=rules.alpha(2))[0])
            fired += rules.fires(name=sketch.name, rows=200, drift=drift, noise=noise)
    assert fired <= 3
