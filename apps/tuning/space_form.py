"""The table of a new study's parameters: each has one fixed value, or a range or choices to be searched.

Not a Django form: a row is one parameter with fields that only make sense together. What is entered becomes the
search_space and the parameters of POST /studies, and is checked there; here it is only read and shown again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from apps.experiments.algorithms.schema import Algorithm, Parameter
from apps.tuning.parallel import show
from apps.tuning.space import Condition, load_space
from foundation.errors import AtelierError

LINEAR, LOG, LIST = "linear", "log", "list"
SCALES = ((LINEAR, "even steps"), (LOG, "log scale"), (LIST, "only these"))
#: A parameter may be left empty; in a list of values it is written so.
EMPTY = "empty"


@dataclass(frozen=True)
class Row:
    """One parameter. low, high, step, fixed: as entered; chosen: words of the choices that are ticked.

    error: a sentence, with part ("low", "fixed", …) naming the field of the row that it is about.
    """

    parameter: Parameter
    searched: bool
    fixed: str
    low: str = ""
    high: str = ""
    step: str = ""
    scale: str = LINEAR
    listed: str = ""
    chosen: tuple[str, ...] = ()
    when: str = ""
    error: str = ""
    part: str = ""

    @property
    def name(self) -> str:
        """The parameter's name."""
        return self.parameter.name

    @property
    def by_choice(self) -> bool:
        """Whether it has choices instead of a range."""
        return self.parameter.type in ("categorical", "boolean")

    @property
    def choices(self) -> list[tuple[str, bool]]:
        """[(word, ticked)] of all that the algorithm knows."""
        return [(word, word in self.chosen) for word in words_of(self.parameter)]

    @property
    def fixed_choices(self) -> list[tuple[str, bool]]:
        """[(word, selected)] for the one fixed value."""
        return [(word, word == self.fixed) for word in words_of(self.parameter)]

    @property
    def condition(self) -> str:
        """The condition that was taken over from another study, in words."""
        try:
            given = json.loads(self.when) if self.when else {}
        except ValueError:
            return ""
        return " and ".join(f"{name} is {_condition(wanted)}" for name, wanted in given.items())

    def dimension(self) -> dict[str, Any]:
        """Its part of search_space."""
        found: dict[str, Any] = {}
        if self.by_choice:
            found = {"type": "categorical", "choices": [_typed(self.parameter, w) for w in self.chosen]}
        elif self.scale == LIST:
            parts = [part.strip() for part in self.listed.replace(";", ",").split(",") if part.strip()]
            found = {"type": "categorical", "choices": [None if p.lower() == EMPTY else p for p in parts]}
        else:
            log = self.scale == LOG
            found = {"type": self.parameter.type, "low": self.low, "high": self.high, "log": log}
            if self.step.strip():
                found["step"] = self.step
        if self.when:
            try:
                found["when"] = json.loads(self.when)
            except ValueError:
                found["when"] = self.when
        return found

    def value(self) -> Any:
        """Its fixed value."""
        return _typed(self.parameter, self.fixed) if self.by_choice else self.fixed


@dataclass(frozen=True)
class SpaceForm:
    """All parameters of an algorithm for a task; those worth searching first."""

    algorithm: Algorithm
    rows: list[Row]
    scales: tuple[tuple[str, str], ...] = SCALES

    @classmethod
    def offered(cls, algorithm: Algorithm, task: str | None, fixed: Mapping[str, Any]) -> SpaceForm:
        """What an algorithm offers; fixed: values that differ from the defaults, such as an earlier run's."""
        both = set(algorithm.tasks)
        rows = [
            _offered(p, fixed.get(p.name, p.default), task is not None or both <= set(p.tasks))
            for p in algorithm.parameters_for(task)
        ]
        return cls(algorithm, _ordered(rows))

    @classmethod
    def of_study(
        cls, algorithm: Algorithm, task: str | None, space: Mapping[str, Any], fixed: Mapping[str, Any]
    ) -> SpaceForm:
        """The space of an earlier study."""
        dimensions = {d.name: d for d in load_space(algorithm, space)}
        rows = []
        for parameter in algorithm.parameters_for(task):
            row = replace(
                _offered(parameter, fixed.get(parameter.name, parameter.default), True), searched=False
            )
            dimension = dimensions.get(parameter.name)
            if dimension is not None:
                when = {c.name: c.as_json() for c in dimension.when}
                row = replace(row, searched=True, when=json.dumps(when) if when else "")
                words = tuple(show(choice) for choice in dimension.choices)
                if row.by_choice:
                    row = replace(row, chosen=words)
                elif dimension.type == "categorical":
                    row = replace(
                        row, scale=LIST, listed=", ".join(_text(c) or EMPTY for c in dimension.choices)
                    )
                else:
                    row = replace(
                        row,
                        low=_text(dimension.low),
                        high=_text(dimension.high),
                        step="" if dimension.step is None else _text(dimension.step),
                        scale=LOG if dimension.log else LINEAR,
                    )
            rows.append(row)
        return cls(algorithm, _ordered(rows))

    @classmethod
    def entered(cls, algorithm: Algorithm, task: str | None, data: Any) -> SpaceForm:
        """What a person entered (a QueryDict); rows that were not on the page are as offered."""
        rows = []
        for parameter in algorithm.parameters_for(task):
            row = _offered(parameter, parameter.default, True)
            name = parameter.name
            if f"p_{name}" in data:
                row = replace(
                    row,
                    searched=f"search_{name}" in data,
                    fixed=data.get(f"p_{name}", ""),
                    low=data.get(f"low_{name}", row.low),
                    high=data.get(f"high_{name}", row.high),
                    step=data.get(f"step_{name}", ""),
                    scale=data.get(f"scale_{name}", row.scale),
                    listed=data.get(f"list_{name}", row.listed),
                    chosen=tuple(data.getlist(f"choices_{name}")) if row.by_choice else (),
                    when=data.get(f"when_{name}", ""),
                )
            rows.append(row)
        return cls(algorithm, _ordered(rows))

    def search_space(self) -> dict[str, Any]:
        """For POST /studies."""
        return {row.name: row.dimension() for row in self.rows if row.searched}

    def fixed(self) -> dict[str, Any]:
        """The parameters with one value, for POST /studies."""
        return {row.name: row.value() for row in self.rows if not row.searched}

    def place(self, error: AtelierError) -> SpaceForm | None:
        """With the error beside the row that its field names; None when it names none."""
        area, _, rest = str(error.detail.get("field", "")).partition(".")
        name, _, part = rest.partition(".")
        if area not in ("search_space", "parameters", "fixed") or name not in {row.name for row in self.rows}:
            return None
        part = part or ("low" if area == "search_space" else "fixed")
        rows = [
            replace(row, error=error.message, part=part) if row.name == name else row for row in self.rows
        ]
        return SpaceForm(self.algorithm, rows)


def _ordered(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (not row.searched, row.parameter.advanced))


def _offered(parameter: Parameter, fixed: Any, may: bool) -> Row:
    found = parameter.search_range
    row = Row(parameter, parameter.search.offered and may, _text(fixed))
    if found["type"] == "categorical":
        return replace(row, chosen=tuple(show(choice) for choice in found["choices"]), fixed=show(fixed))
    return replace(
        row,
        low=_text(found["low"]),
        high=_text(found["high"]),
        step="" if found["step"] is None else _text(found["step"]),
        scale=LOG if found["log"] else LINEAR,
    )


def words_of(parameter: Parameter) -> list[str]:
    """The choices of a parameter in words; a boolean has two."""
    return [show(choice) for choice in (parameter.choices or (False, True))]


def _typed(parameter: Parameter, word: str) -> Any:
    return {"true": True, "false": False}.get(word, word) if parameter.type == "boolean" else word


def _text(value: Any) -> str:
    """A number as it is typed: 0.0001 rather than 1e-04, but 1e-09 stays."""
    if value is None:
        return ""
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _condition(wanted: Any) -> str:
    condition = Condition("", tuple(wanted)) if isinstance(wanted, list) else None
    if condition is not None:
        return " or ".join(show(value) for value in condition.values)
    low, high = (wanted.get(key) if isinstance(wanted, dict) else None for key in ("low", "high"))
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    return (
        f"at least {low:g}" if low is not None else f"at most {high:g}" if high is not None else show(wanted)
    )
