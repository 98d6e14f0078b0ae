"""Model folders as MLflow wrote them. For sandboxed programs only: loading a model runs its code.

`describe` reads nothing but the MLmodel file and the JSON of the input example, and is safe anywhere that
may parse uploaded bytes; `load` executes the model.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ModelDescription:
    """What an MLmodel file says. columns and outputs: [{"name", "type", "required"}]; example: a list of
    records or rows as saved with the model, None when there is none."""

    model_id: str
    run_id: str
    flavors: tuple[str, ...]
    columns: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    example: list[Any] | None = None
    example_columns: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)

    def records(self) -> list[dict[str, Any]]:
        """The rows of the input example as column -> value; empty when there is none."""
        names = self.example_columns or [str(column["name"]) for column in self.columns]
        found: list[dict[str, Any]] = []
        for row in self.example or []:
            if isinstance(row, dict):
                found.append(dict(row))
            elif isinstance(row, list):
                found.append(dict(zip(names, row, strict=False)))
        return found


def describe(folder: Path) -> ModelDescription:
    """Read the MLmodel file of a model folder. Raises ValueError when it is missing or cannot be read."""
    import yaml

    path = folder / "MLmodel"
    if not path.is_file():
        raise ValueError("The folder holds no MLmodel file.")
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError("The MLmodel file cannot be read.") from error
    if not isinstance(content, dict):
        raise ValueError("The MLmodel file cannot be read.")
    signature = content.get("signature") or {}
    metadata = content.get("metadata")
    example, names = _example(folder, content.get("saved_input_example_info") or {})
    return ModelDescription(
        model_id=str(content.get("model_id") or ""),
        run_id=str(content.get("run_id") or ""),
        flavors=tuple(sorted(content.get("flavors") or {})),
        columns=_columns(signature.get("inputs")),
        outputs=_columns(signature.get("outputs")),
        example=example,
        example_columns=names,
        metadata=metadata if isinstance(metadata, dict) else {},
    )


def _columns(text: str | None) -> list[dict[str, Any]]:
    if not text:
        return []
    columns = []
    for position, entry in enumerate(json.loads(text)):
        columns.append(
            {
                "name": str(entry.get("name", position)),
                "type": str(entry.get("type", "")),
                "required": bool(entry.get("required", True)),
            }
        )
    return columns


def _example(folder: Path, info: dict[str, Any]) -> tuple[list[Any] | None, list[str]]:
    name = str(info.get("artifact_path") or "")
    path = folder / name
    if not name or not path.is_file() or path.suffix != ".json":
        return None, []
    try:
        content = json.loads(path.read_text("utf-8"))
    except (ValueError, UnicodeDecodeError):
        return None, []
    if isinstance(content, dict) and isinstance(content.get("data"), list):
        return content["data"], [str(name) for name in content.get("columns", [])]
    if isinstance(content, dict):
        rows = content.get("dataframe_split") or content.get("inputs")
        if isinstance(rows, dict):
            return rows.get("data"), [str(name) for name in rows.get("columns", [])]
        return (rows, []) if isinstance(rows, list) else ([content], [])
    return (content, []) if isinstance(content, list) else (None, [])


def load(folder: Path) -> Any:
    """The model as MLflow's pyfunc, with `predict(frame)`. Executes the model's own code."""
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(str(folder))


def example_frame(model: Any) -> Any:
    """The input example that was saved with a loaded model, as its predict() takes it, or None."""
    return model.input_example
