"""Drift report of a million rows of 20 columns against as many, from Parquet, beside Evidently in the same run.

python3 manage.py bench drift [--rows N] [--rounds N] [--without-peer]
Both run as fresh processes (imports included), alternating; both use the Jensen-Shannon distance for all columns.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from peers import peer_python, quiet_environment, work_folder  # noqa: E402

NUMBERS, TEXTS = 16, 4


def main(argv: list[str]) -> int:
    """Run the benchmark and print its ratios."""
    parser = argparse.ArgumentParser(prog="bench drift", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument(
        "--rounds", type=int, default=3, help="runs of Atelier; the peer runs once a third of them"
    )
    parser.add_argument("--without-peer", action="store_true")
    options = parser.parse_args(argv)
    folder = work_folder("drift")
    try:
        return _run(folder, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path, options: argparse.Namespace) -> int:
    print(f"Writing twice {options.rows:,} rows of {NUMBERS} numeric and {TEXTS} text columns …", flush=True)
    baseline, live = folder / "baseline.parquet", folder / "live.parquet"
    write_rows(baseline, options.rows, seed=0)
    write_rows(live, options.rows, seed=1)
    peer = None if options.without_peer else peer_python()
    own: list[float] = []
    cached: list[float] = []
    theirs: list[float] = []
    files = [str(baseline), str(live), str(folder / "report.json")]
    for turn in range(options.rounds):
        own.append(timed([sys.executable, str(HERE / "drift_own.py"), *files]))
        print(f"  Atelier, cold                 {own[-1]:8.2f} s", flush=True)
        profile = [*files, str(folder / "profile.json")]
        if turn == 0:
            timed([sys.executable, str(HERE / "drift_own.py"), *profile])
        cached.append(timed([sys.executable, str(HERE / "drift_own.py"), *profile]))
        print(f"  Atelier, baseline in the cache {cached[-1]:7.2f} s", flush=True)
        if peer is not None and turn % 3 == 0:
            theirs.append(timed([str(peer), str(HERE / "drift_peer.py"), *files]))
            print(f"  Evidently                     {theirs[-1]:8.2f} s", flush=True)
    mine, kept = statistics.median(own), statistics.median(cached)
    print(f"Atelier: {mine:.2f} s cold, {kept:.2f} s with a cached baseline (medians, imports included).")
    if theirs:
        other = statistics.median(theirs)
        print(
            f"Evidently: {other:.1f} s. Ratio: Atelier is {other / mine:.0f} × as fast cold, {other / kept:.0f} × cached."
        )
    return 0


def write_rows(path: Path, rows: int, *, seed: int) -> None:
    """Write `rows` rows of normal, whole and text columns."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(seed)
    columns: dict[str, object] = {f"n{i}": random.normal(size=rows) for i in range(NUMBERS - 2)}
    columns["n14"] = random.integers(0, 100_000, rows)
    columns["n15"] = random.integers(0, 5, rows)
    for index in range(TEXTS):
        words = np.array([f"word{word}" for word in range(10 * (index + 1))])
        columns[f"t{index}"] = pa.array(words[random.integers(0, len(words), rows)])
    pq.write_table(pa.table(columns), path)


def timed(command: list[str]) -> float:
    """Run a program that prints its seconds as the last line, and return them."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=quiet_environment())
    if done.returncode:
        raise SystemExit(f"{Path(command[1]).name} failed: {done.stderr.strip()[-800:]}")
    return float(done.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
