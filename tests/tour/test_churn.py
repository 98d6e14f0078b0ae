"""The story of the bank: its truth, and what a monitor must see in it."""

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from threadpoolctl import threadpool_limits

from apps.monitoring import windows
from apps.monitoring.sandbox import baseline, impact, measure, report
from apps.monitoring.sandbox.pairs import Columns
from apps.monitoring.sandbox.rules import Rules
from atelier.tour import churn


def watch(story: churn.Story, folder: Path) -> list[dict[str, Any]]:
    """Train on the customers, predict the events, and compare the days with the customers."""
    frame = story.customers.to_pandas()
    features = list(churn.FEATURES)
    model = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(sparse_output=False), ["Geography", "Gender"]), remainder="passthrough"
        ),
        HistGradientBoostingClassifier(
            learning_rate=0.06, max_iter=120, max_leaf_nodes=6, min_samples_leaf=60, random_state=0
        ),
    )
    with threadpool_limits(limits=1):  # several threads on a busy machine wait for one another
        model.fit(frame[features], frame[churn.TARGET])
        return _compare(model, story, folder)


def _compare(model: Any, story: churn.Story, folder: Path) -> list[dict[str, Any]]:
    features = list(churn.FEATURES)

    predictor = impact.Predictor(model.predict, model.predict_proba)
    said = model.predict(story.events.to_pandas()[features])
    events = story.events.append_column("prediction", pa.array(said))
    pq.write_table(story.customers, folder / "customers.parquet")
    pq.write_table(events, folder / "events.parquet")
    paths = [folder / "customers.parquet"]
    sample = impact.sample_rows(paths, features, features=len(features))
    profile = {
        "sketches": [sketch.to_json() for sketch in baseline.build_sketches(paths, features)],
        "impact": impact.measure_impact(predictor, sample, features),
        "prediction": baseline.sketch_column(
            "prediction", pa.chunked_array([pa.array(model.predict(sample))])
        ).to_json(),
    }
    zone = ZoneInfo(churn.ZONE)
    days = windows.align(
        datetime(2021, 4, 1, tzinfo=zone), datetime(2021, 4, 15, tzinfo=zone), size="1d", zone=zone
    )
    bounds = [int(day.start.timestamp() * 1e6) for day in days] + [int(days[-1].end.timestamp() * 1e6)]
    names = Columns("timestamp", "prediction", "label", classes=("0", "1"))
    return report.compare(
        profile, [measure.Part(folder / "events.parquet")], bounds, names, Rules(), "classification"
    )


@pytest.mark.parametrize("seed", [2021, 1, 2, 3, 4, 5])
def test_only_the_number_of_products_drifts_and_only_from_the_12th(seed: int, tmp_path: Path) -> None:
    found = watch(churn.make_story(seed=seed), tmp_path)
    fired = {
        day: {feature["name"] for feature in window["features"] if feature["drifted"]}
        for day, window in enumerate(found, start=1)
    }
    assert all(not names for day, names in fired.items() if day < 12)
    assert all(names == {"NumOfProducts"} for day, names in fired.items() if day >= 12)
    assert not any(window["prediction"]["drifted"] for window in found[:11])
    leader = max(found[11]["features"], key=lambda feature: feature["prediction_drift_impact"])
    assert leader["name"] == "NumOfProducts"
    assert leader["share"] > 0.5
    assert 0.25 < leader["feature_drift"] < 0.42


def test_age_matters_most_then_the_number_of_products(tmp_path: Path) -> None:
    window = watch(churn.make_story(), tmp_path)[0]
    ranked = sorted(window["features"], key=lambda feature: -feature["feature_impact"])
    assert [feature["name"] for feature in ranked[:3]] == ["Age", "NumOfProducts", "IsActiveMember"]
    assert 0.38 < ranked[0]["feature_impact"] < 0.58


def test_a_seed_always_tells_the_same_story() -> None:
    one, other = churn.make_story(seed=5, customers=200), churn.make_story(seed=5, customers=200)
    assert one.customers == other.customers
    assert one.events == other.events


def test_events_lie_within_the_two_weeks_of_the_banks_own_days() -> None:
    events = churn.make_story(events_a_day=50).events
    zone = ZoneInfo(churn.ZONE)
    moments = [moment.astimezone(zone) for moment in events.column("timestamp").to_pylist()]
    assert min(moments).date() == churn.FIRST_DAY
    assert max(moments).date().isoformat() == "2021-04-14"


def test_about_a_fifth_of_the_customers_leave() -> None:
    exited = churn.make_story().customers.column(churn.TARGET).to_numpy()
    assert 0.15 < np.mean(exited) < 0.25
