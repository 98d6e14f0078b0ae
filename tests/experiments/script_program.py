"""The script program with a log that only remembers, for tests on the real executor without a studio."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from adapters.tracking.client import MemoryRunLog
from apps.experiments.sandbox.script import run
from foundation.tasks import Context


def main(ctx: Context) -> dict[str, Any]:
    """Run the script; what was kept is told in the file payload["kept"], also after a failure."""
    log = MemoryRunLog()
    try:
        return run(ctx, lambda: log)
    finally:
        kept = {
            "artifacts": {name: data.decode("utf-8", "replace") for name, data in log.artifacts.items()},
            "folders": [sorted(files) for files in log.folders.values()],
        }
        Path(ctx.payload["kept"]).write_text(json.dumps(kept))
