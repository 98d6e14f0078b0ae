"""The types of parameters, of a node's fields and of its outputs, and which fits where.

string, integer, number, boolean, list, object: as in JSON. metrics: an object of numbers. dataset: "churn" or
"churn@2". model: "churn/3" or "churn@production". run: the id of a run. study, deployment, promotion: names and ids
of such. any: known only when the run is there.
"""

from __future__ import annotations

from typing import Any

WORDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "list": "a list",
    "object": "an object",
    "metrics": "an object of numbers",
    "dataset": 'a dataset, such as "churn" or "churn@2"',
    "model": 'a model version, such as "churn/3" or "churn@production"',
    "run": "the id of a run",
    "study": "the name of a study",
    "deployment": "the name of a deployment",
    "promotion": "the id of a promotion",
    "any": "anything",
}
#: Types whose values are texts in JSON.
TEXTUAL = frozenset({"string", "dataset", "model", "run", "study", "deployment", "promotion"})
OBJECTS = frozenset({"object", "metrics"})
#: What a parameter of a pipeline may be.
PARAMETER_TYPES = ("string", "integer", "number", "boolean", "list", "object", "dataset", "model")


def fits(given: str, wanted: str) -> bool:
    """Whether an output of type `given` may stand where `wanted` is expected.

    A plain text may be a name of anything, and any name may be read as text; two different kinds of names never
    stand for one another.
    """
    if "any" in (given, wanted) or given == wanted:
        return True
    if wanted == "number":
        return given == "integer"
    if wanted in TEXTUAL and given in TEXTUAL:
        return "string" in (given, wanted)
    return wanted in OBJECTS and given in OBJECTS


def entry_type(type_: str) -> str:
    """The type of one entry of an output: metrics hold numbers, other objects anything."""
    return "number" if type_ == "metrics" else "any"


def has_entries(type_: str) -> bool:
    """Whether ${node.output.key} makes sense."""
    return type_ in OBJECTS or type_ == "any"


def matches(value: Any, wanted: str) -> bool:
    """Whether a value of JSON is of the type. A whole number such as 3.0 counts as one."""
    if wanted == "any":
        return True
    if wanted == "boolean":
        return isinstance(value, bool)
    if wanted == "integer":
        return not isinstance(value, bool) and (
            isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        )
    if wanted == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if wanted in TEXTUAL:
        return isinstance(value, str)
    if wanted == "list":
        return isinstance(value, list)
    if wanted == "metrics":
        return isinstance(value, dict) and all(matches(part, "number") for part in value.values())
    return isinstance(value, dict)


def named(value: Any) -> str:
    """What a value of JSON is, in words."""
    if value is None:
        return "null"
    for type_ in ("boolean", "integer", "number", "string", "list", "object"):
        if matches(value, type_):
            return WORDS[type_]
    return "something else"
