"""Cursors of run searches: the same opaque text as MLflow's page tokens."""

from __future__ import annotations

import base64
import binascii
import json

from foundation.errors import Invalid


def encode_cursor(offset: int) -> str:
    """An opaque cursor; the same text as MLflow's page token."""
    return base64.b64encode(json.dumps({"offset": offset}).encode()).decode()


def decode_cursor(cursor: str | None) -> int:
    """The offset behind a cursor. Raises Invalid "tracking.cursor"."""
    if not cursor:
        return 0
    try:
        offset = json.loads(base64.b64decode(cursor, validate=True))["offset"]
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise Invalid("tracking.cursor", "The cursor of the page cannot be read.") from error
    if not isinstance(offset, int) or not 0 <= offset < 2**31:
        raise Invalid("tracking.cursor", "The cursor of the page cannot be read.")
    return offset
