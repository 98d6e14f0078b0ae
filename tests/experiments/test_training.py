"""The training program, without a studio around it."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from apps.experiments import algorithms
from foundation.tasks import UserError
from tests.experiments.conftest import Train, iris, mixed_table

AVAILABLE = [a.name for a in algorithms.available()]
each = pytest.mark.parametrize("algorithm", AVAILABLE)


@each
@pytest.mark.parametrize(("target", "task"), [("y", "classification"), ("amount", "regression")])
def test_every_algorithm_learns_both_tasks_from_every_kind_of_column(
    train: Train, algorithm: str, target: str, task: str
) -> None:
    done = train(mixed_table(), target=target, algorithm=algorithm)
    assert done.result["task"] == task
    assert done.result["primary_metric"] in done.result["metrics"]
    assert all(math.isfinite(v) for v in done.result["metrics"].values())
    assert set(done.result["features"]["left_out"]) == {"customer", "constant"}
    assert done.log.logged_parameters["algorithm"] == algorithm
    assert "figures/permutation_importance.json" in done.log.artifacts
    assert "environment.json" in done.log.artifacts


@each
def test_a_model_answers_rows_as_json_would_bring_them(train: Train, algorithm: str) -> None:
    import numpy as np
    import pandas as pd

    done = train(mixed_table(), target="y", algorithm=algorithm)
    records = done.result["model"]["example"]
    columns = list(records[0])
    as_trained = done.pipeline.predict(done.log.models[0].example)
    assert list(done.pipeline.predict(pd.DataFrame(records))) == list(as_trained)
    nothing = pd.DataFrame([dict.fromkeys(columns)] * 2)
    assert set(done.pipeline.predict(nothing)) <= {"yes", "no"}
    assert done.pipeline.predict_proba(pd.DataFrame(index=[0, 1, 2])).shape == (3, 2)
    strange = pd.DataFrame([{**records[0], "country": "Atlantis", "since": "no date", "age": "40", "new": 1}])
    shares = done.pipeline.predict_proba(strange)
    assert np.allclose(shares.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("values", "kind"),
    [([0, 1], "i"), ([True, False], "b"), (["a", "b"], "O"), ([1.0, 2.0], "i")],
    ids=["int", "bool", "str", "whole float"],
)
@each
def test_labels_come_back_in_the_dtype_of_the_data(
    train: Train, algorithm: str, values: list[Any], kind: str
) -> None:
    frame = iris().drop(columns="target")
    frame["label"] = [values[n % 2] for n in range(len(frame))]
    done = train(frame, target="label", algorithm=algorithm)
    predicted = done.pipeline.predict(frame.head(3))
    assert predicted.dtype.kind in (kind, "U" if kind == "O" else kind)
    assert set(done.result["model"]["classes"]) == set(values)


def test_missing_targets_are_left_out_and_integers_stay_integers(train: Train) -> None:
    frame = iris().astype({"target": "float64"})
    frame.loc[frame.index[::10], "target"] = float("nan")
    done = train(frame, target="target")
    assert done.result["rows"] == {"all": 150, "used": 135, "train": 101, "judged": 34}
    assert done.result["model"]["classes"] == [0, 1, 2]


def test_the_same_seed_gives_the_same_numbers(train: Train) -> None:
    first, second = (train(iris(), target="target", algorithm="random_forest", seed=5) for _ in range(2))
    assert first.result["metrics"] == second.result["metrics"]
    other = train(iris(), target="target", algorithm="random_forest", seed=6)
    assert other.result["metrics"] != first.result["metrics"]


def test_cross_validation_judges_every_row_and_logs_every_fold(train: Train) -> None:
    done = train(iris(), target="target", algorithm="linear", folds=5)
    assert done.result["rows"]["judged"] == 150
    folds = done.log.logged_series["fold_accuracy"]
    assert [step for step, _ in folds] == [1, 2, 3, 4, 5]
    assert done.result["metrics"]["accuracy"] == pytest.approx(sum(v for _, v in folds) / 5)
    assert done.result["metrics"]["accuracy_std"] >= 0
    assert done.log.logged_parameters["folds"] == "5"
    assert "test_size" not in done.log.logged_parameters


@pytest.mark.parametrize(
    ("algorithm", "series"),
    [
        ("mlp", "train_loss"),
        ("random_forest", "validation_loss"),
        ("hist_gradient_boosting", "validation_loss"),
    ],
)
def test_algorithms_that_learn_in_steps_log_a_curve(train: Train, algorithm: str, series: str) -> None:
    done = train(iris(), target="target", algorithm=algorithm)
    assert len(done.log.logged_series[series]) > 10


def test_classification_draws_its_figures(train: Train) -> None:
    done = train(mixed_table(), target="y", algorithm="random_forest")
    assert set(done.result["figures"]) == {
        "confusion_matrix",
        "roc_curve",
        "precision_recall",
        "calibration",
        "permutation_importance",
        "learning_curve",
    }
    matrix = done.log.artifacts["figures/confusion_matrix.json"]
    assert matrix["data"][0]["x"] == ["no", "yes"]
    assert sum(map(sum, matrix["data"][0]["customdata"])) == done.result["rows"]["judged"]


def test_permutation_importance_finds_the_columns_that_decide(train: Train) -> None:
    done = train(mixed_table(600), target="y", algorithm="hist_gradient_boosting")
    top = [f["name"] for f in done.log.artifacts["importance.json"]["features"][:2]]
    assert set(top) <= {"age", "active", "amount"}


def test_regression_draws_its_figures(train: Train) -> None:
    done = train(mixed_table(), target="amount", algorithm="linear")
    assert {"predicted_vs_true", "residuals", "permutation_importance"} <= set(done.result["figures"])
    assert done.result["metrics"]["r2"] > 0.99


def test_the_signature_says_which_columns_may_be_missing(train: Train) -> None:
    done = train(mixed_table(), target="y", features=["age", "balance", "country", "active", "since"])
    assert done.result["model"]["signature"]["inputs"] == [
        {"name": "age", "type": "long", "required": True},
        {"name": "balance", "type": "double", "required": False},
        {"name": "country", "type": "string", "required": False},
        {"name": "active", "type": "boolean", "required": True},
        {"name": "since", "type": "datetime", "required": True},
    ]
    assert set(done.result["features"]["left_out"].values()) == {"not chosen"}


def test_a_saved_model_loads_where_atelier_is_not_installed(train: Train, tmp_path: Path) -> None:
    import cloudpickle

    done = train(mixed_table(), target="y", algorithm="linear")
    model = done.log.models[0]
    for module in model.by_value:
        cloudpickle.register_pickle_by_value(module)
    try:
        content = cloudpickle.dumps((model.pipeline, model.example), protocol=pickle.DEFAULT_PROTOCOL)
    finally:
        for module in model.by_value:
            cloudpickle.unregister_pickle_by_value(module)
    (tmp_path / "model.pkl").write_bytes(content)
    code = (
        "import pickle, sys; p, x = pickle.load(open('model.pkl', 'rb')); print(list(map(str, p.predict(x))));"
        "assert not [m for m in sys.modules if m.startswith(('apps', 'foundation', 'adapters'))]"
    )
    done_elsewhere = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env={}
    )
    assert done_elsewhere.returncode == 0, done_elsewhere.stderr
    assert eval(done_elsewhere.stdout) == list(model.pipeline.predict(model.example))  # noqa: S307


def broken(change: str) -> Any:
    """A table that cannot be learned from, in one of the known ways."""
    import pandas as pd

    frame = iris()
    if change == "one_class":
        frame["target"] = 1
    elif change == "all_missing":
        frame["target"] = pd.Series([None] * len(frame), dtype="float64")
    elif change == "lonely_class":
        frame["target"] = ["a"] * 149 + ["b"]
    elif change == "few":
        frame = frame.head(6)
    elif change == "names":
        frame["target"] = [f"name {n}" for n in range(len(frame))]
        frame = pd.concat([frame] * 2).assign(target=[f"name {n}" for n in range(300)])
    elif change == "nothing_else":
        frame = frame[["target"]].assign(constant=1, empty=None)
    elif change == "alone":
        frame = frame[["target"]]
    elif change == "date":
        frame["target"] = pd.Timestamp("2021-01-01")
    return frame


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ("one_class", "target.one_class", "one class only"),
        ("all_missing", "target.all_missing", "no value"),
        ("lonely_class", "target.too_few_rows", "'b'"),
        ("few", "dataset.too_few_rows", "at least 10"),
        ("names", "target.too_many_classes", "300"),
        ("nothing_else", "features.none", "constant"),
        ("alone", "features.none", "'target' is the only one"),
        ("date", "target.unsupported", "date"),
    ],
)
def test_it_refuses_what_cannot_be_learned_with_a_sentence(
    train: Train, change: str, code: str, words: str
) -> None:
    with pytest.raises(UserError) as caught:
        train(broken(change), target="target")
    assert caught.value.code == code
    assert words in caught.value.message


def test_it_names_the_columns_when_the_target_is_not_among_them(train: Train) -> None:
    with pytest.raises(UserError) as caught:
        train(iris(), target="species")
    assert caught.value.code == "target.unknown"
    assert "petal length" in caught.value.message


@each
def test_huge_numbers_are_features_like_others(train: Train, algorithm: str) -> None:
    """Squares of 1e300 and trees' 32-bit numbers overflow: they are held to a bound, in the saved model too."""
    import pandas as pd

    frame = iris()
    frame["huge"] = [1.7e308 if n % 2 else -1e300 for n in range(len(frame))]
    frame["gaps"] = [float("inf") if n % 3 else 1.0 for n in range(len(frame))]
    done = train(frame, target="target", algorithm=algorithm)
    row = {**done.result["model"]["example"][0], "huge": 1e308}
    assert done.pipeline.predict(pd.DataFrame([row])).shape == (1,)


@each
def test_a_target_beyond_the_range_is_refused_with_a_sentence(train: Train, algorithm: str) -> None:
    frame = iris().assign(amount=[n * 1e300 for n in range(150)])
    with pytest.raises(UserError) as caught:
        train(frame, target="amount", algorithm=algorithm)
    assert (caught.value.code, caught.value.detail["field"]) == ("target.too_large", "target")


def test_a_training_that_diverged_says_so(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "apps.experiments.sandbox.fitting.regression_metrics", lambda y, predicted: {"mae": 1.0}
    )
    with pytest.raises(UserError, match="has diverged") as caught:
        train(mixed_table(), target="amount", algorithm="linear")
    assert caught.value.code == "run.diverged"


@pytest.mark.parametrize("algorithm", ["mlp", "hist_gradient_boosting"])
@pytest.mark.parametrize("rows", [12, 120])
def test_early_stopping_with_too_few_rows_of_a_class_is_refused(
    train: Train, algorithm: str, rows: int
) -> None:
    """12 rows: a tenth cannot hold both classes. 120: the rare class has one training row."""
    frame = iris().head(rows).assign(target=["a", "a"] + ["b"] * (rows - 2))
    with pytest.raises(UserError, match="Early stopping holds back") as caught:
        train(frame, target="target", algorithm=algorithm, parameters={"early_stopping": True}, test_size=0.5)
    assert caught.value.code == "target.too_few_rows"


def test_early_stopping_of_a_regression_needs_two_rows_to_judge_by(train: Train) -> None:
    frame = iris().head(12).assign(target=[n * 1.5 for n in range(12)])
    with pytest.raises(UserError, match="too few to judge by"):
        train(frame, target="target", algorithm="mlp", parameters={"early_stopping": True})


def test_columns_called_like_our_own_do_no_harm(train: Train) -> None:
    names = ("__true__", "__predicted__", "__probability__", "prediction", "index", "a.b", "level_0")
    frame = iris().assign(**{name: range(150) for name in names})
    done = train(frame, target="target", algorithm="linear")
    assert set(names) <= set(done.result["features"]["kinds"])


def test_few_whole_numbers_are_classes_unless_one_of_them_is_lonely(train: Train) -> None:
    frame = iris()
    frame["target"] = [n % 4 for n in range(len(frame))]
    assert train(frame, target="target").result["task"] == "classification"
    frame.loc[0, "target"] = 9
    assert train(frame, target="target").result["task"] == "regression"
    with pytest.raises(UserError) as caught:
        train(frame, target="target", task="classification")
    assert caught.value.code == "target.too_few_rows"


def test_regression_of_text_is_refused(train: Train) -> None:
    with pytest.raises(UserError) as caught:
        train(mixed_table(), target="y", task="regression")
    assert caught.value.code == "target.not_numeric"


def test_a_parameter_of_the_other_task_is_refused_once_the_task_is_known(train: Train) -> None:
    with pytest.raises(UserError) as caught:
        train(mixed_table(), target="amount", algorithm="linear", parameters={"C": 1.0})
    assert caught.value.code == "parameter.unknown"
