"""The editor of definitions: the text it begins with, and what is said about a text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from apps.pipelines.definition import Definition, read_definition
from apps.pipelines.models import Pipeline, PipelineVersion
from apps.pipelines.presenting import Picture, picture_of
from foundation.errors import AtelierError


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a text. excerpt: the line it stands in; caret: blanks before the place."""

    message: str
    pointer: str
    line: int
    column: int
    excerpt: str
    caret: str


@dataclass(frozen=True)
class Check:
    """What is said beside the editor: faults, or the picture of what the text describes."""

    faults: list[Fault]
    picture: Picture | None = None
    definition: Definition | None = None
    more: int = 0


def check_text(text: str) -> Check:
    """Read a definition and say what it is."""
    try:
        definition = read_definition(text)
    except AtelierError as error:
        return Check(faults_of(error, text))
    return Check([], picture_of(definition), definition)


def faults_of(error: AtelierError, text: str) -> list[Fault]:
    """The faults of an error, each with its line of the text."""
    lines = text.splitlines()
    found = []
    for told in error.detail.get("errors") or [{"message": error.message, **error.detail}]:
        line, column = int(told.get("line") or 0), int(told.get("column") or 0)
        raw = lines[line - 1] if 0 < line <= len(lines) else ""
        start = max(0, column - 41)
        found.append(
            Fault(
                message=str(told.get("message", "")),
                pointer=str(told.get("pointer", "")),
                line=line,
                column=column,
                excerpt=raw[start : start + 80],
                caret=" " * max(0, column - 1 - start),
            )
        )
    return found


def text_of(pipeline: Pipeline, version: PipelineVersion | None = None) -> str:
    """A pipeline's definition as the text that an editor begins with."""
    kept = version or pipeline.latest
    head: dict[str, Any] = {"name": pipeline.name}
    if pipeline.description:
        head["description"] = pipeline.description
    return json.dumps(head | (kept.definition if kept is not None else {}), ensure_ascii=False, indent=2)
