"""The program of the job kind `datasets.ingest`: one uploaded file in, Parquet parts and their description out.

payload: {filename, options: {header, separator, encoding, sheet}, limits: {…}}; inputs: {"upload": path}.
outputs: part-NNNNN.parquet, profile.json (per-column statistics), preview.json (the first rows).
Result: {rows, columns, bytes, digest, schema: [{name, type, nullable}], parts: [{file, rows, bytes, sha256}],
format: {…}, notes: [sentence]}.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.datasets.sandbox import delimited, detect, infer, jsonlines, typed
from apps.datasets.sandbox.columns import checked_names, stored_type, type_name
from apps.datasets.sandbox.limits import Limits, too_large, unreadable
from apps.datasets.sandbox.options import SEPARATORS, checked_options
from apps.datasets.sandbox.parts import TableWriter
from apps.datasets.sandbox.preview import preview_of
from apps.datasets.sandbox.profile import profile_of
from apps.datasets.sandbox.spool import Spool
from apps.datasets.sandbox.text import as_utf8
from foundation.tasks import Context, UserError

if TYPE_CHECKING:
    import pyarrow as pa

# How the work divides, in hundredths, for the progress bar.
READ_END, WRITE_END = 55, 85


def main(ctx: Context) -> dict[str, Any]:
    """Read the upload, write parts, profile and preview. Raises UserError (`dataset.…`) for what cannot be read."""
    limits = Limits.of(ctx.payload.get("limits", {}))
    options = checked_options(ctx.payload.get("options", {}))
    try:
        return _Ingestion(ctx, limits, options).run()
    except MemoryError as error:
        raise too_large(
            "The file needs more memory to read than one ingestion may use; split it, or upload Parquet.",
            "memory",
            0,
        ) from error


class _Ingestion:
    """One run of the program; the steps share the notes and the description of the format."""

    def __init__(self, ctx: Context, limits: Limits, options: dict[str, str]) -> None:
        self.ctx = ctx
        self.limits = limits
        self.options = options
        self.notes: list[str] = []
        self.format: dict[str, Any] = {}
        self.upload = Path(ctx.inputs["upload"])

    def run(self) -> dict[str, Any]:
        filename = str(self.ctx.payload.get("filename", ""))
        size = self.upload.stat().st_size
        self.ctx.log.info("Reading %s (%s bytes).", filename or "the upload", f"{size:,}")
        source = detect.recognise(
            self.upload, filename, self.ctx.folder, self.limits, self._reading(size, 0, 10)
        )
        self.format = {"kind": source.kind, "compression": source.compression}
        writer = self._write(source)
        digest = writer.close()
        if not writer.rows:
            raise UserError(
                "The file has column names but no rows.",
                code="dataset.no_rows",
                detail={"columns": writer.schema.names[:50]},
            )
        for note in self.notes:
            self.ctx.log.info(note)
        parts = [self.ctx.outputs / part.file for part in writer.parts]
        self.ctx.progress(WRITE_END, 100, "Describing the columns")
        columns = profile_of(
            parts, writer.schema, self.limits, self.ctx.folder,
            lambda done: self._tell(WRITE_END + (99 - WRITE_END) * done, "Describing the columns"),
        )  # fmt: skip
        _write_json(self.ctx.outputs / "profile.json", {"rows": writer.rows, "columns": columns})
        _write_json(self.ctx.outputs / "preview.json", preview_of(parts[0], writer.schema, self.limits))
        self.ctx.log.info(
            "%s rows and %s columns in %s part(s).", f"{writer.rows:,}", len(writer.schema), len(parts)
        )
        self.ctx.progress(100, 100, "Done")
        return {
            "rows": writer.rows,
            "columns": len(writer.schema),
            "bytes": sum(part.bytes for part in writer.parts),
            "digest": digest,
            "schema": [
                {"name": field.name, "type": type_name(field.type), "nullable": missing > 0}
                for field, missing in zip(writer.schema, writer.missing, strict=True)
            ],
            "parts": [part.as_dict() for part in writer.parts],
            "format": self.format,
            "notes": self.notes[:100],
        }

    def _write(self, source: detect.Source) -> TableWriter:
        if source.kind == "parquet":
            return self._write_parquet(source.path)
        if source.kind == "excel":
            return self._write_excel(source.path)
        size = source.path.stat().st_size
        text = as_utf8(source.path, self.ctx.folder, self.options["encoding"], self._reading(size, 10, 20))
        self.format["encoding"] = text.encoding
        if text.note:
            self.notes.append(text.note)
        total = text.path.stat().st_size
        with Spool(self.ctx.folder / "spool") as spool:
            if source.kind == "jsonlines":
                names, kinds = self._spool_json(text, spool, total)
            else:
                names, kinds = self._spool_delimited(text, spool, total)
            return self._cast(spool, names, kinds)

    def _spool_delimited(self, text: Any, spool: Spool, total: int) -> tuple[list[str], list[str]]:
        layout = delimited.layout_of(
            text,
            separator=self.options["separator"],
            header=self.options["header"],
            limits=self.limits,
            notes=self.notes,
        )
        named = {mark: name for name, mark in SEPARATORS.items()}
        self.format["separator"] = named.get(layout.separator, layout.separator)
        self.format["header"] = layout.header
        types = [infer.ColumnType() for _ in layout.names]
        for batch in delimited.batches(text, layout, self.limits, self._reading(total, 20, READ_END)):
            self._take(batch, spool)
            _observe(batch, types, spool.rows - batch.num_rows + 1)
        self._note_types(zip(layout.names, types, strict=True))
        return layout.names, [column.kind for column in types]

    def _spool_json(self, text: Any, spool: Spool, total: int) -> tuple[list[str], list[str]]:
        shape = jsonlines.Shape()
        for batch in jsonlines.batches(text, shape, self.limits, self._reading(total, 20, READ_END)):
            self._take(batch, spool)
        if not shape.columns:
            raise unreadable(
                "No object has any key." if shape.rows else "The file has no lines with content."
            )
        names = jsonlines.final_names(shape, self.limits, self.notes)
        self._note_types(zip(names, shape.columns.values(), strict=True))
        return names, [column.kind for column in shape.columns.values()]

    def _take(self, batch: pa.RecordBatch, spool: Spool) -> None:
        self.limits.check_shape(spool.rows + batch.num_rows, batch.num_columns)
        _check_cells(batch, self.limits, spool.rows)
        spool.append(batch)

    def _note_types(self, columns: Iterable[tuple[str, infer.ColumnType]]) -> None:
        for name, column in columns:
            note = infer.note_of(name, column)
            if note:
                self.notes.append(note)

    def _cast(self, spool: Spool, names: list[str], kinds: list[str]) -> TableWriter:
        """Second pass: the spooled strings as their settled types, into parts."""
        import polars as pl
        import pyarrow as pa

        types = [stored_type(kind) for kind in kinds]
        writer = self._writer(pa.schema(list(zip(names, types, strict=True))))
        done = 0
        for batch in spool.read(len(names)):
            arrays = [
                infer.cast(pl.Series(values=array), kind).to_arrow().cast(arrow)
                for array, kind, arrow in zip(batch.columns, kinds, types, strict=True)
            ]
            writer.write(pa.RecordBatch.from_arrays(arrays, schema=writer.schema))
            done += batch.num_rows
            self._tell(READ_END + (WRITE_END - READ_END) * done / max(1, spool.rows), "Writing the table")
        return writer

    def _write_parquet(self, path: Path) -> TableWriter:
        found = typed.open_parquet(path, self.limits)
        columns = typed.parquet_columns(found, self.limits, self.notes)
        rows = found.metadata.num_rows
        batches = typed.parquet_batches(found, columns, self._reading(rows, 10, WRITE_END))
        return self._write_typed(columns, batches)

    def _write_excel(self, path: Path) -> TableWriter:
        frame, sheet = typed.read_excel(
            path,
            sheet=self.options["sheet"],
            header=self.options["header"],
            limits=self.limits,
            notes=self.notes,
        )
        self.format["sheet"] = sheet
        self.format["header"] = self.options["header"] != "no"
        columns = typed.excel_columns(frame, self.notes)
        slices = (batch for piece in frame.iter_slices(50_000) for batch in typed.stored(piece, columns))
        return self._write_typed(columns, slices)

    def _write_typed(self, columns: list[typed.Column], batches: Iterator[pa.RecordBatch]) -> TableWriter:
        import pyarrow as pa

        writer = self._writer(pa.schema([(column.name, stored_type(column.kind)) for column in columns]))
        for batch in batches:
            _check_cells(batch, self.limits, writer.rows)
            writer.write(batch)
        return writer

    def _writer(self, schema: pa.Schema) -> TableWriter:
        checked_names(list(schema.names), self.limits, [])
        return TableWriter(self.ctx.outputs, schema, self.limits)

    def _reading(self, total: int, start: float, end: float) -> Callable[[int], None]:
        return lambda done: self._tell(
            start + (end - start) * min(1.0, done / max(1, total)), "Reading the file"
        )

    def _tell(self, percent: float, message: str) -> None:
        self.ctx.progress(round(percent, 1), 100, message)


def _observe(batch: pa.RecordBatch, types: list[infer.ColumnType], first_row: int) -> None:
    import polars as pl

    for array, column in zip(batch.columns, types, strict=True):
        if column.kind != "string":
            column.observe(pl.Series(values=array, dtype=pl.String), first_row)


def _check_cells(batch: pa.RecordBatch, limits: Limits, rows_before: int) -> None:
    """No cell may be longer than the cap."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        if not pa.types.is_string(array.type) or array.nbytes <= limits.cell_bytes:
            continue
        lengths = pc.binary_length(array)
        longest = pc.max(lengths).as_py() or 0
        if longest > limits.cell_bytes:
            row = rows_before + pc.index(lengths, longest).as_py() + 1
            raise too_large(
                f"Row {row:,} has a text of {longest:,} bytes in column '{name}'; {limits.cell_bytes:,} are allowed.",
                "cell_bytes",
                limits.cell_bytes,
            )


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, allow_nan=False), encoding="utf-8")
