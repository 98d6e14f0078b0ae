"""Log files of the processes: HOME/logs/<process>.log, with three older ones."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

LIMIT = 10 * 1024 * 1024  # bytes of one file
OLDER = 3


def rotate(path: Path, limit: int = LIMIT) -> bool:
    """Move the text of a log that has grown beyond `limit` to NAME.1. True when it did.

    The process keeps its descriptor (opened for appending), so the text is copied and the file emptied; a
    line written in between may be lost.
    """
    try:
        if path.stat().st_size <= limit:
            return False
    except FileNotFoundError:
        return False
    for number in range(OLDER - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            os.replace(older, path.with_name(f"{path.name}.{number + 1}"))
    first = path.with_name(f"{path.name}.1")
    shutil.copyfile(path, first)
    first.chmod(0o600)
    os.truncate(path, 0)
    return True


def tail(path: Path, lines: int = 15, limit: int = 64 * 1024) -> str:
    """The last lines of a log, indented for a message."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - limit))
            text = stream.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return "  (empty)"
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:]) or "  (empty)"
