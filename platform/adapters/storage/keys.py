"""How bytes are named in the store: checked posix keys, and content addresses within a team."""

from __future__ import annotations

import re
from uuid import UUID

from foundation.errors import Invalid

MAX_KEY_LENGTH = 1000
MAX_SEGMENT_BYTES = 200
TEMPORARY_PREFIX = ".writing-"
_DIGEST = re.compile(r"[0-9a-f]{64}")


def check_key(key: str, *, folder: bool = False) -> str:
    """The key itself when it names a place inside the store. `folder=True` also allows "" and a final slash.

    Raises Invalid "storage.key" for absolute keys, "..", ".", empty segments, backslashes, control characters
    and names that are reserved for unfinished writes.
    """
    text = key
    if folder:
        if key == "":
            return key
        text = key.removesuffix("/")
    problem = _problem(text)
    if problem:
        raise Invalid("storage.key", f"The storage key {problem}.", {"key": key[:200]})
    return text


def _problem(key: str) -> str:
    if not key:
        return "is empty"
    if len(key) > MAX_KEY_LENGTH:
        return f"is longer than {MAX_KEY_LENGTH} characters"
    if key.startswith("/") or "\\" in key or re.match(r"[A-Za-z]:", key) or "://" in key:
        return "is not a relative posix path"
    if any(ord(character) < 32 or ord(character) == 127 for character in key):
        return "has a control character"
    for segment in key.split("/"):
        if segment in {"", ".", ".."}:
            return "has an empty, '.' or '..' segment"
        if segment.startswith(TEMPORARY_PREFIX):
            return "begins with a prefix kept for unfinished writes"
        try:
            if len(segment.encode()) > MAX_SEGMENT_BYTES:
                return f"has a segment longer than {MAX_SEGMENT_BYTES} bytes"
        except UnicodeEncodeError:
            return "cannot be written as UTF-8"
    return ""


def content_key(team_id: UUID, sha256: str, suffix: str = "", *, area: str = "objects") -> str:
    """The address of bytes that are shared within a team: equal bytes, equal key; never across teams.

    sha256: 64 lower-case hex digits of the bytes. suffix: a file ending such as ".parquet". area: a folder of its
    own for each owner that counts references and removes what nobody refers to.
    Raises Invalid "storage.key" for anything that is not such a digest.
    """
    if not _DIGEST.fullmatch(sha256):
        raise Invalid(
            "storage.key", "A content address needs a SHA-256 in 64 hex digits.", {"sha256": sha256[:80]}
        )
    return check_key(f"teams/{team_id.hex}/{area}/{sha256[:2]}/{sha256}{suffix}")
