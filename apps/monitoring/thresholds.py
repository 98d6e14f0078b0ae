"""Thresholds as people write them, and as a monitor keeps them (the JSON form of sandbox.rules.Rules)."""

from __future__ import annotations

import math
from typing import Any

from apps.monitoring.sandbox.rules import DEFAULT_MIN_ROWS, DEFAULT_THRESHOLD, FALSE_ALARM
from foundation.errors import Invalid

FEWEST_ROWS, MOST_ROWS = 1, 10_000_000


def defaults() -> dict[str, Any]:
    """The thresholds of a monitor for which nobody chose any."""
    return {
        "default": DEFAULT_THRESHOLD,
        "min_rows": DEFAULT_MIN_ROWS,
        "false_alarm": FALSE_ALARM,
        "features": {},
    }


def read_thresholds(given: object, *, features: list[str] | None = None) -> dict[str, Any]:
    """The kept form of {default?, min_rows?, false_alarm?, features?: {name: threshold}}.

    A feature may also stand beside these keys ({"age": 0.2}). `features` are the names that may be used, beside
    "prediction"; None allows any. Raises Invalid "monitor.thresholds".
    """
    found = defaults()
    if given is None or given == {}:
        return found
    if not isinstance(given, dict):
        raise Invalid("monitor.thresholds", 'Thresholds read {"default": 0.1, "features": {"age": 0.2}}.')
    rest = {str(name): value for name, value in given.items() if name not in found}
    named = given.get("features", {})
    if not isinstance(named, dict):
        raise Invalid("monitor.thresholds", 'The thresholds of features read {"age": 0.2, …}.')
    for name, value in {**named, **rest}.items():
        if features is not None and name not in features and name != "prediction":
            raise Invalid(
                "monitor.thresholds",
                f"'{str(name)[:60]}' is not a watched feature.",
                {"feature": str(name)[:255]},
            )
        found["features"][str(name)] = _share(value, f"The threshold of {str(name)[:60]}")
    if "default" in given:
        found["default"] = _share(given["default"], "The default threshold")
    if "false_alarm" in given:
        found["false_alarm"] = _share(given["false_alarm"], "false_alarm")
        if not 0 < found["false_alarm"] < 1:
            raise Invalid(
                "monitor.thresholds", "false_alarm is a probability between 0 and 1, such as 0.001."
            )
    if "min_rows" in given:
        rows = given["min_rows"]
        if isinstance(rows, bool) or not isinstance(rows, int) or not FEWEST_ROWS <= rows <= MOST_ROWS:
            raise Invalid(
                "monitor.thresholds", f"min_rows is a whole number from {FEWEST_ROWS} to {MOST_ROWS:,}."
            )
        found["min_rows"] = rows
    return found


def _share(value: object, what: str) -> float:
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    if not fits or not math.isfinite(float(value)) or not 0 <= float(value) <= 1:  # type: ignore[arg-type]
        raise Invalid("monitor.thresholds", f"{what} is a number from 0 to 1.")
    return float(value)  # type: ignore[arg-type]
