"""One rule and what was logged: whether it applies, and the sentence. No database here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.tracking import MetricPoint
from apps.experiments.rules.states import RuleKind

#: MLflow keeps infinity as the largest double.
INFINITE = 1.79e308
History = Callable[[str], Sequence[MetricPoint]]
#: From a metric's name ("" for every metric) to the first of its values that is no finite number.
Unfinite = Callable[[str], tuple[str, MetricPoint] | None]


@dataclass(frozen=True)
class Finding:
    """A rule applied: at which step, with which value (None: not a number), and in words."""

    message: str
    step: int
    value: float | None


def judge(rule: Mapping[str, Any], history: History, unfinite: Unfinite) -> Finding | None:
    """Whether a rule applies to what was logged. history: the points of a metric by step."""
    kind = rule["rule"]
    if kind == RuleKind.NOT_A_NUMBER:
        return not_a_number(unfinite(rule["metric"]))
    if kind == RuleKind.NOT_IMPROVING:
        return not_improving(rule, history(rule["metric"]))
    return overfitting(rule, history(rule["metric"]), history(rule["training"]))


def not_a_number(found: tuple[str, MetricPoint] | None) -> Finding | None:
    """There is a value that is NaN or infinite."""
    if found is None:
        return None
    name, point = found
    what = "not a number" if math.isnan(point.value) else "infinite"
    return Finding(f"{name} is {what} at step {point.step}.", point.step, None)


def not_improving(rule: Mapping[str, Any], points: Sequence[MetricPoint]) -> Finding | None:
    """No value better than the best one, by more than min_change, for `steps` steps. Steps are those that were
    logged with the metric; of one that was logged without steps, its values count."""
    finite = _finite(points)
    if len(finite) < 2:
        return None
    places = _places(finite)
    lower = rule["direction"] == "min"
    best, at = finite[0], places[0]
    for point, place in zip(finite, places, strict=True):
        gain = best.value - point.value if lower else point.value - best.value
        if gain > rule["min_change"]:
            best, at = point, place
        elif place - at >= rule["steps"]:
            verb = "fallen" if lower else "risen"
            enough = f" by more than {rule['min_change']:g}" if rule["min_change"] else ""
            sentence = (
                f"{rule['metric']} has not {verb}{enough} for {place - at} steps: "
                f"{best.value:.4g} at step {best.step} is still the best."
            )
            return Finding(sentence, point.step, point.value)
    return None


def overfitting(
    rule: Mapping[str, Any], validation: Sequence[MetricPoint], training: Sequence[MetricPoint]
) -> Finding | None:
    """The validation metric is worse than the training metric by more than `gap` (a share of the training value) at
    `steps` values in a row. Source: the rule Overfit of Amazon SageMaker Debugger, which compares the same share."""
    trained = {point.step: point.value for point in _finite(training)}
    lower, row = rule["direction"] == "min", 0
    for point in _finite(validation):
        base = trained.get(point.step)
        if base is None:
            continue
        worse = point.value - base if lower else base - point.value
        share = worse / max(abs(base), 1e-12)
        row = row + 1 if share > rule["gap"] else 0
        if row >= rule["steps"]:
            side = "above" if lower else "below"
            shown = f"{share:.0%}" if share < 10 else f"{share:.0f} times"
            sentence = (
                f"{rule['metric']} is {shown} {side} {rule['training']} at step {point.step} "
                f"({point.value:.4g} against {base:.4g}), {row} {'times' if row > 1 else 'time'} in a row; "
                f"{rule['gap']:.0%} is allowed."
            )
            return Finding(sentence, point.step, point.value)
    return None


def _finite(points: Sequence[MetricPoint]) -> list[MetricPoint]:
    return [point for point in points if math.isfinite(point.value) and abs(point.value) < INFINITE]


def _places(points: Sequence[MetricPoint]) -> list[int]:
    if points[-1].step > points[0].step:
        return [point.step for point in points]
    return list(range(len(points)))
