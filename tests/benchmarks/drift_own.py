"""Run as a process of its own: Atelier's drift report from two Parquet files to JSON.

Arguments: baseline.parquet live.parquet report.json [profile.json]. With a fourth argument the baseline's profile is
read from there if the file exists, and written there if not. Prints the seconds from start to written report.
"""

import time

BEGAN = time.perf_counter()

import json  # noqa: E402
import logging  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]

import pyarrow.parquet as pq  # noqa: E402

from apps.monitoring.sandbox import report  # noqa: E402
from foundation.tasks import Context  # noqa: E402


def main(baseline: str, live: str, out: str, profile: str = "") -> None:
    """Compute the report of one window that holds all live rows."""
    stored = json.loads(Path(profile).read_text()) if profile and Path(profile).exists() else None
    context = Context(
        payload={
            "features": pq.read_schema(baseline).names,
            "task": "classification",
            "columns": {},
            "bounds": [0, 1],
            "rules": {},
            "profile": stored,
            "parts": [{"input": "live", "moment": 0}],
        },
        inputs={"baseline-0": Path(baseline), "live": Path(live)},
        folder=Path(out).parent,
        outputs=Path(out).parent,
        log=logging.getLogger("bench"),
    )
    result = report.main(context)
    Path(out).write_text(json.dumps(result))
    if profile and stored is None:
        Path(profile).write_text(json.dumps(result["profile"]))
    print(time.perf_counter() - BEGAN)


if __name__ == "__main__":
    main(*sys.argv[1:5])
