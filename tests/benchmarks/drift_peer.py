"""Run by the peers' Python: Evidently's drift preset from two Parquet files to a JSON report.

Arguments: baseline.parquet live.parquet report.json. Prints the seconds from start to written report.
"""

import time

BEGAN = time.perf_counter()

import sys  # noqa: E402

import pandas as pd  # noqa: E402
from evidently import Report  # noqa: E402
from evidently.presets import DataDriftPreset  # noqa: E402


def main(baseline: str, live: str, out: str) -> None:
    """Compute the report with the Jensen-Shannon distance for every column."""
    preset = DataDriftPreset(num_method="jensenshannon", cat_method="jensenshannon")
    found = Report([preset]).run(pd.read_parquet(live), pd.read_parquet(baseline))
    found.save_json(out)
    print(time.perf_counter() - BEGAN)


if __name__ == "__main__":
    main(*sys.argv[1:4])
