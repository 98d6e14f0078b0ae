"""The search space of a study: checked dimensions, made of the algorithm's own parameter schema.

Standard library only: web, scheduler and worker all read spaces. The order of the dimensions is the schema's,
with every condition's parameter before those that wait for it; JSON in PostgreSQL keeps no order of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, cast

from apps.experiments.algorithms.schema import Algorithm, Parameter, Value
from foundation.errors import AtelierError, Invalid

Kind = Literal["float", "int", "categorical"]
KEYS = ("type", "low", "high", "log", "step", "choices", "when")
TYPES = ("float", "int", "categorical")
#: Larger categories are no longer categories: a sampler learns nothing about each.
CHOICES_AT_MOST = 100


@dataclass(frozen=True)
class Condition:
    """A dimension exists only while the parameter `name` has one of `values`, or lies within low and high."""

    name: str
    values: tuple[Value, ...] = ()
    low: float | None = None
    high: float | None = None

    def holds(self, parameters: Mapping[str, Any]) -> bool:
        """Whether it is so among these parameters; one that is itself absent (its condition fails) is not."""
        if self.name not in parameters:
            return False
        value = parameters[self.name]
        if self.values:
            return any(_same(value, known) for known in self.values)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def as_json(self) -> Any:
        """As the body of POST /studies has it behind the parameter's name."""
        if self.values:
            return list(self.values)
        return {key: value for key, value in (("low", self.low), ("high", self.high)) if value is not None}


@dataclass(frozen=True)
class Dimension:
    """One searched parameter. low and high are inclusive, and reachable by whole steps.

    type float, int: low, high, and log or step. type categorical: choices, in their own types (None means
    empty, where the parameter may be). when: all conditions that must hold; otherwise the parameter keeps its default.
    """

    name: str
    type: Kind
    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    step: float | int | None = None
    choices: tuple[Value, ...] = ()
    when: tuple[Condition, ...] = ()

    @property
    def points(self) -> float:
        """How many different values there are; infinite for a continuous one."""
        if self.type == "categorical":
            return len(self.choices)
        assert self.low is not None
        assert self.high is not None
        if self.low == self.high:
            return 1
        step = self.step or (1 if self.type == "int" else None)
        return math.inf if step is None else round((self.high - self.low) / step) + 1

    def active(self, parameters: Mapping[str, Any]) -> bool:
        """Whether the dimension exists for these parameters (those of the dimensions before it)."""
        return all(condition.holds(parameters) for condition in self.when)

    def as_json(self) -> dict[str, Any]:
        """As the body of POST /studies has it; parse_space reads it back to an equal dimension."""
        found: dict[str, Any] = {"type": self.type}
        if self.type == "categorical":
            found["choices"] = list(self.choices)
        else:
            found |= {"low": self.low, "high": self.high, "log": self.log, "step": self.step}
        if self.when:
            found["when"] = {condition.name: condition.as_json() for condition in self.when}
        return found


def default_space(algorithm: Algorithm, task: str | None = None) -> dict[str, Any]:
    """The search space that is offered for an algorithm, as POST /studies takes it.

    While the task is open (None), only parameters that all tasks know.
    """
    return {
        p.name: p.search_range
        for p in algorithm.parameters_for(task)
        if p.search.offered and (task is not None or set(algorithm.tasks) <= set(p.tasks))
    }


def space_json(dimensions: Sequence[Dimension]) -> dict[str, Any]:
    """The checked space as it is stored and answered."""
    return {dimension.name: dimension.as_json() for dimension in dimensions}


def count_points(dimensions: Sequence[Dimension]) -> float:
    """How many different points the space has at most (conditions only lessen it); may be infinite."""
    return math.prod(dimension.points for dimension in dimensions)


def load_space(algorithm: Algorithm | None, stored: Mapping[str, Any]) -> list[Dimension]:
    """The dimensions of a space that was checked before (space_json), in their order, without checking again.

    algorithm: None where the plug-in is gone; the order is then the names'.
    """
    place = {p.name: n for n, p in enumerate(algorithm.parameters)} if algorithm else {}
    found = {
        name: Dimension(
            name,
            given["type"],
            low=given.get("low"),
            high=given.get("high"),
            log=bool(given.get("log")),
            step=given.get("step"),
            choices=tuple(given.get("choices") or ()),
            when=_conditions(name, given.get("when")),
        )
        for name, given in sorted(stored.items(), key=lambda item: (place.get(item[0], len(place)), item[0]))
    }
    return _sorted(found)


def parse_space(
    algorithm: Algorithm,
    search_space: object,
    fixed: Mapping[str, Any] | None = None,
    *,
    task: str | None = None,
) -> list[Dimension]:
    """The dimensions of a search space, in the order in which they are to be suggested.

    search_space: {parameter: {type?, low?, high?, log?, step?, choices?, when?}}; what is left out is the
    algorithm's offer. None stands for all that the algorithm offers and that is not fixed. fixed: parameters
    with one value for all trials. Raises Invalid "study.space" with a sentence and the field in detail.
    """
    fixed = fixed or {}
    if search_space is None:
        search_space = {n: d for n, d in default_space(algorithm, task).items() if n not in fixed}
    if not isinstance(search_space, Mapping):
        raise _refusal(
            "The search space must be an object such as "
            '{"learning_rate": {"type": "float", "low": 0.01, "high": 0.3}}.'
        )
    if not search_space:
        raise _refusal("The search space is empty: name at least one parameter to search.")
    known = {p.name: p for p in algorithm.parameters_for(task)}
    for name in search_space:
        if name not in known:
            raise _refusal(
                f"{algorithm.title} has no parameter '{str(name)[:80]}'{f' for {task}' if task else ''} to search. "
                f"It knows: {', '.join(known)}.",
                str(name)[:80],
                known=list(known),
            )
        if name in fixed:
            raise _refusal(f"The parameter {name} is both fixed and searched: choose one of the two.", name)
    dimensions = {
        name: _dimension(parameter, search_space[name])
        for name, parameter in known.items()
        if name in search_space
    }
    ordered = _in_order(dimensions)
    if count_points(ordered) <= 1:
        raise _refusal(
            "The search space is a single point, so every trial would be the same: widen a range or add a choice.",
            ordered[0].name,
        )
    return ordered


def _dimension(parameter: Parameter, given: object) -> Dimension:
    name = parameter.name
    if not isinstance(given, Mapping):
        raise _refusal(
            f'The search of {name} must be an object such as {{"low": 1, "high": 10}} or {{"choices": [1, 2]}}.',
            name,
        )
    for key in given:
        if key not in KEYS:
            raise _refusal(
                f"The search of {name} has no field '{str(key)[:40]}'. It knows: {', '.join(KEYS)}.",
                f"{name}.{str(key)[:40]}",
            )
    kind = _type(parameter, given)
    when = _conditions(name, given.get("when"))
    if kind == "categorical":
        for key in ("low", "high", "log", "step"):
            if given.get(key) not in (None, False):
                raise _refusal(f"{name} is searched by choices and has no {key}.", f"{name}.{key}")
        return Dimension(name, "categorical", choices=_choices(parameter, given), when=when)
    if given.get("choices"):
        raise _refusal(f"{name} has choices, so its type is categorical, not {kind}.", f"{name}.choices")
    return _range(parameter, kind, given, when)


def _type(parameter: Parameter, given: Mapping[str, Any]) -> Kind:
    name, offered = parameter.name, parameter.search_range["type"]
    kind = given.get("type")
    if kind is None:
        kind = "categorical" if given.get("choices") is not None else offered
    if kind not in TYPES:
        raise _refusal(
            f"The type of {name} is {_show(kind)}; allowed is float, int or categorical.", f"{name}.type"
        )
    if kind == offered or kind == "categorical" or (kind == "int" and offered == "float"):
        return cast(Kind, kind)
    allowed = "categorical" if offered == "categorical" else f"{offered} or categorical"
    raise _refusal(f"{name} cannot be searched as {kind}; its type is {allowed}.", f"{name}.type")


def _choices(parameter: Parameter, given: Mapping[str, Any]) -> tuple[Value, ...]:
    name = parameter.name
    field = f"{name}.choices"
    choices = given.get("choices", parameter.search_range.get("choices"))
    if not isinstance(choices, Sequence) or isinstance(choices, str):
        raise _refusal(f"The choices of {name} must be a list.", field)
    if not choices:
        raise _refusal(f"{name} has no choices: give at least one value.", field)
    if len(choices) > CHOICES_AT_MOST:
        raise _refusal(
            f"{name} has {len(choices)} choices; allowed are at most {CHOICES_AT_MOST}. A number has a range instead.",
            field,
        )
    found: list[Value] = []
    for choice in choices:
        try:
            value = parameter.clean(choice)
        except AtelierError as error:
            raise _refusal(
                f"{_show(choice)} is no choice of {name}; allowed is {parameter.range_text}.", field
            ) from error
        if any(_same(value, known) for known in found):
            raise _refusal(f"The choice {_show(value)} of {name} is there twice.", field)
        found.append(value)
    return tuple(found)


def _range(
    parameter: Parameter,
    kind: Literal["float", "int"],
    given: Mapping[str, Any],
    when: tuple[Condition, ...],
) -> Dimension:
    name, offered = parameter.name, parameter.search_range
    low = _number(name, "low", given.get("low"), kind, offered["low"])
    high = _number(name, "high", given.get("high"), kind, offered["high"])
    step = _number(name, "step", given.get("step"), kind, None)
    whole = {"low", "high", "log", "step"} & {key for key in given if given[key] is not None}
    log = given.get("log", offered["log"] and "step" not in whole)
    if not isinstance(log, bool):
        raise _refusal(f"The log of {name} is true or false.", f"{name}.log")
    if low is None or high is None:
        raise _refusal(
            f"The range of {name} needs low and high.", f"{name}.{'low' if low is None else 'high'}"
        )
    if low > high:
        raise _refusal(f"The range of {name} is empty: low {low:g} is above high {high:g}.", f"{name}.low")
    for key, value in (("low", low), ("high", high)):
        if (parameter.low is not None and value < parameter.low) or (
            parameter.high is not None and value > parameter.high
        ):
            raise _refusal(
                f"The {key} of {name} is {value:g}; {_limits(parameter)}.",
                f"{name}.{key}",
                low=parameter.low,
                high=parameter.high,
            )
    if log and low <= 0:
        raise _refusal(
            f"A log scale of {name} needs a low above zero; it is {low:g}. Raise it or leave the scale linear.",
            f"{name}.low",
        )
    if step is not None:
        if log:
            raise _refusal(f"{name} has both a log scale and a step: choose one of the two.", f"{name}.step")
        if step <= 0:
            raise _refusal(f"The step of {name} must be above zero; it is {step:g}.", f"{name}.step")
        if low < high and step > high - low:
            raise _refusal(
                f"The step of {name} is {step:g}, wider than its range from {low:g} to {high:g}.",
                f"{name}.step",
            )
        high = _reachable(low, high, step)
    return Dimension(name, kind, low=low, high=high, log=log, step=step, when=when)


def _reachable(low: float | int, high: float | int, step: float | int) -> float | int:
    """The largest value not above high that whole steps from low reach, in decimal arithmetic."""
    start, end, stride = (Decimal(str(number)) for number in (low, high, step))
    last = start + (end - start) // stride * stride
    return int(last) if all(isinstance(n, int) for n in (low, high, step)) else float(last)


def _number(name: str, key: str, value: object, kind: str, default: Any) -> Any:
    """A finite number in the dimension's own type; forms send strings."""
    field = f"{name}.{key}"
    if value is None or (isinstance(value, str) and not value.strip()):
        return default if default is None else (int(default) if kind == "int" else float(default))
    number: float | int | None = None
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = value if isinstance(value, int) else float(value)
        except ValueError:
            number = None
    if number is None or not -1e308 <= number <= 1e308:
        raise _refusal(f"The {key} of {name} is {_show(value)}; it must be a finite number.", field)
    if kind == "int" and number != int(number):
        raise _refusal(f"The {key} of {name} is {_show(value)}; it must be a whole number.", field)
    return int(number) if kind == "int" else float(number)


def _conditions(name: str, given: object) -> tuple[Condition, ...]:
    """Read `when`; whether its parameters exist and can have the values is checked once all are known."""
    if given is None or given == {}:
        return ()
    field = f"{name}.when"
    if not isinstance(given, Mapping):
        raise _refusal(
            f'The condition of {name} must be an object such as {{"bootstrap": [true]}} or {{"n_layers": {{"low": 2}}}}.',
            field,
        )
    return tuple(_condition(name, str(other), wanted) for other, wanted in sorted(given.items()))


def _condition(name: str, other: str, wanted: object) -> Condition:
    field = f"{name}.when"
    if isinstance(wanted, Mapping):
        if not wanted or set(wanted) - {"low", "high"}:
            raise _refusal(
                f"The condition of {name} on {other[:80]} takes low, high or a list of values.", field
            )
        low = _number(name, "when", wanted.get("low"), "float", None)
        high = _number(name, "when", wanted.get("high"), "float", None)
        return Condition(other, low=low, high=high)
    values: Sequence[Any] = (
        wanted if isinstance(wanted, Sequence) and not isinstance(wanted, str) else [wanted]
    )
    if not values or not all(v is None or isinstance(v, bool | int | float | str) for v in values):
        raise _refusal(
            f"The condition of {name} on {other[:80]} needs at least one value to wait for.", field
        )
    return Condition(other, values=tuple(values))


def _in_order(dimensions: Mapping[str, Dimension]) -> list[Dimension]:
    """Schema order, each after those it waits for. Raises Invalid for unknown ones, cycles, impossible values."""
    for dimension in dimensions.values():
        for condition in dimension.when:
            _check_condition(dimension, condition, dimensions)
    return _sorted(dimensions)


def _sorted(dimensions: Mapping[str, Dimension]) -> list[Dimension]:
    """In the given order, but each after those it waits for. Raises Invalid for a circle."""
    ordered: dict[str, Dimension] = {}
    waiting = dict(dimensions)
    while waiting:
        free = next((d for d in waiting.values() if all(c.name in ordered for c in d.when)), None)
        if free is None:
            circle = " → ".join(_cycle(waiting))
            first = next(iter(waiting))
            raise _refusal(f"The conditions form a circle: {circle}.", f"{first}.when", cycle=_cycle(waiting))
        ordered[free.name] = waiting.pop(free.name)
    return list(ordered.values())


def _check_condition(dimension: Dimension, condition: Condition, dimensions: Mapping[str, Dimension]) -> None:
    field = f"{dimension.name}.when"
    other = dimensions.get(condition.name)
    if other is None:
        raise _refusal(
            f"{dimension.name} waits for '{condition.name[:80]}', which is not searched. "
            f"Searched are: {', '.join(dimensions)}.",
            field,
        )
    if other.type == "categorical":
        possible = any(condition.holds({other.name: choice}) for choice in other.choices)
    else:
        assert other.low is not None
        assert other.high is not None
        numbers = [v for v in condition.values if isinstance(v, int | float) and not isinstance(v, bool)]
        low = other.low if condition.low is None else condition.low
        high = other.high if condition.high is None else condition.high
        possible = (
            any(other.low <= value <= other.high for value in numbers)
            if condition.values
            else low <= other.high and high >= other.low and low <= high
        )
    if not possible:
        raise _refusal(f"{dimension.name} waits for a value of {other.name} that is never tried.", field)


def _cycle(waiting: Mapping[str, Dimension]) -> list[str]:
    """Names along one circle, its first name again at the end."""
    path: list[str] = []
    name = next(iter(waiting))
    while name not in path:
        path.append(name)
        name = next(c.name for c in waiting[name].when if c.name in waiting)
    return [*path[path.index(name) :], name]


def _same(one: Any, other: Any) -> bool:
    """Equal, where true is not 1 and false not 0."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _limits(parameter: Parameter) -> str:
    return f"the algorithm allows {parameter.low:g} to {parameter.high:g}"


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _refusal(sentence: str, name: str = "", **more: Any) -> Invalid:
    field = f"search_space.{name}" if name else "search_space"
    return Invalid("study.space", sentence, {"field": field, **more})
