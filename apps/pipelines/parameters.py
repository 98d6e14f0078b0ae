"""The parameters of a pipeline: declared in the definition, given values by each run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apps.pipelines import types
from apps.pipelines.entries import check_known, nearest, text_of
from apps.pipelines.problems import Path, Problems
from apps.pipelines.reading import read_value
from apps.pipelines.references import NODE_NAME
from foundation.errors import Invalid

if TYPE_CHECKING:
    from apps.pipelines.definition import Definition

MOST_PARAMETERS = 50
MOST_CHOICES = 50
LONGEST_HELP = 1000
PARAMETER_FIELDS = ("type", "default", "description", "choices")


@dataclass(frozen=True)
class Parameter:
    """A value that each run may set. has_default: a run need not name it. choices: all that is allowed, if any."""

    name: str
    type: str
    default: Any = None
    has_default: bool = False
    description: str = ""
    choices: tuple[Any, ...] = ()


def read_parameters(value: Any, problems: Problems) -> dict[str, Parameter]:
    """The parameters of a definition; faults are noted."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        problems.add(
            "pipeline.field_type",
            'The parameters must be an object such as {"rows": {"type": "integer", "default": 100}}.',
            ("parameters",),
        )
        return {}
    if len(value) > MOST_PARAMETERS:
        problems.add(
            "pipeline.too_many_parameters",
            f"There are {len(value)} parameters; {MOST_PARAMETERS} are allowed.",
            ("parameters",),
        )
    return {name: _parameter(name, entry, problems) for name, entry in value.items()}


def _parameter(name: str, entry: Any, problems: Problems) -> Parameter:
    path: Path = ("parameters", name)
    unknown = Parameter(name, "any")
    if not NODE_NAME.fullmatch(name):
        problems.add(
            "pipeline.parameter_name",
            f"The parameter '{name[:60]}' needs 1 to 63 letters, digits, '_' or '-', beginning with a letter.",
            path,
        )
    if not isinstance(entry, dict):
        problems.add(
            "pipeline.field_type",
            f'A parameter is an object such as {{"type": "integer"}}, not {types.named(entry)}.',
            path,
        )
        return unknown
    check_known(entry, PARAMETER_FIELDS, f"The parameter '{name[:60]}'", path, problems)
    type_ = entry.get("type")
    if type_ not in types.PARAMETER_TYPES:
        said = "has no type" if type_ is None else f"has the type {json.dumps(type_)[:60]}"
        near = nearest(type_, types.PARAMETER_TYPES) if isinstance(type_, str) else ""
        problems.add(
            "pipeline.parameter_type",
            f"The parameter '{name[:60]}' {said}.{near} There are: {', '.join(types.PARAMETER_TYPES)}.",
            (*path, "type"),
        )
        return unknown
    choices = _choices(name, entry, type_, problems)
    default, has_default = entry.get("default"), entry.get("default") is not None
    if has_default and not types.matches(default, type_):
        problems.add(
            "pipeline.parameter_default",
            f"The default of '{name}' is {types.named(default)}, but the parameter is {types.WORDS[type_]}.",
            (*path, "default"),
        )
    elif has_default and choices and default not in choices:
        problems.add(
            "pipeline.parameter_default",
            f"The default of '{name}' is none of its choices.",
            (*path, "default"),
        )
    told = text_of(entry, "description", path, problems, LONGEST_HELP) or ""
    return Parameter(name, type_, default, has_default, told, choices)


def _choices(name: str, entry: Mapping[str, Any], type_: str, problems: Problems) -> tuple[Any, ...]:
    value = entry.get("choices")
    if value is None:
        return ()
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_CHOICES or type_ in ("list", "object"):
        problems.add(
            "pipeline.parameter_choices",
            f"The choices of '{name}' must be a list of 1 to {MOST_CHOICES} simple values.",
            ("parameters", name, "choices"),
        )
        return ()
    for index, choice in enumerate(value):
        if not types.matches(choice, type_):
            problems.add(
                "pipeline.parameter_choices",
                f"This choice of '{name}' is {types.named(choice)}, but the parameter is {types.WORDS[type_]}.",
                ("parameters", name, "choices", index),
            )
    return tuple(value)


def clean_parameters(definition: Definition, given: Any) -> dict[str, Any]:
    """Every parameter with its value for one run: what was given, else the default.

    Raises Invalid "pipeline.parameter_unknown", "pipeline.parameter_missing", "pipeline.parameter_value", each with
    the field's name.
    """
    if given is None:
        given = {}
    if not isinstance(given, dict):
        raise Invalid(
            "pipeline.parameter_value",
            'The parameters must be an object such as {"rows": 100}.',
            {"field": "parameters"},
        )
    read_value(given)
    for name in given:
        if name not in definition.parameters:
            known = ", ".join(definition.parameters) or "none"
            raise Invalid(
                "pipeline.parameter_unknown",
                f"This pipeline has no parameter '{str(name)[:60]}'.{nearest(str(name), definition.parameters)}"
                f" It has: {known}.",
                {"field": f"parameters.{str(name)[:60]}"},
            )
    return {
        name: _parameter_value(parameter, given.get(name))
        for name, parameter in definition.parameters.items()
    }


def _parameter_value(parameter: Parameter, value: Any) -> Any:
    where = {"field": f"parameters.{parameter.name}"}
    if value is None:
        if not parameter.has_default:
            raise Invalid(
                "pipeline.parameter_missing", f"The parameter '{parameter.name}' needs a value.", where
            )
        return parameter.default
    if not types.matches(value, parameter.type):
        raise Invalid(
            "pipeline.parameter_value",
            f"The parameter '{parameter.name}' must be {types.WORDS[parameter.type]}, not {types.named(value)}.",
            where,
        )
    if parameter.choices and value not in parameter.choices:
        allowed = ", ".join(json.dumps(choice, ensure_ascii=False) for choice in parameter.choices)
        raise Invalid(
            "pipeline.parameter_value", f"The parameter '{parameter.name}' must be one of {allowed}.", where
        )
    return value
