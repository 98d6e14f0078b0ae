"""When a drift is worth an alert. Alerts fire on drift alone, never on a share of impact.

A window fires for a feature when all three hold:
1. it has at least `min_rows` rows;
2. the distance is at least the feature's threshold (default 0.1 of the Jensen-Shannon distance);
3. the distance is above what sampling alone explains (`noise` of the metric): a window without any drift raises a
   false alert with at most the probability `false_alarm`, shared out over its features (Bonferroni).
The third rule is what keeps small windows quiet: 200 rows of an unchanged feature lie at a distance of about 0.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DEFAULT_THRESHOLD = 0.1
DEFAULT_MIN_ROWS = 100
FALSE_ALARM = 0.001
# The name under which the threshold of the prediction's own drift is kept.
PREDICTION = "prediction"


@dataclass(frozen=True)
class Rules:
    """Thresholds of one monitor. `features` overrides `default` by name; PREDICTION may be among them."""

    default: float = DEFAULT_THRESHOLD
    min_rows: int = DEFAULT_MIN_ROWS
    false_alarm: float = FALSE_ALARM
    features: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Rules":
        """Read the JSON form {default?, min_rows?, false_alarm?, features?: {name: threshold}}."""
        return cls(
            default=float(data.get("default", DEFAULT_THRESHOLD)),
            min_rows=int(data.get("min_rows", DEFAULT_MIN_ROWS)),
            false_alarm=float(data.get("false_alarm", FALSE_ALARM)),
            features={str(name): float(value) for name, value in data.get("features", {}).items()},
        )

    def threshold(self, name: str) -> float:
        """Return the threshold of one feature, or of PREDICTION."""
        return self.features.get(name, self.default)

    def alpha(self, tests: int) -> float:
        """Return the false-alarm probability of a single comparison when a window makes `tests` of them."""
        return self.false_alarm / max(tests, 1)

    def fires(self, *, name: str, rows: int, drift: float | None, noise: float) -> bool:
        """Whether this drift raises an alert, by the three rules of the module's docstring."""
        if drift is None or rows < self.min_rows:
            return False
        return drift >= self.threshold(name) and drift > noise
