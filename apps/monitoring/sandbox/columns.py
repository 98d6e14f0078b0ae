"""What a column is to the monitor, and its values as the monitor compares them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

NUMERIC = "numeric"
CATEGORICAL = "categorical"
UNSUPPORTED = "unsupported"


def kind_of(type_: "pa.DataType") -> str:
    """Return NUMERIC for numbers, dates and times, CATEGORICAL for text and booleans, else UNSUPPORTED."""
    import pyarrow.types as t

    if t.is_dictionary(type_):
        return kind_of(type_.value_type)
    if t.is_integer(type_) or t.is_floating(type_) or t.is_decimal(type_) or t.is_temporal(type_):
        return NUMERIC
    if t.is_string(type_) or t.is_large_string(type_) or t.is_string_view(type_) or t.is_boolean(type_):
        return CATEGORICAL
    return UNSUPPORTED


def to_numbers(column: "pa.ChunkedArray") -> "tuple[NDArray[np.float64], int]":
    """Return the values as float64 with NaN for missing, and how many were text that is no number.

    Dates and times become seconds since 1970. Text is read as a number where it is one: events that were imported
    from CSV may carry "1.5". What is no number counts as missing and as a type error.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    kind = column.type
    if t.is_null(kind):
        return np.full(len(column), np.nan), 0
    if t.is_dictionary(kind) or t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind):
        return _text_to_numbers(column)
    if t.is_timestamp(kind):
        seconds = pc.cast(pc.cast(column, pa.timestamp("us", kind.tz), safe=False), pa.int64())
        return _floats(seconds) / 1e6, 0
    if t.is_date(kind):
        return _floats(pc.cast(pc.cast(column, pa.date32()), pa.int32())) * 86400.0, 0
    if t.is_temporal(kind):
        ticks = pc.cast(column, pa.int32() if kind.bit_width == 32 else pa.int64())
        return _floats(ticks), 0
    if t.is_boolean(kind) or t.is_decimal(kind):
        return _floats(pc.cast(column, pa.float64() if t.is_decimal(kind) else pa.uint8())), 0
    if t.is_integer(kind) or t.is_floating(kind):
        return _floats(column), 0
    missing = column.null_count
    return np.full(len(column), np.nan), len(column) - missing


def _floats(column: "pa.ChunkedArray") -> "NDArray[np.float64]":
    import numpy as np

    return np.asarray(column.to_numpy(), dtype=np.float64)


def _text_to_numbers(column: "pa.ChunkedArray") -> "tuple[NDArray[np.float64], int]":
    import numpy as np

    indices, values = encode(column)
    parsed = np.array([_number(value) for value in values] + [np.nan], dtype=np.float64)
    numbers = parsed[indices]
    return numbers, int(np.isnan(numbers).sum() - (indices == len(values)).sum())


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def encode(column: "pa.ChunkedArray") -> "tuple[NDArray[np.int64], list[str]]":
    """Return an index a row into the distinct values as text; a missing row has the index len(values).

    Booleans read "true" and "false", whole numbers carry no decimal point, so that 1, 1.0 and "1" are one category.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    if t.is_null(column.type):
        return np.zeros(len(column), dtype=np.int64), []
    if not t.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    array = column.unify_dictionaries().combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # an empty column has no chunk to combine
        return np.zeros(0, dtype=np.int64), []
    raw = array.dictionary.to_pylist()
    names = [category(value) for value in raw]
    distinct = {name: place for place, name in enumerate(dict.fromkeys(names))}
    places = np.array([distinct[name] for name in names] + [len(distinct)], dtype=np.int64)
    filled = pc.fill_null(pc.cast(array.indices, pa.int64()), len(raw))
    return places[filled.to_numpy(zero_copy_only=False)], list(distinct)


def category(value: object) -> str:
    """Return the one text form of a categorical value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
