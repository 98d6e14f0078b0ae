"""The bundle: what a deployment must know about a model, read from MLflow's MLmodel file without loading it.

Pure functions over JSON and YAML text; no engine is imported here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from foundation.tasks import UserError

_TYPES = {
    "long": "integer",
    "integer": "integer",
    "double": "number",
    "float": "number",
    "string": "string",
    "boolean": "boolean",
    "datetime": "datetime",
}
GOLDEN_ROWS = 5


def read_columns(mlmodel: dict[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
    """The input columns ({name, type, required}) and, for a tensor signature, its dtype (else None).

    Raises UserError "deployments.no_signature" or "deployments.unsupported_input".
    """
    signature = mlmodel.get("signature") or {}
    inputs = json.loads(signature.get("inputs") or "[]")
    if not inputs:
        raise UserError(
            "The model has no signature, so the studio cannot check what is sent to it. Log it again with an "
            "input example or a signature.",
            code="deployments.no_signature",
        )
    if len(inputs) == 1 and inputs[0].get("type") == "tensor":
        spec = inputs[0]["tensor-spec"]
        shape = spec["shape"]
        if len(shape) != 2 or shape[1] < 1:
            raise UserError(
                f"The model takes a tensor of shape {tuple(shape)}; only tables (rows × columns) can be deployed.",
                code="deployments.unsupported_input",
            )
        kind = "integer" if spec["dtype"].startswith(("int", "uint")) else "number"
        return [{"name": f"x{i}", "type": kind, "required": True} for i in range(shape[1])], spec["dtype"]
    columns = []
    for index, item in enumerate(inputs):
        known = _TYPES.get(str(item.get("type")))
        if known is None:
            raise UserError(
                f"Input column '{item.get('name', index)}' has the type {item.get('type')}, which cannot be deployed.",
                code="deployments.unsupported_input",
            )
        columns.append(
            {
                "name": str(item.get("name", f"x{index}")),
                "type": known,
                "required": bool(item.get("required", True)),
            }
        )
    return columns, None


def read_example(folder: Path, mlmodel: dict[str, Any], columns: list[dict[str, Any]]) -> list[list[Any]]:
    """Up to GOLDEN_ROWS rows of the model's input example, in column order; typed zeros where it has none."""
    info = mlmodel.get("saved_input_example_info") or {}
    path = folder / str(info.get("artifact_path", ""))
    names = [column["name"] for column in columns]
    if info.get("type") == "dataframe" and path.is_file():
        data = json.loads(path.read_text())
        if "columns" in data and "data" in data:
            where = {str(name): i for i, name in enumerate(data["columns"])}
            if set(names) <= set(where):
                return [[row[where[name]] for name in names] for row in data["data"][:GOLDEN_ROWS]]
        elif isinstance(data.get("data"), list):
            return [list(row) for row in data["data"][:GOLDEN_ROWS]]
    elif info.get("type") == "ndarray" and path.is_file():
        data = json.loads(path.read_text())
        rows = data.get("inputs", data) if isinstance(data, dict) else data
        if isinstance(rows, list) and rows and isinstance(rows[0], list):
            return [list(row) for row in rows[:GOLDEN_ROWS]]
    zero = {"integer": 0, "number": 0.0, "string": "", "boolean": False, "datetime": "2000-01-01T00:00:00"}
    return [[zero[column["type"]] for column in columns]]


def same_answer(expected: dict[str, Any], actual: dict[str, Any]) -> bool:
    """Whether two answers agree: equal labels, numbers within 1e-6 relative (libraries may sum in another order)."""
    return expected.keys() == actual.keys() and all(_same(expected[key], actual[key]) for key in expected)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    if (
        isinstance(a, bool)
        or isinstance(b, bool)
        or not isinstance(a, int | float)
        or not isinstance(b, int | float)
    ):
        return bool(a == b)
    return abs(a - b) <= 1e-6 * max(1.0, abs(a), abs(b))
