"""A place on disk for what was read, until all of it is known: batches of strings between the two passes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


class Spool:
    """Record batches of strings, kept in Arrow files of one schema each. Columns are told apart by position; a
    later batch may have more of them than an earlier one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows = 0
        self._files: list[Path] = []
        self._width = -1
        self._writer: pa.ipc.RecordBatchStreamWriter | None = None

    def __enter__(self) -> Spool:
        self.folder.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def append(self, batch: pa.RecordBatch) -> None:
        """Keep a batch."""
        import pyarrow as pa

        if batch.num_columns != self._width:
            self._close()
            self._width = batch.num_columns
            self._files.append(self.folder / f"{len(self._files)}.arrow")
            schema = pa.schema([(str(index), pa.string()) for index in range(self._width)])
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._writer = pa.ipc.new_stream(str(self._files[-1]), schema, options=options)
        assert self._writer is not None
        names = [str(index) for index in range(self._width)]
        self._writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, names=names))
        self.rows += batch.num_rows

    def read(self, width: int) -> Iterator[pa.RecordBatch]:
        """All batches in order, each widened to `width` columns with missing values."""
        import pyarrow as pa

        self._close()
        for path in self._files:
            with path.open("rb") as raw, pa.ipc.open_stream(raw) as reader:
                for batch in reader:
                    extra = [pa.nulls(batch.num_rows, pa.string()) for _ in range(width - batch.num_columns)]
                    names = [str(index) for index in range(width)]
                    yield pa.RecordBatch.from_arrays([*batch.columns, *extra], names=names)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
