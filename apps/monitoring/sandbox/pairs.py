"""Predictions beside the truth: gathered while rows are counted, scored by window at the end."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from apps.monitoring.sandbox import columns, performance

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

PREDICTED, TRUTH, POSITIVE = "predicted", "truth", "positive"


@dataclass(frozen=True)
class Columns:
    """The names that the recorded rows use. `probabilities` is a column of lists, in the order of `classes`.

    Without a `timestamp` all rows of a part carry the moment given with the part. `id` joins labels told later.
    """

    timestamp: str | None = None
    prediction: str | None = None
    label: str | None = None
    probabilities: str | None = None
    id: str | None = None
    classes: tuple[str, ...] = ()

    def of_pairs(self) -> list[str]:
        """Return the columns that scoring needs."""
        return [name for name in (self.prediction, self.label, self.probabilities, self.id) if name]


class Pairs:
    """The labelled rows of all windows: few columns, so they fit in memory whatever the number of features."""

    def __init__(self, names: Columns, labels: Path | None = None) -> None:
        """`labels` is a Parquet file (id, label as text) of labels told later; they take precedence."""
        import pyarrow.parquet as pq

        self.names = names
        self.told: pa.Table | None = pq.read_table(labels) if labels is not None else None
        self.places: list[NDArray[np.int64]] = []
        self.kept: list[pa.Table] = []

    def add(self, piece: "pa.Table", slices: list[tuple[int, int]]) -> None:
        """Keep the labelled rows of a piece that is ordered by window; `slices` has the range of each window."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        names = self.names
        if names.prediction is None or names.prediction not in piece.schema.names:
            return
        window = np.repeat(np.arange(len(slices)), [stop - start for start, stop in slices])
        piece = piece.slice(min(start for start, stop in slices if stop > start), len(window))
        truth = self._truth(piece)
        if truth is None:
            return
        predicted = piece.column(names.prediction)
        rows = np.flatnonzero(pc.and_(pc.is_valid(truth), pc.is_valid(predicted)).to_numpy())
        if not len(rows):
            return
        pair = pa.table({PREDICTED: predicted, TRUTH: truth, POSITIVE: self._positive(piece)})
        self.places.append(window[rows])
        self.kept.append(pair.take(pa.array(rows)))

    def _truth(self, piece: "pa.Table") -> "pa.ChunkedArray | None":
        """Return the label of every row: the one told later, else the one that came with the row."""
        import pyarrow as pa
        import pyarrow.compute as pc

        names = self.names
        own = piece.column(names.label) if names.label and names.label in piece.schema.names else None
        if self.told is None or not names.id or names.id not in piece.schema.names:
            return own
        place = pc.index_in(pc.cast(piece.column(names.id), pa.string()), value_set=self.told.column("id"))
        later = self.told.column("label").combine_chunks().take(place)
        if own is None:
            return pa.chunked_array([later] if isinstance(later, pa.Array) else later.chunks, pa.string())
        indices, values = columns.encode(own)
        text = pa.array([*values, None], pa.string()).take(pa.array(indices))
        return pc.coalesce(later, pa.chunked_array([text]))

    def _positive(self, piece: "pa.Table") -> "pa.Array | pa.ChunkedArray":
        """Return the probability of the second of two classes, null where it is not known."""
        import pyarrow as pa
        import pyarrow.compute as pc

        name = self.names.probabilities
        if len(self.names.classes) == 2 and name and name in piece.schema.names:
            column = piece.column(name)
            if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
                long = pc.greater_equal(pc.list_value_length(column), 2)
                sound = pc.if_else(pc.fill_null(long, False), column, pa.scalar(None, column.type))
                return pc.list_element(sound, 1)
        return pa.nulls(piece.num_rows, pa.float64())

    def score(self, windows: int, task: str) -> list[dict[str, float] | None]:
        """Return the performance of each window over its labelled rows, None where none has a label.

        Each carries "rows", the number of labelled rows, beside the scores of `performance`.
        """
        import numpy as np
        import pyarrow as pa

        if not self.kept:
            return [None] * windows
        place = np.concatenate(self.places)
        table = pa.concat_tables(self.kept, promote_options="permissive")
        score = self._score_values if task == performance.REGRESSION else self._score_classes
        masks = [place == window for window in range(windows)]
        return [score(table.filter(pa.array(mask))) if mask.any() else None for mask in masks]

    def _score_values(self, table: "pa.Table") -> dict[str, float] | None:
        import numpy as np

        truth, guess = (
            columns.to_numbers(table.column(TRUTH))[0],
            columns.to_numbers(table.column(PREDICTED))[0],
        )
        sound = np.isfinite(truth) & np.isfinite(guess)
        if not sound.any():
            return None
        return {"rows": float(sound.sum()), **performance.score_values(truth[sound], guess[sound])}

    def _score_classes(self, table: "pa.Table") -> dict[str, float]:
        import numpy as np

        classes = {name: number for number, name in enumerate(self.names.classes)}
        numbers: dict[str, NDArray[np.int64]] = {}
        for name in (TRUTH, PREDICTED):
            indices, values = columns.encode(table.column(name))
            lookup = np.array([classes.setdefault(value, len(classes)) for value in values], dtype=np.int64)
            numbers[name] = lookup[indices]
        positive = columns.to_numbers(table.column(POSITIVE))[0]
        binary = len(self.names.classes) == len(classes) == 2
        known = binary and bool(np.isfinite(positive).all())
        scores = performance.score_classes(
            numbers[TRUTH], numbers[PREDICTED], positive if known else None, binary=binary
        )
        return {"rows": float(table.num_rows), **scores}
