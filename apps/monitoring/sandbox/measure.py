"""One pass over recorded rows: every row goes to its window, every column becomes counts per window and bin."""

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from apps.monitoring.sandbox import tables
from apps.monitoring.sandbox.baseline import THREADS
from apps.monitoring.sandbox.pairs import Columns, Pairs
from apps.monitoring.sandbox.sketch import Sketch

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Part:
    """One Parquet file of recorded rows; `moment` in microseconds since 1970 where its rows carry no time."""

    path: Path
    moment: int | None = None


@dataclass
class Tally:
    """Counts of every window: rows (windows,), and for each sketch counts (windows, bins) and type errors."""

    rows: "NDArray[np.int64]"
    counts: "dict[str, NDArray[np.int64]]"
    mistyped: "dict[str, NDArray[np.int64]]"
    pairs: Pairs


def tally(
    parts: Sequence[Part],
    sketches: Sequence[Sketch],
    bounds: Sequence[int],
    names: Columns,
    labels: Path | None = None,
) -> Tally:
    """Count the rows of `parts` by window and bin.

    `bounds` are the n + 1 ascending limits of n adjoining half-open windows, in microseconds since 1970 UTC; rows
    outside are left out. Rows need no order. Columns that a part does not hold count as missing. `labels` is a
    Parquet file (id, label) of labels told later.
    """
    import numpy as np

    windows = len(bounds) - 1
    found = Tally(
        rows=np.zeros(windows, dtype=np.int64),
        counts={sketch.name: np.zeros((windows, sketch.bins), dtype=np.int64) for sketch in sketches},
        mistyped={sketch.name: np.zeros(windows, dtype=np.int64) for sketch in sketches},
        pairs=Pairs(names, labels),
    )
    extra = [names.timestamp, *names.of_pairs()]
    wanted = list(dict.fromkeys([*(sketch.name for sketch in sketches), *(name for name in extra if name)]))
    limits = np.asarray(bounds, dtype=np.int64)
    with ThreadPoolExecutor(THREADS) as pool:
        for moment in dict.fromkeys(part.moment for part in parts):
            paths = [part.path for part in parts if part.moment == moment]
            for piece in tables.read_pieces(paths, wanted):
                _take(piece, moment, found, sketches, limits, names.timestamp, pool)
    return found


def _take(
    piece: "pa.Table",
    moment: int | None,
    found: Tally,
    sketches: Sequence[Sketch],
    limits: "NDArray[np.int64]",
    timestamp: str | None,
    pool: ThreadPoolExecutor,
) -> None:
    """Add one piece to the tally."""
    piece, slices = _by_window(piece, moment, limits, timestamp)
    used = [index for index, (start, stop) in enumerate(slices) if stop > start]
    if not used:
        return
    ranges = [slices[index] for index in used]
    for index, (start, stop) in zip(used, ranges, strict=True):
        found.rows[index] += stop - start

    def count(sketch: Sketch) -> None:
        if sketch.name in piece.schema.names:
            counts, mistyped = sketch.count(piece.column(sketch.name), ranges)
            found.counts[sketch.name][used] += counts
            found.mistyped[sketch.name][used] += mistyped
        else:
            found.counts[sketch.name][used, 0] += [stop - start for start, stop in ranges]

    list(pool.map(count, sketches))
    found.pairs.add(piece, slices)


def _by_window(
    piece: "pa.Table", moment: int | None, limits: "NDArray[np.int64]", timestamp: str | None
) -> "tuple[pa.Table, list[tuple[int, int]]]":
    """Return the piece ordered by window, and the range of rows of each window."""
    import numpy as np
    import pyarrow as pa

    windows = len(limits) - 1
    if timestamp is None or timestamp not in piece.schema.names:
        place = int(np.searchsorted(limits, moment if moment is not None else limits[0], side="right")) - 1
        slices = [(0, 0)] * windows
        if 0 <= place < windows:
            slices[place] = (0, piece.num_rows)
        return piece, slices
    moments = _microseconds(piece.column(timestamp))
    window = np.searchsorted(limits, moments, side="right") - 1
    if np.any(window[1:] < window[:-1]):
        order = np.argsort(window, kind="stable")
        piece, window = piece.take(pa.array(order)), window[order]
    starts = np.searchsorted(window, np.arange(windows + 1), side="left").tolist()
    return piece, list(itertools.pairwise(starts))


def _microseconds(column: "pa.ChunkedArray") -> "NDArray[np.int64]":
    """Return instants as microseconds since 1970 UTC; a missing one lies before every window."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = pc.cast(column, pa.timestamp("us", "UTC"), safe=False)
    if pa.types.is_timestamp(column.type):
        column = pc.cast(column, pa.timestamp("us", column.type.tz), safe=False)
    elif pa.types.is_date(column.type):
        column = pc.cast(column, pa.timestamp("us"))
    ticks = pc.fill_null(pc.cast(column, pa.int64()), np.iinfo(np.int64).min)
    return np.asarray(ticks.to_numpy())
