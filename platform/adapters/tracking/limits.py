"""What MLflow's columns and clients accept as keys, values and ids."""

from __future__ import annotations

import re

from foundation.errors import Invalid

KEY_LIMIT = 250
PARAM_LIMIT = 6000
TAG_LIMIT = 8000
RUN_ID = re.compile(r"[0-9a-f]{32}")
_KEY = re.compile(r"[\w.\-/ :]+")


def check_key(key: str, what: str) -> str:
    """A parameter, metric or tag name that MLflow's columns and clients accept. Raises Invalid."""
    if not key or len(key) > KEY_LIMIT or not _KEY.fullmatch(key):
        raise Invalid(
            "tracking.bad_key",
            f"The {what} name {key[:60]!r} cannot be logged: use 1 to {KEY_LIMIT} letters, digits, spaces"
            " and the characters _ - . / and :.",
        )
    return key


def check_value(value: object, what: str, key: str, limit: int) -> str:
    """The text form of a value, Python's str(). Raises Invalid when it is too long or holds a NUL."""
    text = str(value)
    if len(text) > limit or "\x00" in text:
        raise Invalid(
            "tracking.bad_value",
            f"The value of {what} {key!r} has {len(text)} characters (at most {limit}) or a NUL character.",
        )
    return text
