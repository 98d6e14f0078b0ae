"""What a rule says, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.experiments.rules.states import Action, RuleKind


def rule_words(rule: Mapping[str, Any]) -> str:
    """One line: what it looks for, and what happens then."""
    then = "stops the run" if rule.get("action") == Action.STOP else "warns"
    metric = rule.get("metric") or "any metric"
    if rule["rule"] == RuleKind.NOT_A_NUMBER:
        return f"{metric} is not a number: {then}"
    lower = rule.get("direction") != "max"
    if rule["rule"] == RuleKind.NOT_IMPROVING:
        verb = "fall" if lower else "rise"
        least = f" by more than {rule['min_change']:g}" if rule.get("min_change") else ""
        return f"{metric} does not {verb}{least} for {_steps(rule)}: {then}"
    side = "above" if lower else "below"
    return f"{metric} is {rule['gap']:.0%} {side} {rule['training']} for {_steps(rule)}: {then}"


def _steps(rule: Mapping[str, Any]) -> str:
    return "1 step" if rule["steps"] == 1 else f"{rule['steps']:,} steps"
