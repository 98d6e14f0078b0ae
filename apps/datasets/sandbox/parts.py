"""Writing the table: Parquet parts of bounded size, and the canonical digest of its content."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.datasets.sandbox.limits import Limits

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

GROUP_ROWS = 122_880
GROUP_CELLS = 8_000_000
FLUSH_BYTES = 64 * 1024 * 1024
DIGEST_SCHEME = "atelier-table-1"


@dataclass(frozen=True)
class Part:
    """One Parquet file of a version. file: its name below the outputs folder. sha256 of its bytes."""

    file: str
    rows: int
    bytes: int
    sha256: str

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


class CanonicalDigest:
    """A digest of what the table says, whatever file it came from.

    SHA-256 over the scheme, the number of rows and, for each column in order, its name, its type and three
    digests: which rows are missing (one byte each), the values that are not (little-endian 64-bit integers
    and floats, bytes 0/1, days, microseconds, UTF-8), and for text the lengths (64-bit). Batch and part
    boundaries, compression, encoding, separators and row groups have no influence; row and column order do.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._hashes = [(hashlib.sha256(), hashlib.sha256(), hashlib.sha256()) for _ in schema]
        self._rows = 0

    def update(self, batch: pa.RecordBatch) -> None:
        """Take in the next rows."""
        self._rows += batch.num_rows
        for array, hashes in zip(batch.columns, self._hashes, strict=True):
            _feed(array, *hashes)

    def hexdigest(self) -> str:
        """64 hex digits."""
        columns = [
            [item.name, str(item.type), *(one.hexdigest() for one in hashes)]
            for item, hashes in zip(self._schema, self._hashes, strict=True)
        ]
        text = json.dumps([DIGEST_SCHEME, self._rows, columns], ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _feed(array: pa.Array, missing: Any, values: Any, lengths: Any) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    missing.update(pc.is_null(array).cast(pa.uint8()).to_numpy(zero_copy_only=False).tobytes())
    known = array.drop_null()
    if pa.types.is_string(known.type):
        offsets = np.frombuffer(known.buffers()[1], dtype=np.int32)[known.offset : known.offset + len(known) + 1] \
            if len(known) else np.zeros(1, dtype=np.int32)  # fmt: skip
        lengths.update(np.diff(offsets).astype("<i8").tobytes())
        data = known.buffers()[2] if len(known) else None
        if data is not None:
            values.update(memoryview(data)[int(offsets[0]) : int(offsets[-1])])
        return
    if pa.types.is_boolean(known.type):
        plain = known.cast(pa.uint8()).to_numpy(zero_copy_only=False)
    elif pa.types.is_float64(known.type):
        plain = (known.to_numpy(zero_copy_only=False) + 0.0).astype("<f8")
    elif pa.types.is_date32(known.type):
        plain = known.view(pa.int32()).to_numpy(zero_copy_only=False).astype("<i4")
    else:
        plain = known.view(pa.int64()).to_numpy(zero_copy_only=False).astype("<i8")
    values.update(np.ascontiguousarray(plain).tobytes())


@dataclass
class TableWriter:
    """Receives record batches and leaves part-00000.parquet, … below `folder`.

    Row groups hold a fixed number of rows where memory allows, so that equal tables make equal parts however
    they were batched. Raises UserError when the table outgrows its limits.
    """

    folder: Path
    schema: pa.Schema
    limits: Limits
    rows: int = 0
    parts: list[Part] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._digest = CanonicalDigest(self.schema)
        self._held: list[pa.RecordBatch] = []
        self._held_rows = 0
        self._held_bytes = 0
        self._writer: pq.ParquetWriter | None = None
        self._path = self.folder / "unset"
        self._part_rows = 0
        self._group = min(
            GROUP_ROWS, self.limits.part_rows, max(1024, GROUP_CELLS // max(1, len(self.schema)))
        )
        self.missing = [0] * len(self.schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows (of the writer's schema)."""
        self.rows += batch.num_rows
        self.limits.check_shape(self.rows, len(self.schema))
        self._digest.update(batch)
        for index, column in enumerate(batch.columns):
            self.missing[index] += column.null_count
        self._held.append(batch)
        self._held_rows += batch.num_rows
        self._held_bytes += batch.nbytes
        while self._held_rows >= self._group:
            self._flush(self._group)
        if self._held_bytes >= FLUSH_BYTES and self._held_rows:
            self._flush(self._held_rows)

    def close(self) -> str:
        """Write what is left; returns the canonical digest."""
        if self._held_rows:
            self._flush(self._held_rows)
        self._end_part()
        return self._digest.hexdigest()

    def _flush(self, rows: int) -> None:
        """Write the next `rows` held rows as one row group, beginning a new part where one is full."""
        import pyarrow as pa

        table = pa.Table.from_batches(self._held, schema=self.schema)
        self._write_group(table.slice(0, rows))
        rest = table.slice(rows)
        self._held = rest.to_batches()
        self._held_rows = rest.num_rows
        self._held_bytes = rest.nbytes if rest.num_rows else 0

    def _write_group(self, table: pa.Table) -> None:
        import pyarrow.parquet as pq

        if self._writer is not None and (
            self._part_rows + table.num_rows > self.limits.part_rows
            or self._path.stat().st_size >= self.limits.part_bytes
        ):
            self._end_part()
        if self._writer is None:
            self._path = self.folder / f"part-{len(self.parts):05d}.parquet"
            self._writer = pq.ParquetWriter(self._path, self.schema, compression="zstd", compression_level=3)
            self._part_rows = 0
        self._writer.write_table(table.combine_chunks(), row_group_size=table.num_rows)
        self._part_rows += table.num_rows

    def _end_part(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        with self._path.open("rb") as reading:
            digest = hashlib.file_digest(reading, "sha256").hexdigest()
        self.parts.append(Part(self._path.name, self._part_rows, self._path.stat().st_size, digest))
