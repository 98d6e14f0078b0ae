"""MLflow's search grammar, parsed without importing mlflow.

A filter is clauses joined by AND: `metrics.accuracy > 0.9 and params.depth = '3' and tags.kind LIKE 'a%'`,
`attributes.status = 'FINISHED'`, `run_id IN ('…')`, `tags.x IS NULL`, `datasets.name = 'churn'`. An order is
a key and an optional ASC or DESC. The reading of every clause follows mlflow.utils.search_utils of the
pinned release, with which tests/tracking compares it on random data.
"""

from __future__ import annotations

import ast
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlparse
from sqlparse.exceptions import SQLParseError
from sqlparse.sql import Comparison, Identifier, Parenthesis
from sqlparse.sql import Token as _Token
from sqlparse.tokens import Token as T

from foundation.errors import Invalid

Kind = Literal["metric", "parameter", "tag", "attribute", "dataset"]
Token: Any = _Token  # sqlparse is not typed
Value = str | int | float | tuple[str, ...] | None

_KINDS: dict[str, Kind] = {
    "metric": "metric", "metrics": "metric",
    "parameter": "parameter", "parameters": "parameter", "param": "parameter", "params": "parameter",
    "tag": "tag", "tags": "tag",
    "attribute": "attribute", "attr": "attribute", "attributes": "attribute", "run": "attribute",
    "dataset": "dataset", "datasets": "dataset",
}  # fmt: skip
_ALIASES = {
    "created": "start_time", "Created": "start_time",
    "run name": "run_name", "Run name": "run_name", "Run Name": "run_name",
}  # fmt: skip
_NUMERIC_ATTRIBUTES = frozenset({"start_time", "end_time"})
_ATTRIBUTES = frozenset({"artifact_uri", "end_time", "run_id", "run_name", "start_time", "status", "user_id"})
_DATASET_KEYS = frozenset({"name", "digest", "context"})
_ORDERING = frozenset({"=", "!=", ">", ">=", "<", "<="})
_TEXT = frozenset({"=", "!=", "LIKE", "ILIKE"})
_NULLS = frozenset({"IS NULL", "IS NOT NULL"})
_LISTS = frozenset({"IN", "NOT IN"})
_COMPARATORS: dict[str, frozenset[str]] = {
    "metric": _ORDERING,
    "parameter": _TEXT | _NULLS,
    "tag": _TEXT | _NULLS,
    "dataset": _TEXT | _LISTS,
    "numeric attribute": _ORDERING,
    "attribute": _TEXT | _LISTS,
}
_NUMBERS = (T.Literal.Number.Integer, T.Literal.Number.Float)


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition. value: a number for metrics and times, text or a tuple of texts else, None for nulls."""

    kind: Kind
    key: str
    comparator: str
    value: Value


@dataclass(frozen=True, slots=True)
class Order:
    """One key to sort by."""

    kind: Kind
    key: str
    ascending: bool


def _refuse(message: str, **detail: Any) -> Invalid:
    return Invalid("tracking.filter", message, detail)


def parse_filter(text: str | None) -> tuple[Clause, ...]:
    """The clauses of a filter, in order. Empty text means no condition. Raises Invalid "tracking.filter"."""
    if not text or not text.strip():
        return ()
    if "\x00" in text:
        raise _refuse("The filter contains a NUL character.")
    if len(text) > 10_000:
        raise _refuse("The filter is longer than 10,000 characters.")
    try:
        statements = sqlparse.parse(text)
    except (SQLParseError, RecursionError) as error:
        raise _refuse("The filter is nested too deeply to be read.") from error
    if len(statements) != 1:
        raise _refuse("The filter must be one expression: join its conditions with AND.")
    clauses: list[Clause] = []
    for group in _split(statements[0].tokens):
        if isinstance(group, Token) and group.match(T.Keyword, ["AND"]):
            continue
        if isinstance(group, Token):
            raise _refuse(f"The filter has a part that is not a condition: {str(group).strip()!r}.")
        clauses.append(_clause(group))
    return tuple(clauses)


def _split(tokens: Iterable[Token]) -> list[Token | tuple[Token, ...]]:
    """Comparisons as tuples of their tokens, everything else as it is. sqlparse groups `a = 'b'`, but
    leaves IN, NOT IN, IS NULL and IS NOT NULL as loose tokens behind their identifier."""
    loose = [token for token in tokens if not token.is_whitespace]
    found: list[Token | tuple[Token, ...]] = []
    index = 0
    while index < len(loose):
        token = loose[index]
        rest = loose[index + 1 : index + 4]
        if isinstance(token, Comparison):
            found.append(tuple(part for part in token.tokens if not part.is_whitespace))
            index += 1
        elif isinstance(token, Identifier) and (size := _word_comparison(rest)):
            words = " ".join(part.value.upper() for part in rest[:size] if not isinstance(part, Parenthesis))
            tail = tuple(part for part in rest[:size] if isinstance(part, Parenthesis))
            found.append((token, Token(T.Keyword, words), *tail))
            index += 1 + size
        else:
            found.append(token)
            index += 1
    return found


def _word_comparison(rest: Sequence[Token]) -> int:
    """How many of the tokens behind an identifier make a comparison in words: 0 when they do not."""

    def word(position: int, *values: str) -> bool:
        return position < len(rest) and bool(rest[position].match(T.Keyword, list(values)))

    if word(0, "IN") and len(rest) > 1 and isinstance(rest[1], Parenthesis):
        return 2
    if word(0, "NOT") and word(1, "IN") and len(rest) > 2 and isinstance(rest[2], Parenthesis):
        return 3
    if word(0, "IS") and word(1, "NULL"):
        return 2
    if word(0, "IS") and len(rest) > 1 and " ".join(rest[1].value.upper().split()) == "NOT NULL":
        return 2
    return 0


def _clause(tokens: tuple[Token, ...]) -> Clause:
    if len(tokens) not in (2, 3) or not isinstance(tokens[0], Identifier):
        text = " ".join(token.value for token in tokens)
        raise _refuse(f"{text!r} is not a condition: write a key, a comparison and a value.")
    kind, key = _identifier(tokens[0].value)
    comparator = tokens[1].value.upper()
    numeric = kind == "attribute" and key in _NUMERIC_ATTRIBUTES
    allowed = _COMPARATORS["numeric attribute" if numeric else kind]
    if comparator not in allowed:
        raise _refuse(
            f"{comparator!r} cannot be used with {kind} {key!r}; allowed: {', '.join(sorted(allowed))}."
        )
    value = None if len(tokens) == 2 else _value(kind, key, numeric, tokens[2])
    if (comparator in _LISTS) != isinstance(value, tuple):
        raise _refuse(f"{comparator} and the value of {key!r} do not fit together.")
    return Clause(kind, key, comparator, value)


def _identifier(text: str, *, keys: frozenset[str] = _ATTRIBUTES) -> tuple[Kind, str]:
    entity, dot, rest = text.partition(".")
    if not dot:
        entity, rest = "attribute", text
    entity = _unquote(entity, "`")
    if entity not in _KINDS:
        raise _refuse(
            f"{entity!r} is not known: keys begin with metrics., params., tags., attributes. or datasets."
        )
    kind = _KINDS[entity]
    key = _unquote(_unquote(rest, "'\""), "`")
    if kind == "attribute":
        key = _ALIASES.get(key, key)
        if key not in keys:
            raise _refuse(f"There is no attribute {key!r}; known: {', '.join(sorted(keys))}.")
    if kind == "dataset" and key not in _DATASET_KEYS:
        raise _refuse(f"A dataset has no {key!r}; known: {', '.join(sorted(_DATASET_KEYS))}.")
    return kind, key


def _value(kind: Kind, key: str, numeric: bool, token: Token) -> Value:
    if kind == "metric" or numeric:
        if token.ttype not in _NUMBERS:
            raise _refuse(f"The value of {key!r} must be a number, not {token.value}.")
        if numeric and token.ttype is T.Literal.Number.Integer:
            return int(token.value)
        return float(token.value)
    if isinstance(token, Parenthesis) and (kind == "dataset" or key == "run_id"):
        return _texts(token.value)
    if token.ttype is T.Literal.String.Single or isinstance(token, Identifier):
        text = token.value
        if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
            return str(text[1:-1])
    raise _refuse(f"The value of {key!r} must be a quoted text, such as 'value'; got {token.value}.")


def _texts(text: str) -> tuple[str, ...]:
    try:
        parsed = ast.literal_eval(text)
    except (SyntaxError, ValueError) as error:
        raise _refuse("A list must hold quoted texts, such as ('a', 'b').") from error
    values = parsed if isinstance(parsed, tuple) else (parsed,)
    if not values or not all(isinstance(value, str) for value in values):
        raise _refuse("A list must hold at least one text, and only texts.")
    return values


def _unquote(text: str, quotes: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in quotes:
        return text[1:-1]
    return text


def parse_order_by(keys: Sequence[str]) -> tuple[Order, ...]:
    """The keys to sort by. Raises Invalid "tracking.filter" for an unknown key, direction or a duplicate."""
    orders: list[Order] = []
    for text in keys:
        try:
            words = shlex.split(text.replace("`", '"'))
        except ValueError as error:
            raise _refuse(f"{text!r} cannot be read as a key to sort by.") from error
        if not 1 <= len(words) <= 2 or (len(words) == 2 and words[1].lower() not in ("asc", "desc")):
            raise _refuse(f"{text!r} is not a key to sort by: write a key and ASC or DESC.")
        kind, key = _identifier(words[0].strip())
        if kind == "dataset":
            raise _refuse("Runs cannot be sorted by their datasets.")
        if any((order.kind, order.key) == (kind, key) for order in orders):
            raise _refuse(f"{key!r} is given twice in the order.")
        orders.append(Order(kind, key, len(words) == 1 or words[1].lower() == "asc"))
    return tuple(orders)
