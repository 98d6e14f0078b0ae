"""Of a request that carries a key: who asks, where, and what exactly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.utils.crypto import salted_hmac

from foundation.errors import Invalid

HEADER = "Idempotency-Key"
MAX_LENGTH = 255
_SALT = "atelier.idempotency"


@dataclass(frozen=True)
class Asked:
    """A request with a key. slot: caller, address and key; content: query and body, whatever their spelling;
    cipher: what the answer is encrypted with. The key itself is kept nowhere."""

    slot: str
    content: str
    cipher: bytes

    @property
    def lock(self) -> int:
        """The number of the slot's advisory lock."""
        return int.from_bytes(bytes.fromhex(self.slot)[:8], "big", signed=True)


def read_request(request: Any) -> Asked:
    """What a REST framework request asks under its key.

    Raises Invalid "idempotency.key" for a key of another form; what the parsers raise for an unreadable body.
    """
    key = request.headers[HEADER]
    if not 1 <= len(key) <= MAX_LENGTH or not key.isascii() or not key.isprintable():
        raise Invalid(
            "idempotency.key",
            f"An Idempotency-Key has 1 to {MAX_LENGTH} printable ASCII characters; a UUID does well.",
            {"field": HEADER},
        )
    content = _hexdigest("content", *_content(request))
    place = (_caller(request, content), request.path.rstrip("/"), key)
    return Asked(
        slot=_hexdigest("slot", *place),
        content=content,
        cipher=_hmac("cipher", *place).digest(),
    )


def _caller(request: Any, content: str) -> str:
    """The token; in a browser's session the user. Who is unknown shares a slot only with the very same words."""
    actor = request._request.actor
    if actor.token_id is not None:
        return f"token {actor.token_id}"
    return f"user {actor.user.pk}" if actor.user is not None else f"nobody {content}"


def _content(request: Any) -> Iterator[str]:
    """Query and body in one spelling: boundaries, the order of fields and blanks in JSON do not matter, and a
    file counts by its bytes (the gateway hands on the digest of what it has received)."""
    yield request.META.get("QUERY_STRING", "")
    data = request.data
    if not hasattr(data, "lists"):
        yield json.dumps(data, sort_keys=True, default=str)
        return
    for name, values in sorted(data.lists()):
        yield name
        for value in values:
            yield _file(value) if isinstance(value, UploadedFile) else f"={value}"


def _file(file: UploadedFile) -> str:
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)
    return f"@{file.name} {digest.hexdigest()}"


def _hmac(purpose: str, *parts: str) -> Any:
    told = "".join(f"{len(part)}:{part}" for part in parts)
    # Half a character (a lone surrogate) comes in JSON; the view refuses it later, in words.
    return salted_hmac(f"{_SALT}.{purpose}", told.encode("utf-8", "surrogatepass"), algorithm="sha256")


def _hexdigest(purpose: str, *parts: str) -> str:
    found: str = _hmac(purpose, *parts).hexdigest()
    return found
