"""Entries of JSON objects, read one by one: each fault is noted with its place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from apps.pipelines import types
from apps.pipelines.problems import Path, Problems


def nearest(word: str, known: Iterable[str]) -> str:
    """ " Did you mean 'x'?" for a slip of the pen, else ""."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""


def check_known(
    data: Mapping[str, Any], allowed: tuple[str, ...], what: str, path: Path, problems: Problems
) -> None:
    """Note every key that is not allowed."""
    for key in data:
        if key not in allowed:
            problems.add(
                "pipeline.unknown_field",
                f"{what} has no field '{key[:60]}'.{nearest(key, allowed)} It knows: {', '.join(allowed)}.",
                (*path, key),
            )


def text_of(data: Mapping[str, Any], key: str, path: Path, problems: Problems, limit: int) -> str | None:
    """The text, or None when there is none."""
    value = data.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        problems.add(
            "pipeline.field_type", f"The {key} must be a text, not {types.named(value)}.", (*path, key)
        )
        return None
    if len(value) > limit:
        problems.add(
            "pipeline.field_type",
            f"The {key} has {len(value)} characters; {limit} are allowed.",
            (*path, key),
        )
    return value


def whole_of(
    data: Mapping[str, Any],
    key: str,
    path: Path,
    problems: Problems,
    low: int,
    high: int,
    default: int | None,
) -> int | None:
    """The whole number within its limits, else the default."""
    value = data.get(key)
    if value is None:
        return default
    if not types.matches(value, "integer") or not low <= value <= high:
        problems.add(
            "pipeline.field_type", f"The {key} must be a whole number from {low} to {high}.", (*path, key)
        )
        return default
    return int(value)
