"""The caps of one ingestion, and the errors that name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from foundation.tasks import UserError

MB = 1024 * 1024
GB = 1024 * MB


@dataclass(frozen=True)
class Limits:
    """What a table may hold at most. Bytes are bytes, ratios are unpacked / packed.

    free_ratio_bytes: an archive may unpack to this many bytes whatever its ratio (small files compress well).
    line_bytes: the longest line of a text file. exact_rows: up to so many rows the distinct counts and
    quantiles are exact, beyond that they are estimated. part_rows and part_bytes: where a new Parquet part begins.
    """

    rows: int = 100_000_000
    columns: int = 2_000
    cells: int = 2_000_000_000
    cell_bytes: int = 1 * MB
    line_bytes: int = 8 * MB
    unpacked_bytes: int = 16 * GB
    unpack_ratio: int = 200
    free_ratio_bytes: int = 64 * MB
    name_length: int = 200
    part_rows: int = 1_000_000
    part_bytes: int = 128 * MB
    exact_rows: int = 2_000_000
    preview_rows: int = 100
    profile_memory_mb: int = 512

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Limits:
        """The limits of a payload; keys that are not given keep their defaults."""
        names = {field.name for field in fields(cls)}
        return cls(**{key: int(value) for key, value in given.items() if key in names})

    def check_shape(self, rows: int, columns: int) -> None:
        """Raises UserError when a table of that shape is too large."""
        if columns > self.columns:
            raise too_large(
                f"The table has {columns:,} columns; {self.columns:,} are allowed.", "columns", self.columns
            )
        if rows > self.rows:
            raise too_large(
                f"The table has more than {self.rows:,} rows, which is the limit.", "rows", self.rows
            )
        if rows * columns > self.cells:
            raise too_large(
                f"The table has more than {self.cells:,} cells, which is the limit.", "cells", self.cells
            )


def too_large(sentence: str, what: str, limit: int) -> UserError:
    """The error for a table beyond a cap."""
    return UserError(sentence, code="dataset.too_large", detail={"limit": what, "allowed": limit})


def unreadable(sentence: str, *, line: int | None = None, **detail: Any) -> UserError:
    """The error for a file that cannot be read as a table."""
    if line is not None:
        detail["line"] = line
    return UserError(sentence, code="dataset.unreadable", detail=detail)
