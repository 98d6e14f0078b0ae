"""Building the sketches of a baseline from its Parquet parts."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from apps.monitoring.sandbox import columns, sketch, tables
from apps.monitoring.sandbox.sketch import Sketch

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

# A baseline below this many cells stays in memory between the pass that finds the bins and the one that counts.
KEPT_CELLS = 50_000_000
THREADS = 2


def build_sketches(paths: Sequence[Path], names: Sequence[str]) -> list[Sketch]:
    """Return one sketch for each column of `names` that the parts hold in a supported type, in that order.

    Two passes: the first finds minima, maxima and a sample, the second counts every row.
    """
    schema = tables.read_schema(paths)
    wanted = [
        name
        for name in names
        if name in schema.names and columns.kind_of(schema.field(name).type) != columns.UNSUPPORTED
    ]
    rows = tables.count_rows(paths)
    if rows * max(len(wanted), 1) <= KEPT_CELLS:
        kept = list(tables.read_pieces(paths, wanted))
        return _build(lambda: iter(kept), schema, wanted, rows)
    return _build(lambda: tables.read_pieces(paths, wanted), schema, wanted, rows)


def sketch_column(name: str, column: "pa.ChunkedArray") -> Sketch:
    """Return the sketch of one column that is in memory, for instance of predictions."""
    import pyarrow as pa

    table = pa.table({name: column})
    return _build(lambda: iter([table]), table.schema, [name], table.num_rows)[0]


def _build(
    pieces: "Callable[[], Iterator[pa.Table]]", schema: "pa.Schema", names: list[str], rows: int
) -> list[Sketch]:
    import numpy as np

    every = max(1, -(-rows // sketch.SAMPLE_ROWS))
    scouts = {name: _Scout(name, schema.field(name).type, every) for name in names}
    with ThreadPoolExecutor(THREADS) as pool:
        for piece in pieces():
            present = [name for name in names if name in piece.schema.names]
            list(pool.map(lambda name, piece=piece: scouts[name].see(piece.column(name)), present))
        empty = [scout.finish() for scout in scouts.values()]
        counts = {found.name: np.zeros(found.bins, dtype=np.int64) for found in empty}

        def count(found: Sketch, piece: "pa.Table") -> None:
            if found.name in piece.schema.names:
                counts[found.name] += found.count(piece.column(found.name), [(0, piece.num_rows)])[0][0]
            else:
                counts[found.name][0] += piece.num_rows

        for piece in pieces():
            list(pool.map(lambda found, piece=piece: count(found, piece), empty))
    return [found.with_counts(counts[found.name]) for found in empty]


class _Scout:
    """Gathers what is needed to choose the bins of one column: extremes, a sample, or the frequent values."""

    def __init__(self, name: str, type_: "pa.DataType", every: int) -> None:
        import pyarrow.types as t

        self.name = name
        self.kind = columns.kind_of(type_)
        plain = type_.value_type if t.is_dictionary(type_) else type_
        self.type = str(plain)
        self.whole = t.is_integer(plain)
        self.every = every
        self.samples: list[NDArray[np.float64]] = []
        self.low = float("inf")
        self.high = float("-inf")
        self.frequency: dict[str, int] = {}

    def see(self, column: "pa.ChunkedArray") -> None:
        """Take in the values of one piece."""
        import numpy as np

        if self.kind == columns.CATEGORICAL:
            indices, values = columns.encode(column)
            for value, rows in zip(
                values, np.bincount(indices, minlength=len(values) + 1).tolist(), strict=False
            ):
                self.frequency[value] = self.frequency.get(value, 0) + rows
            return
        numbers, _ = columns.to_numbers(column)
        sample = numbers[:: self.every]
        self.samples.append(sample[np.isfinite(sample)])
        with np.errstate(invalid="ignore"):
            finite = numbers if np.isfinite(numbers.sum()) else numbers[np.isfinite(numbers)]
        if len(finite):
            self.low = min(self.low, float(finite.min()))
            self.high = max(self.high, float(finite.max()))

    def finish(self) -> Sketch:
        """Return the sketch, its counts still empty."""
        import numpy as np

        if self.kind == columns.CATEGORICAL:
            order = sorted(
                (value for value, rows in self.frequency.items() if rows),
                key=lambda value: (-self.frequency[value], value),
            )
            top = tuple(order[: sketch.CATEGORY_VALUES])
            rest = order[sketch.CATEGORY_VALUES :]
            known = None if len(order) > sketch.KNOWN_VALUES else tuple(rest)
            return Sketch(self.name, columns.CATEGORICAL, self.type, (), values=top, known=known)
        sample = np.concatenate(self.samples) if self.samples else np.zeros(0)
        distinct = np.unique(sample)
        if self._is_discrete(len(distinct), len(sample)):
            numbers = tuple(float(value) for value in distinct)
            labels = tuple(columns.category(number) for number in numbers)
            return Sketch(self.name, sketch.DISCRETE, self.type, (), values=labels, numbers=numbers)
        return Sketch(self.name, columns.NUMERIC, self.type, (), edges=self._edges(sample))

    def _is_discrete(self, distinct: int, rows: int) -> bool:
        # A continuous column of few rows has few values too: each must be seen ten times, unless there are two.
        few = distinct <= sketch.DISCRETE_VALUES and rows >= 10 * distinct
        return few or distinct <= 2

    def _edges(self, sample: "NDArray[np.float64]") -> tuple[float, ...]:
        """Return quantiles of the sample, the true extremes, and a bin of its own for each value that is a tie."""
        import numpy as np

        bins = int(np.clip(len(sample) // 10, 2, sketch.QUANTILE_BINS))
        inner = np.quantile(sample, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf")
        values, times = np.unique(np.concatenate([[self.low], inner, [self.high]]), return_counts=True)
        # A value that fills a whole quantile (a balance of 0) gets [v, next number) for itself.
        ties = np.nextafter(values[times > 1], np.inf)
        edges = np.unique(np.concatenate([values[:-1], ties, [np.nextafter(self.high, np.inf)]]))
        return tuple(float(edge) for edge in edges)
