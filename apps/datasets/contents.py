"""The bytes behind the rows: uploads waiting to be read, and the parts that versions share.

Keys: projects/<project>/uploads/<version>/<attempt of reading> for uploads, teams/<team>/tables/<sha256>.parquet
for parts. A part is stored before the transaction that refers to it and removed after the one that no longer does;
both sides take the team's advisory lock for the short moment in which they look, so that a part can never be
removed between "it is there already" and the row that counts on it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from adapters.storage import content_key, get_store
from apps.datasets.models import DatasetVersion, VersionPart
from apps.datasets.states import VersionState
from foundation.errors import AtelierError, NotFound

LOCK_SPACE = 0x44_53  # the first half of the advisory locks' two-part key
PART_NAME = re.compile(r"part-\d{5}\.parquet")
MAX_DESCRIPTION_BYTES = 64 * 1024 * 1024
ORPHAN_SECONDS = 24 * 3600
CHUNK = 4 * 1024 * 1024


def upload_key(project_id: UUID, version_id: UUID) -> str:
    """Where the upload of a version waits to be read."""
    return f"projects/{project_id.hex}/uploads/{version_id.hex}"


def part_key(team_id: UUID, sha256: str) -> str:
    """Where a part lies."""
    return content_key(team_id, sha256, ".parquet", area="tables")


def collect_parts(team_id: UUID, parts: list[dict[str, Any]], files: Path) -> list[dict[str, Any]]:
    """Copy a sandbox's parts into the store; returns [{key, rows, bytes, sha256}] in order.

    The sandbox's word is not taken for anything that others rely on: names are checked, links are refused, and
    the digest that becomes the shared address is computed here.
    """
    store = get_store()
    found = []
    for part in parts:
        path = _own_file(files, str(part["file"]))
        digest = _sha256(path)
        key = part_key(team_id, digest)
        size = path.stat().st_size
        if not (store.exists(key) and store.size(key) == size):
            store.put(path, key)
        found.append(
            {"key": key, "rows": int(part["rows"]), "bytes": size, "sha256": digest, "file": path.name}
        )
    return found


def ensure_parts(team_id: UUID, parts: list[dict[str, Any]], files: Path) -> None:
    """Inside the transaction that refers to the parts: lock, and store again what was removed meanwhile."""
    lock_team(team_id)
    store = get_store()
    for part in parts:
        if not store.exists(part["key"]):
            store.put(_own_file(files, part["file"]), part["key"])


def read_description(files: Path, name: str) -> Any:
    """A JSON file that the sandbox left. Raises AtelierError "dataset.result" when it is not one."""
    path = _own_file(files, name, pattern=re.compile(r"(profile|preview)\.json"))
    if path.stat().st_size > MAX_DESCRIPTION_BYTES:
        raise AtelierError("dataset.result", "The description of the columns is too large to be kept.")
    return json.loads(path.read_text(encoding="utf-8"))


def lock_team(team_id: UUID) -> None:
    """Until the end of the transaction nobody else adds or removes references to the team's parts."""
    number = int.from_bytes(hashlib.sha256(team_id.bytes).digest()[:4], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_SPACE, number])


def release_parts(team_id: UUID, keys: Iterable[str]) -> int:
    """Remove the bytes of those keys to which no version refers any more. Returns how many were removed."""
    removed = 0
    for key in sorted(set(keys)):
        with transaction.atomic():
            lock_team(team_id)
            if not VersionPart.objects.filter(key=key).exists():
                removed += get_store().delete(key)
    return removed


def discard_upload(key: str) -> None:
    """Remove an upload that is not needed any more."""
    if key:
        get_store().delete(key)


def sweep_uploads(*, older_than: float = ORPHAN_SECONDS) -> int:
    """Remove uploads whose version does not exist or is ready, left by a process that died in between."""
    store, removed, horizon = get_store(), 0, time.time() - older_than
    for key in store.list("projects"):
        pieces = key.split("/")
        if len(pieces) < 4 or pieces[2] != "uploads" or not _older(key, horizon):
            continue
        waiting = DatasetVersion.objects.filter(upload_key=key).exclude(state=VersionState.READY)
        if not waiting.exists():
            removed += store.delete(key)
    return removed


def sweep_parts(*, older_than: float = ORPHAN_SECONDS) -> int:
    """Remove parts that an attempt stored but no version came to refer to."""
    removed, horizon = 0, time.time() - older_than
    for key in get_store().list("teams"):
        pieces = key.split("/")
        ours = len(pieces) == 5 and pieces[2] == "tables" and _older(key, horizon)
        if ours and not VersionPart.objects.filter(key=key).exists():
            removed += release_parts(UUID(pieces[1]), [key])
    return removed


def _older(key: str, horizon: float) -> bool:
    try:
        return get_store().modified(key) < horizon
    except NotFound:
        return False


def _own_file(folder: Path, name: str, pattern: re.Pattern[str] = PART_NAME) -> Path:
    """A regular file directly in the folder: no link, device or path of the sandbox's choosing."""
    path = folder / name
    if not pattern.fullmatch(name) or not stat.S_ISREG(os.lstat(path).st_mode):
        raise AtelierError("dataset.result", "The reader left a file that is not one of its own.")
    return path


def _sha256(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as reading:
        return hashlib.file_digest(reading, "sha256").hexdigest()
