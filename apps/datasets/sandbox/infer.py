"""From text to types: what a column of strings is, settled over all of its rows, and the cast that follows.

The rules are conservative, so that nothing is lost: a value keeps its text unless every value of its column
reads as one of the types. Leading zeros ("00123"), decimal commas, percentages, day-first dates and integers
beyond 64 bits stay text. Missing is the empty cell; in columns of numbers, booleans and dates the usual words
(NA, NaN, null …) are missing too, in text columns they stay what they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

MISSING_WORDS = (
    "NA", "N/A", "n/a", "NaN", "nan", "NAN", "-nan", "-NaN", "null", "NULL", "Null", "None", "none", "#N/A", "<NA>",
)  # fmt: skip
INTEGER = r"^[+-]?(?:0|[1-9][0-9]{0,18})$"
FLOAT = (
    r"^[+-]?(?:(?:(?:0|[1-9][0-9]*)\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?:0|[1-9][0-9]*)[eE][+-]?[0-9]+"
    r"|0|[1-9][0-9]{0,14}|[iI]nf|[iI]nfinity)$"
)
BOOLEAN = r"^(?:[tT]rue|TRUE|[fF]alse|FALSE)$"
DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
DATETIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?$"
ZONE = r"(?:Z|[0-9][+-][0-9]{2}:?[0-9]{2})$"

#: How people write numbers and dates that no program can read for sure; a note says that they stayed text.
LOOKALIKES = (
    (r"^[+-]?[0-9][0-9.]*(?:,[0-9]+)+(?:\.[0-9]+)?$", "numbers with commas", "Written as 1234.5 they are numbers."),
    (r"^[+-]?[0-9][0-9.,]* ?%$", "percentages", "Without the sign they are numbers."),
    (r"^[+-]?[$€£¥] ?[0-9][0-9.,]*$|^[+-]?[0-9][0-9.,]* ?[$€£¥]$", "amounts of money", "Written as 1234.5 they are numbers."),
    (r"^[0-9]{1,2}[./-][0-9]{1,2}[./-](?:[0-9]{4}|[0-9]{2})$", "dates", "Written as YYYY-MM-DD they are."),
)  # fmt: skip
LOOKED_AT = 1000

# What two kinds of value in one column make together; anything not listed is text.
JOIN = {
    frozenset({"integer", "float"}): "float",
    frozenset({"date", "datetime"}): "datetime",
    frozenset({"date", "datetime_utc"}): "string",
}
TEXTUAL = ("integer", "float", "boolean", "date", "datetime")


@dataclass
class ColumnType:
    """What is known of one column so far. kind: "" until a value was seen. broken_at: the first row (1-based) and
    value that turned a column of another kind into text. resembles: what its texts look like to people."""

    kind: str = ""
    broken_from: str = ""
    broken_row: int = 0
    broken_value: str = ""
    resembles: str = ""

    def observe(self, values: pl.Series, first_row: int, among: tuple[str, ...] = TEXTUAL) -> None:
        """Look at a batch of strings that begins at row `first_row`. among: the kinds that may be recognised."""
        if self.kind == "string":
            return
        import polars as pl

        cells = values.str.strip_chars()
        keep = (
            cells.is_not_null()
            & (cells != "")
            & ~cells.is_in(pl.Series(MISSING_WORDS, dtype=pl.String).implode())
        )
        cells = cells.filter(keep)
        if cells.is_empty():
            return
        found = kind_of(cells, among, hint=self.kind)
        joined = found if self.kind in ("", found) else JOIN.get(frozenset({self.kind, found}), "string")
        if joined == "string":
            self._break(cells, keep, first_row)
            self.resembles = "" if self.broken_from else lookalike(cells)
        self.kind = joined

    def observe_kind(self, kind: str, row: int, value: str) -> None:
        """Take note of a kind that the source itself states (JSON, where a number is a number)."""
        joined = kind if self.kind in ("", kind) else JOIN.get(frozenset({self.kind, kind}), "string")
        if joined == "string" and self.kind not in ("", "string"):
            self.broken_from, self.broken_row, self.broken_value = self.kind, row, value[:60]
        self.kind = joined

    def _break(self, cells: pl.Series, keep: pl.Series, first_row: int) -> None:
        """Remember where a column stopped being of one kind, for the note that people read."""
        kind = self.kind
        if not kind:
            kinds = kind_of(cells.head(1), TEXTUAL), kind_of(cells.tail(1), TEXTUAL)
            kind = next((found for found in kinds if found != "string"), "")
        if not kind:
            return
        fits = fitting(cells, "float" if kind == "integer" else kind)
        # A note is only worth reading when the other kind is the rule and text the exception.
        if fits.sum() * 2 < len(cells):
            return
        odd = fits.not_().arg_true()
        if odd.is_empty():
            return
        rows = keep.arg_true()
        self.broken_from = kind
        self.broken_row = first_row + int(rows[int(odd[0])])
        self.broken_value = str(cells[int(odd[0])])[:60]


def kind_of(cells: pl.Series, among: tuple[str, ...], hint: str = "") -> str:
    """The narrowest kind that all cells (stripped, none missing) read as: integer, float, boolean, date, datetime,
    datetime_utc (with a zone) or string. hint: the kind to try first."""
    order = [kind for kind in among if kind in (hint, hint.removesuffix("_utc"))] + [
        k for k in among if k != hint
    ]
    narrowest = order if hint != "float" else ["integer", *order]
    for kind in narrowest:
        if not fitting(cells.head(64), kind).all() or not fitting(cells, kind).all():
            continue
        if kind == "datetime":
            zoned = cells.str.contains(ZONE)
            if zoned.all():
                return "datetime_utc"
            return "string" if zoned.any() else "datetime"
        return kind
    return "string"


def fitting(cells: pl.Series, kind: str) -> pl.Series:
    """Which of the cells (stripped, none missing) read as that kind: a boolean for each."""
    import polars as pl

    if kind == "integer":
        return cells.str.contains(INTEGER) & cells.cast(pl.Int64, strict=False).is_not_null()
    if kind == "float":
        return cells.str.contains(FLOAT)
    if kind == "boolean":
        return cells.str.contains(BOOLEAN)
    if kind == "date":
        return cells.str.contains(DATE) & cells.str.to_date("%Y-%m-%d", strict=False).is_not_null()
    shaped = cells.str.contains(DATETIME)
    if not shaped.any():
        return shaped
    return shaped & (_moments(cells, zoned=False).is_not_null() | _moments(cells, zoned=True).is_not_null())


def cast(values: pl.Series, kind: str) -> pl.Series:
    """A column of strings as the settled kind; missing words become missing. Text keeps its cells as they are,
    but an empty cell is missing."""
    import polars as pl

    if kind in ("", "string"):
        return pl.select(pl.when(values != "").then(values)).to_series().alias(values.name)
    cells = values.str.strip_chars()
    missing = (cells == "") | cells.is_in(pl.Series(MISSING_WORDS, dtype=pl.String).implode())
    cells = pl.select(pl.when(~missing).then(cells)).to_series().alias(values.name)
    if kind == "integer":
        return cells.cast(pl.Int64, strict=False)
    if kind == "float":
        return cells.cast(pl.Float64, strict=False)
    if kind == "boolean":
        return cells.str.to_lowercase() == "true"
    if kind == "date":
        return cells.str.to_date("%Y-%m-%d", strict=False)
    return _moments(cells, zoned=kind == "datetime_utc")


def _moments(cells: pl.Series, *, zoned: bool) -> pl.Series:
    """ISO 8601 dates and times as microseconds, in UTC when they carry a zone."""
    full = cells.str.replace(r"^(\S{10})$", "${1}T00:00:00").str.replace(" ", "T", literal=True)
    full = full.str.replace(r"^(.{10}T[0-9]{2}:[0-9]{2})(Z|[+-].*)?$", "${1}:00${2}")
    if zoned:
        full = full.str.replace(r"Z$", "+00:00")
        return full.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us", strict=False)
    return full.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)


def note_of(name: str, column: ColumnType) -> str:
    """The sentence about a column that nearly was of another kind, or an empty string."""
    if column.kind != "string":
        return ""
    if column.resembles:
        return resemblance_note(name, column.resembles)
    if not column.broken_from:
        return ""
    shown: Any = column.broken_value
    return (
        f"Column '{name}' is kept as text: row {column.broken_row:,} has '{shown}' "
        f"among values of type {column.broken_from}."
    )


def lookalike(cells: pl.Series) -> str:
    """What nearly all of these texts (stripped, none missing) look like to people, and what to do; or ""."""
    some = cells.head(LOOKED_AT)
    for pattern, what, advice in LOOKALIKES:
        fits = some.str.contains(pattern)
        if len(some) > 1 and fits.sum() >= 0.95 * len(some):
            return f"its values look like {what} ('{str(some[int(fits.arg_true()[0])])[:40]}'). {advice}"
    return ""


def resemblance_note(name: str, resembles: str) -> str:
    """The sentences about a column of text that people would read as something else."""
    return f"Column '{name}' is kept as text: {resembles}"
