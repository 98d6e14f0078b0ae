"""The sketch of a column: how its values are binned, and how many baseline rows fell into each bin.

A sketch is small, is stored once per baseline, and is all that a later window is compared with. The bins of a
vector of counts are, in this order:
numeric    [missing, below, e0..e1, …, e(k-1)..ek, above]   quantile bins of the baseline; below and above are empty
           in the baseline by construction, so values out of its range are drift, not noise;
discrete   [missing, v1, …, vk, other]                      numbers of which the baseline holds only a few values;
categorical [missing, v1, …, vk, other, unseen]             the most frequent values, the rest of the baseline's
           values, and values that the baseline never held.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from apps.monitoring.sandbox import columns

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

QUANTILE_BINS = 10
DISCRETE_VALUES = 20
CATEGORY_VALUES = 50
# More distinct values than this are names or ids: then "unseen" cannot be told from "other" and is not claimed.
KNOWN_VALUES = 2000
# Quantiles are taken from at most this many rows, evenly spread; the counts are always of all rows.
SAMPLE_ROWS = 100_000
# Bumped when bins change their meaning, so that stored sketches are made anew.
VERSION = 1

DISCRETE = "discrete"


@dataclass(frozen=True)
class Sketch:
    """Bins and baseline counts of one column. `counts` has one entry a bin, as the module's docstring orders them."""

    name: str
    kind: str
    type: str
    counts: tuple[int, ...]
    edges: tuple[float, ...] = ()
    values: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()
    known: tuple[str, ...] | None = ()

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able form; `from_json` reads it back unchanged."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Sketch":
        """Read what `to_json` wrote."""
        known = data.get("known", ())
        return cls(
            name=str(data["name"]),
            kind=str(data["kind"]),
            type=str(data["type"]),
            counts=tuple(int(count) for count in data["counts"]),
            edges=tuple(float(edge) for edge in data["edges"]),
            values=tuple(str(value) for value in data["values"]),
            numbers=tuple(float(number) for number in data["numbers"]),
            known=None if known is None else tuple(str(value) for value in known),
        )

    @property
    def rows(self) -> int:
        """Number of baseline rows."""
        return sum(self.counts)

    @property
    def bins(self) -> int:
        """Number of bins, the special ones included."""
        if self.kind == columns.NUMERIC:
            return len(self.edges) + 2
        return len(self.values) + (2 if self.kind == DISCRETE else 3)

    @cached_property
    def _places(self) -> dict[str, int]:
        places = {value: bin_ for bin_, value in enumerate(self.values, start=1)}
        for value in self.known or ():
            places.setdefault(value, len(self.values) + 1)
        return places

    def labels(self) -> list[str]:
        """Return a name for every bin, for charts and tables."""
        if self.kind == columns.NUMERIC:
            shown = [_short(edge) for edge in self.edges]
            inner = [f"{low} to {high}" for low, high in itertools.pairwise(shown)]
            return ["missing", f"below {shown[0]}", *inner, f"above {shown[-1]}"]
        names = ["missing", *self.values, "other"]
        return names if self.kind == DISCRETE else [*names, "unseen"]

    def count(
        self, column: "pa.ChunkedArray", slices: Sequence[tuple[int, int]]
    ) -> "tuple[NDArray[np.int64], int]":
        """Return counts of shape (slices, bins) for row ranges of `column`, and the number of type errors."""
        import numpy as np

        found = np.zeros((len(slices), self.bins), dtype=np.int64)
        if self.kind == columns.CATEGORICAL:
            indices, values = columns.encode(_as_category(column, self.type))
            unseen = len(self.values) + (1 if self.known is None else 2)
            lookup = np.array([self._places.get(value, unseen) for value in values] + [0], dtype=np.int64)
            codes = lookup[indices]
            for row, (start, stop) in enumerate(slices):
                found[row] = np.bincount(codes[start:stop], minlength=self.bins)
            return found, 0
        numbers, mistyped = columns.to_numbers(column)
        for row, (start, stop) in enumerate(slices):
            if self.kind == DISCRETE:
                found[row] = _count_values(numbers[start:stop], self.numbers)
            else:
                found[row] = count_edges(numbers[start:stop], self.edges)
        return found, mistyped

    def with_counts(self, counts: "NDArray[np.int64]") -> "Sketch":
        """Return this sketch with other baseline counts."""
        return replace(self, counts=tuple(int(count) for count in counts))


def count_edges(numbers: "NDArray[np.float64]", edges: Sequence[float]) -> "NDArray[np.int64]":
    """Return counts for [missing, below, [e0, e1), …, [e(k-1), ek), above].

    One comparison an edge over the whole array is about ten times as fast as a binary search a value, because it
    runs in vector registers; counts of the bins are differences of the counts above each edge.
    """
    import numpy as np

    above = [int(np.count_nonzero(numbers >= edge)) for edge in edges]
    missing = int(np.count_nonzero(np.isnan(numbers)))
    steps = [len(numbers) - missing, *above, 0]
    return np.array([missing, *(high - low for high, low in itertools.pairwise(steps))], dtype=np.int64)


def _count_values(numbers: "NDArray[np.float64]", values: Sequence[float]) -> "NDArray[np.int64]":
    import numpy as np

    equal = [int(np.count_nonzero(numbers == value)) for value in values]
    missing = int(np.count_nonzero(np.isnan(numbers)))
    return np.array([missing, *equal, len(numbers) - missing - sum(equal)], dtype=np.int64)


def _as_category(column: "pa.ChunkedArray", type_: str) -> "pa.ChunkedArray":
    """Return numbers as booleans where the baseline holds booleans: a client may send 0 and 1 for them."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    if type_ == "bool" and (t.is_integer(column.type) or t.is_floating(column.type)):
        both = pc.is_in(column, value_set=pa.array([0, 1], type=column.type))
        if pc.all(pc.or_kleene(both, pc.is_null(column))).as_py():
            return pc.not_equal(column, pa.scalar(0, type=column.type))
    return column


def _short(number: float) -> str:
    return f"{number:.4g}" if abs(number) < 1e5 else f"{number:,.0f}"
