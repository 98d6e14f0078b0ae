"""JSON text to values, with the place of every value: so that an error can say line and column."""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

from apps.pipelines.problems import Path, Position, Problem, refuse

LARGEST_TEXT = 256 * 1024
DEEPEST = 20
_SPACE = re.compile(r"[ \t\n\r]*")
_SCALAR = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s,\]}]+', re.DOTALL)


@dataclass(frozen=True)
class Document:
    """A value with the place of each of its parts. places is empty when the value did not come as text."""

    value: Any
    places: dict[Path, Position] = field(default_factory=dict)


class _Twice(ValueError):
    """An object has a key twice."""


def read_text(text: str) -> Document:
    """Raises Invalid: "pipeline.not_json" (mostly with line and column), "pipeline.too_large", "pipeline.too_deep",
    "pipeline.duplicate_key", "pipeline.not_a_value" for NUL, half characters and numbers beyond all limits."""
    _check_size(len(text.encode("utf-8", "surrogatepass")))
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        place = Position(error.lineno, error.colno, error.pos)
        said = _plain_words(error.msg)
        raise refuse(
            [
                Problem(
                    "pipeline.not_json",
                    f"This is not JSON: {said} in line {place.line}, column {place.column}.",
                )
            ],
            {(): place},
        ) from error
    except RecursionError as error:
        said = "This cannot be read: it is nested too deeply."
        raise refuse([Problem("pipeline.not_json", said)]) from error
    except ValueError as error:  # NaN and Infinity
        raise refuse([Problem("pipeline.not_json", str(error))]) from error
    check_values(value)
    places: dict[Path, Position] = {}
    try:
        _locate(text, places)
    except _Twice as error:
        path, key = error.args
        raise refuse(
            [Problem("pipeline.duplicate_key", f"The key '{key[:60]}' stands here twice.", path)], places
        ) from error
    return Document(value, places)


def read_value(value: Any) -> Document:
    """A value that was parsed already. Raises Invalid as read_text does."""
    check_values(value)
    _check_size(len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")))
    return Document(value)


def _check_size(size: int) -> None:
    if size > LARGEST_TEXT:
        raise refuse(
            [
                Problem(
                    "pipeline.too_large",
                    f"The definition has {size // 1024} KiB; {LARGEST_TEXT // 1024} are allowed.",
                )
            ]
        )


def check_values(value: Any, path: Path = ()) -> None:
    """Raises Invalid for what no definition may hold: too deep nesting, infinity, NUL, half a character."""
    if len(path) > DEEPEST:
        raise _too_deep(path)
    if isinstance(value, dict):
        for key, part in value.items():
            check_values(str(key), path)
            check_values(part, (*path, str(key)))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            check_values(part, (*path, index))
    elif isinstance(value, str):
        if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise refuse(
                [Problem("pipeline.not_a_value", "A text holds a character that cannot be stored.", path)]
            )
    elif isinstance(value, float) and not math.isfinite(value):
        raise refuse([Problem("pipeline.not_a_value", "A number is too large, or is none.", path)])


def _too_deep(path: Path) -> Exception:
    return refuse(
        [
            Problem(
                "pipeline.too_deep", f"The definition is nested deeper than {DEEPEST} levels.", path[:DEEPEST]
            )
        ]
    )


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is not a value of JSON.")


def _plain_words(message: str) -> str:
    """json's messages as part of a sentence."""
    known = {
        "Expecting value": "a value is missing",
        "Extra data": "there is more text after its end",
        "Expecting ',' delimiter": "a comma is missing",
        "Expecting ':' delimiter": "a colon is missing",
        "Expecting property name enclosed in double quotes": "a key in double quotes is missing",
        "Illegal trailing comma before end of object": "a comma stands before the end of the object",
        "Illegal trailing comma before end of array": "a comma stands before the end of the list",
    }
    for start, said in known.items():
        if message.startswith(start):
            return said
    return message[:1].lower() + message[1:]


def _locate(text: str, places: dict[Path, Position]) -> None:
    """Fill in the place of every value of a text that json has accepted. Raises _Twice(path, key)."""
    starts = [0] + [match.end() for match in re.finditer("\n", text)]

    def at(offset: int) -> Position:
        line = bisect_right(starts, offset)
        return Position(line, offset - starts[line - 1] + 1, offset)

    def skip(offset: int) -> int:
        found = _SPACE.match(text, offset)
        return found.end() if found else offset

    def walk(offset: int, path: Path) -> int:
        offset = skip(offset)
        places[path] = at(offset)
        if text[offset] == "{":
            return members(offset + 1, path)
        if text[offset] == "[":
            return items(offset + 1, path)
        found = _SCALAR.match(text, offset)
        return found.end() if found else offset + 1

    def members(offset: int, path: Path) -> int:
        offset = skip(offset)
        while text[offset] != "}":
            key, end = json.decoder.scanstring(text, offset + 1)  # type: ignore[attr-defined]  # json's own
            inner = (*path, key)
            if inner in places:
                places[inner] = at(offset)
                raise _Twice(inner, key)
            offset = skip(walk(skip(end) + 1, inner))
            offset = skip(offset + 1) if text[offset] == "," else offset
        return offset + 1

    def items(offset: int, path: Path) -> int:
        offset, index = skip(offset), 0
        while text[offset] != "]":
            offset = skip(walk(offset, (*path, index)))
            offset = skip(offset + 1) if text[offset] == "," else offset
            index += 1
        return offset + 1

    walk(0, ())
