"""Reading Parquet parts piece by piece, so that memory stays bounded whatever their number and size."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from foundation.tasks import UserError

if TYPE_CHECKING:
    import pyarrow as pa

# Rows of one piece: large enough for vector speed, small enough for tens of columns in a few hundred MB.
PIECE_ROWS = 1_000_000


def read_schema(paths: Sequence[Path]) -> "pa.Schema":
    """Return the common schema of all parts. A column that is missing in a part is read as null there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not paths:
        return pa.schema([])
    try:
        schemas = [pq.read_schema(path) for path in paths]
        return pa.unify_schemas(schemas, promote_options="permissive").remove_metadata()
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as error:
        raise UserError(
            f"The recorded rows cannot be read together: {error}", code="monitor.unreadable"
        ) from error


def read_pieces(paths: Sequence[Path], columns: Sequence[str]) -> Iterator["pa.Table"]:
    """Yield tables of about PIECE_ROWS rows with those of `columns` that exist, in the order of the files.

    Text comes as dictionaries: a Parquet page stores it so, and counting indices is faster than hashing text.
    Raises UserError "monitor.unreadable" for a damaged file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    pending: list[pa.Table] = []
    rows = 0
    try:
        for path in paths:
            with pq.ParquetFile(path, memory_map=True) as plain:
                schema = plain.schema_arrow
            wanted = [name for name in columns if name in schema.names]
            texts = [name for name in wanted if _is_text(schema.field(name).type)]
            with pq.ParquetFile(path, memory_map=True, read_dictionary=texts) as file:
                for group in _group(file):
                    table = file.read_row_groups(group, columns=wanted)
                    if not wanted:
                        continue
                    pending.append(table)
                    rows += table.num_rows
                    if rows >= PIECE_ROWS:
                        yield from _join(pending)
                        pending, rows = [], 0
        yield from _join(pending)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as error:
        raise UserError(f"The recorded rows cannot be read: {error}", code="monitor.unreadable") from error


def _join(pending: "list[pa.Table]") -> "Iterator[pa.Table]":
    """Yield the tables as one, or one by one where a column changed its type (another model was deployed)."""
    import pyarrow as pa

    if not pending:
        return
    try:
        joined = [pa.concat_tables(pending, promote_options="permissive")]
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        joined = pending
    yield from joined


def count_rows(paths: Sequence[Path]) -> int:
    """Return the number of rows of all parts, from their footers."""
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(path).num_rows for path in paths)


def _is_text(kind: "pa.DataType") -> bool:
    import pyarrow.types as types

    return bool(types.is_string(kind) or types.is_large_string(kind))


def _group(file: "object") -> Iterator[list[int]]:
    """Yield lists of row groups that hold about PIECE_ROWS rows together."""
    metadata = file.metadata  # type: ignore[attr-defined]
    group: list[int] = []
    rows = 0
    for index in range(metadata.num_row_groups):
        group.append(index)
        rows += metadata.row_group(index).num_rows
        if rows >= PIECE_ROWS:
            yield group
            group, rows = [], 0
    if group:
        yield group
