"""What is wrong with a definition, and where: collected, then told together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from foundation.errors import Invalid

SHOWN = 20
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One fault. code: "pipeline.what"; path: the way to the value, as keys and indices from the top."""

    code: str
    message: str
    path: Path = ()

    @property
    def pointer(self) -> str:
        """The way as a JSON pointer (RFC 6901): /nodes/2/with/dataset; "" is the whole document."""
        return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in self.path)


@dataclass(frozen=True)
class Position:
    """A place in a text, both counted from 1. offset: characters from its start."""

    line: int
    column: int
    offset: int


class Problems(list[Problem]):
    """A growing list of faults."""

    def add(self, code: str, message: str, path: Path = ()) -> None:
        """Note one more."""
        self.append(Problem(code, message, path))


def refuse(problems: Sequence[Problem], places: Mapping[Path, Position] | None = None) -> Invalid:
    """All of them as one error: the first one's code and sentence, and in detail.errors each with its pointer and,
    where the text is known, line and column."""
    told = [_told(problem, places or {}) for problem in problems[:SHOWN]]
    first = problems[0]
    detail: dict[str, Any] = {key: told[0][key] for key in ("pointer", "line", "column") if key in told[0]}
    return Invalid(first.code, first.message, {**detail, "errors": told})


def _told(problem: Problem, places: Mapping[Path, Position]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "code": problem.code,
        "message": problem.message,
        "pointer": problem.pointer,
    }
    path = problem.path
    while path not in places and path:
        path = path[:-1]  # a missing field is shown at the object that lacks it
    if path in places:
        found |= {"line": places[path].line, "column": places[path].column}
    return found
