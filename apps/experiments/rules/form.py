"""The lines of a form that ask for rules. They only show: read_rules checks what is entered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from apps.experiments.models import Run
from apps.experiments.rules.spec import given_rules, natural_direction
from apps.experiments.rules.states import Action, RuleKind
from foundation.errors import AtelierError

FIELDS = ("rule", "metric", "training", "steps", "gap", "action", "direction", "min_change")
#: What a line may say beside rule, metric and action.
USED = {
    RuleKind.NOT_A_NUMBER: (),
    RuleKind.NOT_IMPROVING: ("steps", "direction", "min_change"),
    RuleKind.OVERFITTING: ("training", "gap", "steps", "direction"),
}
EMPTY_LINES = 1
LINES_AT_MOST = 100


@dataclass
class RuleRow:
    """A line, as it was entered. gap: percent; direction and min_change have no field: they come with a run that is
    run again, when they are not what its metric tells."""

    rule: str = ""
    metric: str = ""
    training: str = ""
    steps: str = ""
    gap: str = ""
    action: str = Action.WARN
    direction: str = ""
    min_change: str = ""
    error: str = ""

    @property
    def is_empty(self) -> bool:
        """No rule was chosen and nothing entered: the line does not count."""
        return not (self.rule or self.metric or self.training or self.steps or self.gap)

    def as_json(self) -> dict[str, Any]:
        """As POST /runs takes it; what belongs to another kind of rule is left out."""
        found: dict[str, Any] = {"rule": self.rule, "metric": self.metric, "action": self.action}
        for name in USED.get(self.rule, ()):  # type: ignore[call-overload]
            value = getattr(self, name)
            if value != "":
                found[name] = _share(value) if name == "gap" else value
        return found


@dataclass
class RuleRows:
    """All lines of the form."""

    rows: list[RuleRow]
    kinds: list[tuple[str, str]] = field(default_factory=lambda: list(RuleKind.choices))
    actions: list[tuple[str, str]] = field(default_factory=lambda: list(Action.choices))

    @classmethod
    def build(cls, entered: QueryDict | None, origin: Run | None = None) -> RuleRows:
        """From the POST, else from the run that is run again, else an empty line."""
        if entered is not None:
            columns = [entered.getlist(f"rules_{name}") for name in FIELDS]
            size = min(max(map(len, columns)), LINES_AT_MOST)
            lines = [
                [(column[n] if n < len(column) else "").strip() for column in columns] for n in range(size)
            ]
            rows = [RuleRow(*line) for line in lines]
        else:
            rows = [_row(rule) for rule in given_rules(origin.rules or {})] if origin is not None else []
        kept = [row for row in rows if not row.is_empty]
        return cls([*kept, *(RuleRow() for _ in range(EMPTY_LINES))])

    @property
    def is_open(self) -> bool:
        """Whether somebody has said something here."""
        return any(not row.is_empty for row in self.rows)

    def body(self) -> list[dict[str, Any]]:
        """As POST /runs takes them."""
        return [row.as_json() for row in self.rows if not row.is_empty]

    def place(self, error: AtelierError) -> bool:
        """Say what is wrong at its line. False: it is about something else."""
        kind, _, rest = str(error.detail.get("field", "")).partition(".")
        if kind != "rules":
            return False
        number = rest.partition(".")[0]
        filled = [row for row in self.rows if not row.is_empty] or self.rows
        at = filled[int(number)] if number.isdigit() and int(number) < len(filled) else filled[0]
        at.error = error.message
        return True


def _row(rule: dict[str, Any]) -> RuleRow:
    shown: dict[str, Any] = {
        name: str(rule[name]) for name in ("rule", "metric", "training", "steps", "action") if name in rule
    }
    if "gap" in rule:
        shown["gap"] = f"{rule['gap'] * 100:g}"
    if rule.get("min_change"):
        shown["min_change"] = repr(rule["min_change"])
    if "direction" in rule and rule["direction"] != natural_direction(rule["metric"]):
        shown["direction"] = rule["direction"]
    return RuleRow(**shown)


def _share(percent: str) -> Any:
    """Percent as a share; what is no number is refused as it was entered."""
    try:
        return round(float(percent.removesuffix("%").replace(",", ".")) / 100, 10)
    except ValueError:
        return percent
