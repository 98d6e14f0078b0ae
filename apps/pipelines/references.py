"""References: ${node.output}, ${node.output.key}, ${parameters.name}, ${pipeline.number}.

A text that is nothing but one reference becomes the value itself, with its type; within other text, the value is
written out. `$${` is a plain `${`. After the output everything up to the brace is one key, which may hold dots.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from apps.pipelines.problems import Path

#: Of nodes and parameters: no dots, which part the pieces of a reference.
NODE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
PARAMETERS = "parameters"
PIPELINE = "pipeline"
RESERVED = (PARAMETERS, PIPELINE)
ABOUT_THE_RUN = {"name": "string", "number": "integer", "version": "integer"}
_TOKEN = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_INSIDE = re.compile(r"\s*([A-Za-z][A-Za-z0-9_-]*)\.([A-Za-z0-9_-]+)(?:\.([^{}]*?))?\s*")


class BadReference(ValueError):
    """A ${…} that is none."""


@dataclass(frozen=True)
class Reference:
    """source: a node's name, "parameters" or "pipeline"; output: what of it; key: which entry of an object."""

    source: str
    output: str
    key: str = ""

    def __str__(self) -> str:
        return "${" + ".".join(part for part in (self.source, self.output, self.key) if part) + "}"

    @property
    def node(self) -> str:
        """The node it reads from; "" for parameters and the run itself."""
        return "" if self.source in RESERVED else self.source


def parse(text: str) -> list[Reference | str]:
    """The pieces of a text: plain strings and references. Raises BadReference."""
    pieces: list[Reference | str] = []
    plain, end = "", 0
    for token in _TOKEN.finditer(text):
        plain += text[end : token.start()]
        end = token.end()
        if token[0] == "$${":
            plain += "${"
            continue
        found = _INSIDE.fullmatch(token[1]) if token[1] is not None else None
        if found is None:
            shown = text[token.start() : token.start() + 60]
            raise BadReference(
                f"'{shown}' is no reference; write ${{node.output}}, ${{node.output.key}} or ${{parameters.name}}."
            )
        if plain:
            pieces.append(plain)
            plain = ""
        pieces.append(Reference(found[1], found[2], found[3] or ""))
    plain += text[end:]
    if plain or not pieces:
        pieces.append(plain)
    return pieces


def whole(text: str) -> Reference | None:
    """The reference that the text is, or None when it is something else. Raises BadReference."""
    pieces = parse(text)
    return pieces[0] if len(pieces) == 1 and isinstance(pieces[0], Reference) else None


def texts(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every text in a value with the way to it."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from texts(part, (*path, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from texts(part, (*path, index))


def references(value: Any) -> Iterator[tuple[Path, Reference]]:
    """Every well-formed reference in a value with the way to its text."""
    for path, text in texts(value):
        try:
            pieces = parse(text)
        except BadReference:
            continue
        for piece in pieces:
            if isinstance(piece, Reference):
                yield path, piece


def fill(value: Any, lookup: Callable[[Reference], Any]) -> Any:
    """The value with every reference replaced by what `lookup` answers."""
    if isinstance(value, dict):
        return {key: fill(part, lookup) for key, part in value.items()}
    if isinstance(value, list):
        return [fill(part, lookup) for part in value]
    if not isinstance(value, str) or "${" not in value:
        return value
    pieces = parse(value)
    if len(pieces) == 1:
        only = pieces[0]
        return lookup(only) if isinstance(only, Reference) else only
    return "".join(piece if isinstance(piece, str) else _written(lookup(piece)) for piece in pieces)


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
