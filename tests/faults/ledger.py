"""The ledger: what really ran, written by the programs themselves into a file that the platform does not know.

One line of JSON a fact, appended with one write(2), so that lines of several processes never mix and a killed
process leaves only whole ones. Times are CLOCK_MONOTONIC, which all processes of a machine share and nobody sets.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any


def note(path: str | Path, event: str, **facts: Any) -> None:
    """Write down that something happened."""
    line = json.dumps({"at": time.monotonic(), "pid": os.getpid(), "event": event, **facts}) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def read(path: str | Path, *events: str, job: str = "") -> list[dict[str, Any]]:
    """The facts so far, oldest first; of `events` and one job where named."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    facts = [json.loads(line) for line in text.splitlines()]
    return [
        fact
        for fact in facts
        if (not events or fact["event"] in events) and (not job or fact.get("job") == job)
    ]
