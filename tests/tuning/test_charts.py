"""Figures of studies out of plain trials, and the importances against Optuna's own."""

from __future__ import annotations

import itertools
import math
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from apps.tuning import charts
from apps.tuning.importances import FEWEST_TRIALS, importances_of
from apps.tuning.parallel import Axis, Line, Parallel, height_of, show
from apps.tuning.parallel import _axis as axis_of
from apps.tuning.reading import Point, best_of
from apps.tuning.space import Dimension
from foundation.ui.figures import MAX_POINTS, figure_json

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def point(number: int, outcome: float | str, **parameters: Any) -> Point:
    word = outcome if isinstance(outcome, str) else "complete"
    value = None if isinstance(outcome, str) else outcome
    steps = {"2": 0.4, "10": 0.6} if word in ("pruned", "running") else {}
    return Point(number, word, value, parameters, steps, f"{number:032x}", MOMENT)


def history(*outcomes: float | str, maximize: bool = True) -> dict[str, Any]:
    points = [point(n, outcome) for n, outcome in enumerate(outcomes)]
    return charts.history(points, metric="accuracy", maximize=maximize)


def series(figure: dict[str, Any], name: str) -> dict[str, Any]:
    return next(trace for trace in figure["data"] if trace["name"] == name)


def test_the_best_so_far_only_gets_better_and_counts_complete_trials_alone() -> None:
    figure = history("failed", 0.5, "pruned", 0.4, 0.9, "running")
    assert series(figure, "best so far")["y"] == [None, 0.5, 0.5, 0.5, 0.9, 0.9]
    assert series(history(3.0, 2.0, 5.0, maximize=False), "best so far")["y"] == [3.0, 2.0, 2.0]


def test_every_state_is_marked_on_one_common_axis() -> None:
    figure = history("failed", 0.5, "pruned", "running")
    assert {trace["name"] for trace in figure["data"]} == {
        "complete", "pruned", "running", "best so far", "failed",
    }  # fmt: skip
    assert all(trace["x"] == [0, 1, 2, 3] for trace in figure["data"])
    assert series(figure, "pruned")["y"] == [None, None, 0.6, None]
    assert series(figure, "failed")["yaxis"] == "y2"


def test_no_trial_is_an_empty_figure() -> None:
    assert history()["data"] == []
    assert charts.importances(None)["data"] == []
    assert charts.parallel(Parallel([Axis("", "Accuracy", [])], [], 0))["data"] == []


def test_thousands_of_trials_keep_every_improvement_in_a_thousand_points() -> None:
    values = [0.5 + 0.1 * math.sin(n) + n / 20_000 for n in range(5000)]
    figure = history(*values)
    assert len(series(figure, "complete")["x"]) <= MAX_POINTS
    best = max(v for v in series(figure, "best so far")["y"] if v is not None)
    assert best == pytest.approx(max(values), rel=1e-5)


def test_among_equals_the_earliest_is_best() -> None:
    points = [point(0, 0.5), point(1, 0.9), point(2, 0.9), point(3, "pruned")]
    best = best_of(points, maximize=True)
    assert best is not None
    assert best.number == 1
    assert best_of([point(0, "failed")], maximize=True) is None


def _space() -> list[Dimension]:
    return [
        Dimension("x", "float", -5.0, 5.0),
        Dimension("y", "float", 1e-4, 1.0, log=True),
        Dimension("n", "int", 1, 500, log=True),
        Dimension("c", "categorical", choices=("a", "b", "d")),
        Dimension("d", "int", 2, 12, step=2),
    ]


def _drawn(count: int, seed: int) -> list[tuple[dict[str, Any], float]]:
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        parameters = {
            "x": chance.uniform(-5, 5),
            "y": 10 ** chance.uniform(-4, 0),
            "n": round(500 ** chance.random()),
            "c": chance.choice("abd"),
            "d": 2 * chance.randint(1, 6),
        }
        if parameters["c"] == "b":
            del parameters["n"]  # a condition did not hold
        value = (
            parameters["x"] ** 2 + 2 * (math.log10(parameters["y"]) + 2) ** 2 + 3 * (parameters["c"] == "a")
        )
        found.append((parameters, value))
    return found


@pytest.mark.parametrize(("count", "seed"), [(20, 1), (120, 2), (400, 3)])
@pytest.mark.parametrize("maximize", [True, False])
def test_the_importances_are_those_of_optuna(count: int, seed: int, maximize: bool) -> None:
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    kinds: dict[str, Any] = {
        "x": FloatDistribution(-5, 5),
        "y": FloatDistribution(1e-4, 1, log=True),
        "n": IntDistribution(1, 500, log=True),
        "c": CategoricalDistribution(("a", "b", "d")),
        "d": IntDistribution(2, 12, step=2),
    }
    trials = _drawn(count, seed)
    study = optuna.create_study(direction="maximize" if maximize else "minimize")
    for parameters, value in trials:
        chosen = {name: kinds[name] for name in parameters}
        study.add_trial(optuna.create_trial(params=parameters, distributions=chosen, value=value))
    wanted = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    found = importances_of(_space(), trials, maximize=maximize)
    assert found is not None
    assert found.trials == count
    assert dict(found.shares) == pytest.approx(wanted, abs=1e-6)


def test_too_few_or_equal_trials_have_no_importances() -> None:
    trials = _drawn(FEWEST_TRIALS - 1, 1)
    assert importances_of(_space(), trials, maximize=True) is None
    assert importances_of(_space(), [(p, 1.0) for p, _ in _drawn(30, 1)], maximize=True) is None


def test_heights_follow_the_scale_of_the_axis() -> None:
    x, y, n, c, _ = _space()
    assert height_of(x, 0) == 0.5
    assert height_of(y, 0.01) == 0.5
    assert height_of(c, "b") == 0.5
    assert height_of(c, "gone") is None
    assert (height_of(n, 1), height_of(n, 500), height_of(n, 900)) == (0, 1, 1)


@pytest.mark.parametrize("dimension", _space(), ids=lambda d: d.name)
def test_an_axis_has_words_that_do_not_stand_on_one_another(dimension: Dimension) -> None:
    heights = [tick.height for tick in axis_of(dimension).ticks]
    assert len(heights) >= 2
    assert all(b - a > 0.04 for a, b in itertools.pairwise(heights))


def test_values_in_words() -> None:
    assert [show(v) for v in (None, True, False, 3, 0.25, "relu")] == [
        "empty", "true", "false", "3", "0.25", "relu",
    ]  # fmt: skip


def test_the_parallel_figure_breaks_lines_and_never_needs_eval() -> None:
    axes = [Axis("a", "a", []), Axis("", "Accuracy", [])]
    lines = [
        Line(n, f"{n:032x}", n / 9, n % 5, [None if n == 3 else 0.5, n / 9], ["a 1", "v"]) for n in range(9)
    ]
    figure = charts.parallel(Parallel(axes, lines, 9))
    assert {trace["type"] for trace in figure["data"]} == {"scatter"}
    assert sum(trace["x"].count(None) for trace in figure["data"]) == 9
    assert figure_json(figure)
