"""JSON bodies as MLflow reads them, in one form, so that what is checked is what MLflow gets.

MLflow takes a body that was encoded twice, field names in camelCase beside snake_case, and repeated keys:
each could smuggle a value past a check. Bodies that are looked at are therefore rebuilt and sent anew.
"""

from __future__ import annotations

import json
import re
from typing import Any

from foundation.errors import Malformed

LIMIT = 16 * 1024 * 1024
_CAMEL = re.compile(r"(?<=[a-z0-9])([A-Z])")


def _malformed(message: str) -> Malformed:
    return Malformed("tracking.malformed", message)


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise _malformed(f"The field {key[:60]!r} is given twice.")
        content[key] = value
    return content


def read(body: bytes) -> dict[str, Any]:
    """The fields of a body with snake_case names. Raises Malformed "tracking.malformed"."""
    if not body.strip():
        return {}
    try:
        content = json.loads(body, object_pairs_hook=_no_repeats)
        if isinstance(content, str):
            content = json.loads(content, object_pairs_hook=_no_repeats)
    except (ValueError, RecursionError) as error:
        raise _malformed("The body is not JSON.") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise _malformed("The body must be a JSON object.")
    fields: dict[str, Any] = {}
    for key, value in content.items():
        name = _CAMEL.sub(lambda found: "_" + found.group(1).lower(), key)
        if name in fields:
            raise _malformed(f"The field {name[:60]!r} is given twice.")
        fields[name] = value
    return fields


def write(fields: dict[str, Any]) -> bytes:
    """The body to send on."""
    return json.dumps(fields).encode()


def text(fields: dict[str, Any], name: str) -> str:
    """A field as text; numbers count as their digits, everything else as missing."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value)
