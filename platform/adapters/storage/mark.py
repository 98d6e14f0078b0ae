"""The mark of a studio in its object store: a worker elsewhere sees by it that it was given the right store and key.

Without it, a worker whose ATELIER_STORAGE_URL was forgotten would keep results in a folder of its own that nobody
else can read.
"""

from __future__ import annotations

import hashlib
import hmac

from adapters.storage.protocol import ObjectStore
from foundation.errors import Conflict, NotFound

KEY = "studio/mark"


def leave_mark(store: ObjectStore, secret_key: str) -> None:
    """Write the studio's mark, where it is not there already."""
    mark = _mark_of(secret_key)
    if _read(store) != mark:
        store.put_bytes(mark, KEY)


def check_mark(store: ObjectStore, secret_key: str) -> None:
    """Raise Conflict "storage.foreign", with a sentence, when the store or the key are not those of one studio."""
    found = _read(store)
    if not found:
        raise Conflict(
            "storage.foreign",
            "The object store holds nothing of this studio: set ATELIER_STORAGE_URL to the studio's own (a folder only "
            "when all machines share it), and run `manage.py prepare` where the studio was upgraded.",
        )
    if not hmac.compare_digest(found, _mark_of(secret_key)):
        raise Conflict(
            "storage.foreign",
            "The object store belongs to a studio with another key: ATELIER_SECRET_KEY and ATELIER_STORAGE_URL must be "
            "the same on all machines of a studio.",
        )


def _mark_of(secret_key: str) -> bytes:
    return hmac.new(secret_key.encode(), b"atelier: mark of the store", hashlib.sha256).hexdigest().encode()


def _read(store: ObjectStore) -> bytes:
    try:
        with store.open(KEY) as file:
            return file.read(1000).strip()
    except NotFound:
        return b""
