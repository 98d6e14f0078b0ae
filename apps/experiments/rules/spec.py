"""What a rule is: read and checked in one place for the API and the forms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from apps.experiments.metric_catalogue import direction
from apps.experiments.rules.states import Action, RuleKind, RuleState
from foundation.errors import Invalid

RULES_AT_MOST = 20
METRIC_LENGTH = 250
STEPS_AT_MOST = 1_000_000
#: Fields of each kind beside rule, metric and action, with what holds when nothing is said.
DEFAULTS: dict[str, dict[str, Any]] = {
    RuleKind.NOT_A_NUMBER: {},
    RuleKind.NOT_IMPROVING: {"steps": 10, "min_change": 0.0, "direction": None},
    RuleKind.OVERFITTING: {"training": None, "gap": 0.2, "steps": 3, "direction": None},
}
FIELDS = ("rule", "metric", "action")


def read_rules(value: object) -> list[dict[str, Any]]:
    """The field "rules" of a new run: [{"rule", "metric", "action"?, …}], filled up with defaults.

    Raises Invalid "rule.invalid" naming the field, "rule.too_many".
    """
    if value in (None, "", []):
        return []
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise _wrong('The rules are a list such as [{"rule": "not_a_number", "action": "stop"}].', "rules")
    if len(value) > RULES_AT_MOST:
        raise Invalid("rule.too_many", f"A run takes {RULES_AT_MOST} rules at most.", {"field": "rules"})
    return [_rule(given, f"rules.{place}") for place, given in enumerate(value)]


def kept(rules: list[dict[str, Any]]) -> dict[str, Any]:
    """As Run.rules holds them while they watch; {} without any."""
    if not rules:
        return {}
    return {"open": True, "rules": [{**rule, "state": str(RuleState.WATCHING)} for rule in rules]}


def given_rules(held: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rules as they were asked for, for "run again with changes"."""
    found = []
    for rule in held.get("rules", []):
        names = (*FIELDS, *DEFAULTS.get(rule["rule"], {}))
        found.append({name: rule[name] for name in names if rule.get(name) is not None})
    return found


def _rule(given: object, place: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise _wrong('A rule is an object such as {"rule": "not_improving", "metric": "val_loss"}.', place)
    kind = given.get("rule")
    if kind not in RuleKind.values:
        raise _wrong(f"A rule is one of {', '.join(RuleKind.values)}.", f"{place}.rule")
    known = (*FIELDS, *DEFAULTS[str(kind)])
    for name in given:
        if name not in known:
            raise _wrong(
                f"The rule {kind} has no field '{str(name)[:60]}'. It knows: {', '.join(known)}.", place
            )
    action = given.get("action") or Action.WARN
    if action not in Action.values:
        raise _wrong("The action of a rule is warn or stop.", f"{place}.action")
    metric = _metric(given, "metric", place, needed=kind != RuleKind.NOT_A_NUMBER)
    rule: dict[str, Any] = {"rule": str(kind), "metric": metric, "action": str(action)}
    if kind == RuleKind.NOT_A_NUMBER:
        return rule
    rule["direction"] = _direction(given.get("direction"), metric, place)
    rule["steps"] = _steps(given.get("steps"), DEFAULTS[str(kind)]["steps"], place)
    if kind == RuleKind.NOT_IMPROVING:
        return {**rule, "min_change": _number(given, "min_change", 0.0, 0.0, 1e300, place)}
    rule["training"] = _metric(given, "training", place, needed=True)
    if rule["training"] == metric:
        raise _wrong("Overfitting compares two metrics; these are the same.", f"{place}.training")
    return {**rule, "gap": _number(given, "gap", 0.2, 0.0, 1000.0, place)}


def _metric(given: Mapping[str, Any], name: str, place: str, *, needed: bool) -> str:
    value = given.get(name)
    if value in (None, "") and not needed:
        return ""
    what = "the training metric to compare with" if name == "training" else "the metric"
    if not isinstance(value, str) or not value.strip():
        raise _wrong(f"The rule {given.get('rule')} needs {what}, such as 'val_loss'.", f"{place}.{name}")
    if len(value) > METRIC_LENGTH or "\x00" in value:
        raise _wrong(f"The name of a metric has {METRIC_LENGTH} characters at most.", f"{place}.{name}")
    return value.strip()


def _direction(value: object, metric: str, place: str) -> str:
    """min or max: as said, else as the metric's name tells, else less is better, as for a loss."""
    if value in (None, ""):
        return natural_direction(metric)
    if value not in ("min", "max"):
        raise _wrong("direction is min (less is better) or max (more is better).", f"{place}.direction")
    return str(value)


def natural_direction(metric: str) -> str:
    """min or max, as the name of a metric tells; min where it tells nothing."""
    return "max" if direction(metric) == "max" else "min"


def _steps(value: object, default: int, place: str) -> int:
    number = default if value in (None, "") else _finite(value)
    if number is None or number != int(number) or not 1 <= number <= STEPS_AT_MOST:
        raise _wrong(f"steps is a whole number from 1 to {STEPS_AT_MOST:,}.", f"{place}.steps")
    return int(number)


def _number(
    given: Mapping[str, Any], name: str, default: float, low: float, high: float, place: str
) -> float:
    value = given.get(name)
    number = default if value in (None, "") else _finite(value)
    if number is None or not low <= number <= high:
        raise _wrong(f"{name} is a number from {low:g} to {high:g}.", f"{place}.{name}")
    return number


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _wrong(sentence: str, field: str) -> Invalid:
    return Invalid("rule.invalid", sentence, {"field": field})
