"""What an algorithm declares about itself: tasks and typed parameters, validated in one place.

The same schema renders the form, validates the API, fills the documentation and offers search spaces.
Standard library only, because web, worker and sandbox all import it.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from foundation.errors import Invalid

TASKS = ("classification", "regression")
Value = float | int | str | bool | None


def _always_here() -> str | None:
    return None


@dataclass(frozen=True)
class Search:
    """What a study is offered to search of a parameter: the part of its limits that is worth the trials.

    What is left out is the parameter's own: its limits, its choices (of a boolean: both), its scale. offered:
    the parameter belongs to the space that a new study begins with; the others can be switched on.
    """

    low: float | None = None
    high: float | None = None
    log: bool | None = None
    step: float | None = None
    choices: tuple[Value, ...] = ()
    offered: bool = True


@dataclass(frozen=True)
class Parameter:
    """One setting of an algorithm.

    type: float, int, categorical or boolean. low and high are inclusive; `log` says that the natural scale
    is logarithmic (low > 0). nullable: None is allowed and means what `none_means` says. tasks: the tasks
    that know this parameter. advanced: folded away in the form. search: what a study may search of it;
    left out, all of it can be searched, but is not at first.
    """

    name: str
    type: Literal["float", "int", "categorical", "boolean"]
    default: Value
    title: str
    help: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[str, ...] = ()
    nullable: bool = False
    none_means: str = "no limit"
    tasks: tuple[str, ...] = TASKS
    advanced: bool = False
    search: Search = Search(offered=False)

    @property
    def search_range(self) -> dict[str, Any]:
        """The offered dimension as POST /studies takes it: type with low, high, log, step, or with choices."""
        found = self.search
        if self.type in ("categorical", "boolean"):
            own = self.choices or (False, True)
            return {"type": "categorical", "choices": list(found.choices or own)}
        low, high = (
            mine if wanted is None else wanted
            for wanted, mine in ((found.low, self.low), (found.high, self.high))
        )
        number = int if self.type == "int" else float
        return {
            "type": self.type,
            "low": None if low is None else number(low),
            "high": None if high is None else number(high),
            "log": self.log if found.log is None else found.log,
            "step": None if found.step is None else number(found.step),
        }

    @property
    def range_text(self) -> str:
        """The allowed values in words, for help texts and error messages."""
        if self.type == "categorical":
            text = "one of " + ", ".join(self.choices)
        elif self.type == "boolean":
            text = "true or false"
        else:
            kind = "a whole number" if self.type == "int" else "a number"
            text = f"{kind} from {self.low:g} to {self.high:g}"
        return f"{text}, or empty for {self.none_means}" if self.nullable else text

    def clean(self, value: object) -> Value:
        """The value in its own type. Accepts JSON values and the strings of a form.

        Raises Invalid: "parameter.invalid" for a wrong type, "parameter.out_of_range" with low and high.
        """
        if value is None or (isinstance(value, str) and not value.strip()):
            if self.nullable:
                return None
            raise self._refuse("parameter.invalid", "is empty")
        if self.type == "boolean":
            return self._clean_boolean(value)
        if self.type == "categorical":
            if isinstance(value, str) and value in self.choices:
                return value
            raise self._refuse("parameter.out_of_range", f"is {_show(value)}")
        return self._clean_number(value)

    def _clean_boolean(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.strip().lower() in {"true", "on", "yes", "1"}:
            return True
        if isinstance(value, str) and value.strip().lower() in {"false", "off", "no", "0"}:
            return False
        raise self._refuse("parameter.invalid", f"is {_show(value)}")

    def _clean_number(self, value: object) -> float | int:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise self._refuse("parameter.invalid", f"is {_show(value)}")
        try:
            number = int(value) if isinstance(value, int) else float(value)
            if self.type == "int" and isinstance(number, float) and number.is_integer():
                number = int(number)
        except (ValueError, OverflowError):
            raise self._refuse("parameter.invalid", f"is {_show(value)}") from None
        if isinstance(number, float) and not math.isfinite(number):
            raise self._refuse("parameter.invalid", f"is {_show(value)}")
        if self.type == "int" and not isinstance(number, int):
            raise self._refuse("parameter.invalid", f"is {_show(value)}")
        if (self.low is not None and number < self.low) or (self.high is not None and number > self.high):
            raise self._refuse("parameter.out_of_range", f"is {_show(value)}")
        return float(number) if self.type == "float" else number

    def _refuse(self, code: str, what: str) -> Invalid:
        detail: dict[str, Any] = {"field": f"parameters.{self.name}", "type": self.type}
        if self.low is not None or self.high is not None:
            detail |= {"low": self.low, "high": self.high}
        if self.choices:
            detail["choices"] = list(self.choices)
        return Invalid(code, f"The parameter {self.name} {what}; allowed is {self.range_text}.", detail)

    def as_json(self) -> dict[str, Any]:
        """The parameter for GET /algorithms."""
        return {
            "name": self.name,
            "type": self.type,
            "default": self.default,
            "title": self.title,
            "help": self.help,
            "low": self.low,
            "high": self.high,
            "log": self.log,
            "choices": list(self.choices),
            "nullable": self.nullable,
            "advanced": self.advanced,
            "task": list(self.tasks),
            "search": self.search_range | {"offered": self.search.offered},
        }


@dataclass(frozen=True)
class Algorithm:
    """The manifest of one plug-in.

    scales: the estimator wants features of mean 0 and deviation 1. iterations: what its steps are called where
    build.fit_in_steps can report between them ("" where not). judged_from: the step before which trials that learn
    slowly, and in the end often better, are still far behind. probe: answers why the algorithm cannot
    run on this machine (a sentence), or None; it must not import the library itself.
    """

    name: str
    title: str
    description: str
    parameters: tuple[Parameter, ...]
    tasks: tuple[str, ...] = TASKS
    scales: bool = False
    iterations: str = ""
    judged_from: int = 27
    order: int = 50
    probe: Callable[[], str | None] = _always_here

    def missing(self) -> str | None:
        """Why the algorithm cannot be used here, or None when it can."""
        return self.probe()

    def parameters_for(self, task: str | None) -> list[Parameter]:
        """The parameters that the task knows; all of them when the task is not known yet."""
        return [p for p in self.parameters if task is None or task in p.tasks]

    def clean(self, values: object, task: str | None = None) -> dict[str, Value]:
        """Validated parameters with defaults filled in, in schema order.

        `task` None accepts the parameters of either task (it is decided when the data is read). Raises
        Invalid "parameter.unknown", "parameter.invalid" or "parameter.out_of_range", naming the field.
        """
        if values is None:
            values = {}
        if not isinstance(values, Mapping):
            raise Invalid(
                "parameter.invalid",
                'The parameters must be an object such as {"name": value}.',
                {"field": "parameters"},
            )
        mine = {p.name: p for p in self.parameters_for(task)}
        for name in values:
            if name not in mine:
                raise Invalid(
                    "parameter.unknown",
                    f"{self.title} has no parameter '{str(name)[:80]}'"
                    f"{f' for {task}' if task else ''}. It knows: {', '.join(mine)}.",
                    {"field": f"parameters.{str(name)[:80]}", "known": list(mine)},
                )
        return {n: p.clean(values[n]) if n in values else p.default for n, p in mine.items()}

    def build(self, task: str, parameters: Mapping[str, Value], seed: int) -> Any:
        """An unfitted scikit-learn estimator. Imports the library: call it in the sandbox only."""
        mine = {p.name: p for p in self.parameters_for(task)}
        chosen = {name: parameters.get(name, p.default) for name, p in mine.items()}
        return self._module().build(task, chosen, seed)

    def fit_in_steps(
        self, estimator: Any, features: Any, target: Any, tell: Callable[[int, Any], None]
    ) -> None:
        """Fit as estimator.fit(features, target) does, and call tell(step, model) on the way, where the model
        can predict. Only for algorithms with `iterations`."""
        self._module().fit_in_steps(estimator, features, target, tell)

    def curves(
        self, estimator: Any, features: Any, target: Any, task: str
    ) -> dict[str, list[tuple[int, float]]]:
        """How the fitted estimator learned: series name -> [(step, value)], empty where it has none.

        features: encoded matrix (rows, columns) of held-out rows; target: their true values (rows,).
        """
        function = getattr(self._module(), "curves", None)
        found: dict[str, list[tuple[int, float]]] = (
            function(estimator, features, target, task) if function else {}
        )
        return found

    def _module(self) -> Any:
        return importlib.import_module(f"apps.experiments.algorithms.{self.name}.build")

    def as_json(self) -> dict[str, Any]:
        """The algorithm for GET /algorithms."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "task": list(self.tasks),
            "parameters": [p.as_json() for p in self.parameters],
        }


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
