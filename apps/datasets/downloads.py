"""A version as one file: Parquet or CSV, streamed from its parts in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.http import HttpRequest, StreamingHttpResponse

from apps.datasets.models import DatasetVersion
from foundation.errors import Conflict, Invalid
from foundation.streams import stream

FORMATS = {"parquet": "application/vnd.apache.parquet", "csv": "text/csv; charset=utf-8"}
CHUNK = 1024 * 1024
# A spreadsheet takes a text that begins so for a formula (CWE-1236).
FORMULA = r"^([=+\-@\t\r])"


def download(request: HttpRequest, version: DatasetVersion, kind: str) -> StreamingHttpResponse:
    """The answer that carries the version. kind: "parquet" (default when empty) or "csv".

    Raises Invalid "dataset.format", Conflict "dataset.not_ready".
    """
    kind = kind or "parquet"
    if kind not in FORMATS:
        raise Invalid("dataset.format", "The format is 'parquet' or 'csv'.", {"field": "format"})
    if not version.is_ready:
        raise Conflict(
            "dataset.not_ready", f"{version.label} has no rows to download.", {"state": version.state}
        )
    parts = [Path(path) for _, path in sorted(version.local_parts().items())]
    whole = kind == "parquet" and len(parts) == 1
    chunks: Callable[[], Iterator[bytes]]
    if whole:
        chunks = lambda: file_chunks(parts[0])  # noqa: E731  (three of a kind)
    elif kind == "parquet":
        chunks = lambda: merged_parquet(parts)  # noqa: E731
    else:
        chunks = lambda: as_csv(parts)  # noqa: E731
    filename = f"{version.dataset.name}-{version.number}.{kind}"
    response = stream(request, chunks(), content_type=FORMATS[kind], filename=filename)
    if whole:
        response["Content-Length"] = str(parts[0].stat().st_size)
    return response


def file_chunks(path: Path) -> Iterator[bytes]:
    """A file in pieces."""
    with path.open("rb") as reading:
        while chunk := reading.read(CHUNK):
            yield chunk


class _Drain:
    """A file that is only written: what was written since the last look is taken out."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._position = 0
        self.closed = False

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._buffer += piece
        self._position += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        """Nothing waits below."""

    def close(self) -> None:
        self.closed = True

    def take(self) -> bytes:
        data = bytes(self._buffer)
        self._buffer.clear()
        return data


def merged_parquet(parts: list[Path]) -> Iterator[bytes]:
    """Several parts as one Parquet file, a row group at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    drain = _Drain()
    with pq.ParquetWriter(
        pa.PythonFile(drain, mode="w"), pq.read_schema(parts[0]), compression="zstd"
    ) as writer:
        for part in parts:
            with pq.ParquetFile(part) as found:
                for group in range(found.num_row_groups):
                    writer.write_table(found.read_row_group(group, use_threads=False))
                    if chunk := drain.take():
                        yield chunk
    yield drain.take()


def as_csv(parts: list[Path]) -> Iterator[bytes]:
    """The rows as CSV with a header, UTF-8, missing values empty. Texts (and names) that a spreadsheet would run as
    a formula get an apostrophe in front."""
    import pyarrow as pa
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    header = True
    for part in parts:
        with pq.ParquetFile(part) as found:
            for batch in found.iter_batches(batch_size=20_000, use_threads=False):
                sink = pa.BufferOutputStream()
                pacsv.write_csv(
                    _defused(batch), sink, pacsv.WriteOptions(include_header=header, quoting_style="needed")
                )
                header = False
                yield sink.getvalue().to_pybytes()


def _defused(batch: Any) -> Any:
    import re

    import pyarrow as pa
    import pyarrow.compute as pc

    columns = []
    for column in batch.columns:
        if pa.types.is_string(column.type):
            column = pc.replace_substring_regex(column, pattern=FORMULA, replacement=r"'\1")
        elif pa.types.is_floating(column.type) and pc.all(pc.equal(pc.floor(column), column)).as_py():
            # The writer says 3 for 3.0, and a column of such would come back as whole numbers.
            column = pc.replace_substring_regex(
                column.cast(pa.string()), pattern=r"^(-?[0-9]+)$", replacement=r"\1.0"
            )
        columns.append(column)
    names = [re.sub(FORMULA, r"'\1", name) for name in batch.schema.names]
    return pa.Table.from_arrays(columns, names=names)
