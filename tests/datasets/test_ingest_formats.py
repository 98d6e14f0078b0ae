"""Every accepted format, and the promise that one table is one table whatever file it came in."""

from __future__ import annotations

import datetime
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

Ingest = Callable[..., Any]

CSV = """name,age,score,active,born,seen
Ann,31,1.5,true,1990-01-02,2024-05-06T07:08:09
Bob,,2.25,false,1985-12-31,2024-05-06T07:08:09.5
"Cy, the 3rd",44,,true,,2024-01-01T00:00:00
Dée,7,-1e3,False,2001-02-03,
"""
TYPES = {
    "name": "string", "age": "integer", "score": "float", "active": "boolean", "born": "date", "seen": "datetime",
}  # fmt: skip


def _frame() -> Any:
    import polars as pl

    return pl.DataFrame(
        {
            "name": ["Ann", "Bob", "Cy, the 3rd", "Dée"],
            "age": [31, None, 44, 7],
            "score": [1.5, 2.25, None, -1000.0],
            "active": [True, False, True, False],
            "born": [datetime.date(1990, 1, 2), datetime.date(1985, 12, 31), None, datetime.date(2001, 2, 3)],
            "seen": [
                datetime.datetime(2024, 5, 6, 7, 8, 9),
                datetime.datetime(2024, 5, 6, 7, 8, 9, 500_000),
                datetime.datetime(2024, 1, 1),
                None,
            ],
        }
    )


def _parquet() -> bytes:
    buffer = io.BytesIO()
    _frame().write_parquet(buffer, row_group_size=3)
    return buffer.getvalue()


def _jsonl() -> bytes:
    rows = _frame().to_dicts()
    return "\n".join(json.dumps(row, default=lambda moment: moment.isoformat()) for row in rows).encode()


def workbook(sheets: dict[str, list[list[Any]]]) -> bytes:
    """A minimal .xlsx with inline strings, numbers and booleans."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as book:
        kinds = "application/vnd.openxmlformats-officedocument.spreadsheetml"
        overrides = "".join(
            f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{kinds}.worksheet+xml"/>'
            for n in range(1, len(sheets) + 1)
        )
        book.writestr(
            "[Content_Types].xml",
            '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{kinds}.sheet.main+xml"/>{overrides}</Types>',
        )
        office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
        package = "http://schemas.openxmlformats.org/package/2006/relationships"
        book.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}"><Relationship Id="r1" Type="{office}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
        listed = "".join(
            f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in enumerate(sheets, 1)
        )
        book.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>{listed}</sheets></workbook>',
        )
        links = "".join(
            f'<Relationship Id="r{n}" Type="{office}/worksheet" Target="worksheets/sheet{n}.xml"/>'
            for n in range(1, len(sheets) + 1)
        )
        book.writestr(
            "xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{package}">{links}</Relationships>'
        )
        for number, rows in enumerate(sheets.values(), 1):
            lines = "".join(
                f'<row r="{r}">'
                + "".join(_cell(value, f"{chr(64 + c)}{r}") for c, value in enumerate(row, 1))
                + "</row>"
                for r, row in enumerate(rows, 1)
            )
            book.writestr(
                f"xl/worksheets/sheet{number}.xml",
                f'<worksheet xmlns="{main}"><sheetData>{lines}</sheetData></worksheet>',
            )
    return buffer.getvalue()


def _cell(value: Any, place: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return f'<c r="{place}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f'<c r="{place}"><v>{value}</v></c>'
    return f'<c r="{place}" t="inlineStr"><is><t>{value}</t></is></c>'


FORMS = {
    "table.csv": CSV.encode(),
    "bom.csv": b"\xef\xbb\xbf" + CSV.encode(),
    "crlf.csv": CSV.replace("\n", "\r\n").encode(),
    "utf16.csv": CSV.encode("utf-16"),
    "utf16be.csv": CSV.encode("utf-16-be"),
    "windows.csv": CSV.encode("cp1252"),
    "table.tsv": CSV.replace('"Cy, the 3rd"', "Cy\0 the 3rd").replace(",", "\t").replace("\0", ",").encode(),
    "semicolon.csv": CSV.replace('"Cy, the 3rd"', "Cy\0 the 3rd")
    .replace(",", ";")
    .replace("\0", ",")
    .encode(),
    "no_final_newline.csv": CSV.rstrip("\n").encode(),
    "misnamed.txt": CSV.encode(),
}


@pytest.fixture(scope="module")
def reference() -> dict[str, str]:
    return {}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("filename", [*FORMS, "table.parquet", "table.jsonl", "misnamed.csv"])
def test_one_table_has_one_content_digest_in_every_format(
    ingest: Ingest, reference: dict[str, str], filename: str, zipped: bool
) -> None:
    data = FORMS.get(filename) or (_jsonl() if filename.endswith(".jsonl") else _parquet())
    expected = reference.setdefault("digest", ingest(CSV.encode()).result["digest"])
    done = ingest(gzip.compress(data) if zipped else data, filename + (".gz" if zipped else ""))
    assert done.types == TYPES
    assert done.rows() == _frame().to_dicts()
    assert done.result["digest"] == expected
    assert done.result["format"]["compression"] == ("gzip" if zipped else "")


def test_a_workbook_gives_the_same_table(ingest: Ingest) -> None:
    rows = [
        ["name", "age", "score", "ok"],
        ["Ann", 31, 1.5, True],
        ["Bob", None, 2, False],
        [None, 4, 3.5, True],
    ]
    book = ingest(workbook({"Data": rows}), "table.xlsx")
    text = ingest(b"name,age,score,ok\nAnn,31,1.5,true\nBob,,2,false\n,4,3.5,true\n")
    assert book.types == {"name": "string", "age": "integer", "score": "float", "ok": "boolean"}
    assert book.result["digest"] == text.result["digest"]
    assert book.result["format"] == {"kind": "excel", "compression": "", "sheet": "Data", "header": True}


def test_a_workbook_with_several_sheets_reads_the_first_filled_or_the_chosen_one(ingest: Ingest) -> None:
    data = workbook({"Notes": [], "A": [["x"], [1]], "B": [["y"], [2], [3]]})
    first = ingest(data, "book.xlsx")
    assert first.types == {"x": "integer"}
    assert "'A' was read, not 'B'" in first.result["notes"][0]
    assert ingest(data, "book.xlsx", sheet="B").result["rows"] == 2


def test_the_order_of_rows_and_columns_is_part_of_the_content(ingest: Ingest) -> None:
    digests = {
        ingest(data).result["digest"]
        for data in (b"a,b\n1,2\n3,4\n", b"a,b\n3,4\n1,2\n", b"b,a\n2,1\n4,3\n", b"a,c\n1,2\n3,4\n")
    }
    assert len(digests) == 4


def test_a_file_without_header_is_read_when_the_form_says_so(ingest: Ingest) -> None:
    done = ingest(b"1,x\n2,y\n", header="no")
    assert done.rows() == [{"column_1": 1, "column_2": "x"}, {"column_1": 2, "column_2": "y"}]
    named = ingest(b"2019,2020\n1,2\n", header="yes")
    assert named.rows() == [{"2019": 1, "2020": 2}]


def test_a_declared_separator_line_is_honoured(ingest: Ingest) -> None:
    assert ingest(b"sep=|\na|b\n1|2\n").rows() == [{"a": 1, "b": 2}]


def test_blank_lines_around_the_header_do_no_harm(ingest: Ingest) -> None:
    assert ingest(b"\n\na,b\n\n1,2\n\n").rows() == [{"a": 1, "b": 2}]


def test_line_breaks_inside_quotes_stay_in_the_cell(ingest: Ingest) -> None:
    assert ingest(b'a,b\n1,"x\ny"\n2,"say ""hi"""\n').rows() == [
        {"a": 1, "b": "x\ny"},
        {"a": 2, "b": 'say "hi"'},
    ]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", " 2 ", "+3", "-4"], "integer"),
        (["1", "NA", "", "null"], "integer"),
        (["1", "2.5", "NaN"], "float"),
        (["1e5", ".5", "2.", "inf"], "float"),
        (["00123", "00456"], "string"),
        (["1,5", "2,5"], "string"),
        (["12%", "13%"], "string"),
        (["99999999999999999999", "1"], "string"),
        (["9223372036854775807", "1"], "integer"),
        (["true", "FALSE", "NA"], "boolean"),
        (["true", "maybe"], "string"),
        (["yes", "no"], "string"),
        (["2020-02-29", ""], "date"),
        (["2021-02-29", "2020-01-01"], "string"),
        (["31/12/2020", "30/12/2020"], "string"),
        (["2020-01-01", "2020-01-01 10:00"], "datetime"),
        (["2020-01-01T10:00:00Z", "2020-01-01T10:00:00+02:00"], "datetime"),
        (["2020-01-01T10:00:00Z", "2020-01-01T10:00:00"], "string"),
        (["1", "2020-01-01"], "string"),
        (["1", "true"], "string"),
        (["NA", "Bob"], "string"),
        (["", ""], "string"),
    ],
)
def test_a_type_is_only_what_every_value_reads_as(ingest: Ingest, cells: list[str], kind: str) -> None:
    lines = "".join(f'"{cell}",x\n' for cell in cells)
    assert ingest(f"value,other\n{lines}".encode()).types["value"] == kind


def test_words_for_missing_count_in_numbers_and_stay_in_text(ingest: Ingest) -> None:
    rows = ingest(b"n,t\n1,NA\nNA,Bob\n").rows()
    assert rows == [{"n": 1, "t": "NA"}, {"n": None, "t": "Bob"}]


def test_a_zone_is_turned_into_utc(ingest: Ingest) -> None:
    row = ingest(b"at,x\n2020-01-01T10:00:00+02:00,1\n").rows()[0]
    assert row["at"] == datetime.datetime(2020, 1, 1, 8, tzinfo=datetime.UTC)


def test_a_column_that_is_nearly_numeric_is_explained(ingest: Ingest) -> None:
    lines = "".join(f"{n},x\n" for n in range(50))
    done = ingest(f"age,other\n{lines}unknown,x\n1,y\n".encode())
    assert done.types["age"] == "string"
    assert done.result["notes"] == [
        "Column 'age' is kept as text: row 51 has 'unknown' among values of type integer."
    ]


@pytest.mark.parametrize(
    ("cells", "what"),
    [
        (["1,234", "5,678.5"], "look like numbers with commas ('1,234')"),
        (["1,5", "-2,25"], "look like numbers with commas ('1,5')"),
        (["100%", "", "7.5 %"], "look like percentages ('100%')"),
        (["$1,325.0", "$9"], "look like amounts of money"),
        (["31/12/2020", "1.2.21"], "look like dates"),
        (["007", "008"], ""),
        (["a", "b", "1,5"], ""),
    ],
)
def test_a_column_that_people_would_read_as_numbers_is_explained(
    ingest: Ingest, cells: list[str], what: str
) -> None:
    lines = "x;y\n" + "".join(f"{cell};t{row}\n" for row, cell in enumerate(cells))
    read = ingest(lines.encode())
    book = ingest(workbook({"S": [["x", "y"], *([cell or None, "t"] for cell in cells)]}), "x.xlsx")
    for found in (read, book):
        assert found.types["x"] == "string"
        assert len(found.result["notes"]) == bool(what)
        assert what in "".join(found.result["notes"])


def test_names_are_trimmed_and_the_nameless_get_one(ingest: Ingest) -> None:
    done = ingest(b",a , b\n0,1,2\n")
    assert list(done.types) == ["column_1", "a", "b"]
    assert "Column 1 has no name" in done.result["notes"][0]


def test_json_keys_may_come_late_and_values_may_be_mixed(ingest: Ingest) -> None:
    lines = (
        b'{"a": 1, "tags": ["x", 2]}\n\n{"a": 2.5, "b": "5"}\n{"b": null, "c": true, "m": 1}\n{"m": "one"}\n'
    )
    done = ingest(lines, "table.jsonl")
    assert done.types == {"a": "float", "tags": "string", "b": "string", "c": "boolean", "m": "string"}
    assert [row["tags"] for row in done.rows()] == ['["x", 2]', None, None, None]
    assert [row["m"] for row in done.rows()] == [None, None, "1", "one"]


def test_parquet_types_come_into_the_small_vocabulary(ingest: Ingest) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "u64": pa.array([1, 2**64 - 1], pa.uint64()),
            "i8": pa.array([1, None], pa.int8()),
            "nan": pa.array([float("nan"), -0.0]),
            "dec": pa.array([None, 1], pa.decimal128(5, 2)),
            "cat": pa.array(["x", ""]).dictionary_encode(),
            "list": pa.array([[1, 2], None]),
            "ns": pa.array([0, 1_500], pa.timestamp("ns", tz="Europe/Berlin")),
            "time": pa.array([0, 3_600_000], pa.time32("ms")),
            "dur": pa.array([1_500_000, None], pa.duration("us")),
            "null": pa.nulls(2),
            "__index_level_0__": pa.array([7, 8]),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    done = ingest(buffer.getvalue(), "typed.parquet")
    assert done.types == {
        "u64": "float", "i8": "integer", "nan": "float", "dec": "float", "cat": "string", "list": "string",
        "ns": "datetime", "time": "time", "dur": "float", "null": "string",
    }  # fmt: skip
    rows = done.rows()
    assert [row["nan"] for row in rows] == [None, 0.0]
    assert [row["cat"] for row in rows] == ["x", None]
    assert rows[0]["list"] == "[1, 2]"
    assert rows[0]["dur"] == 1.5


def test_large_tables_become_several_parts_that_add_up(ingest: Ingest) -> None:
    lines = "".join(f"{n},{n % 7}\n" for n in range(5_000))
    done = ingest(f"n,m\n{lines}".encode(), limits={"part_rows": 1_200})
    assert [part["rows"] for part in done.result["parts"]] == [1_200, 1_200, 1_200, 1_200, 200]
    assert [row["n"] for row in done.rows()] == list(range(5_000))
    whole = ingest(f"n,m\n{lines}".encode())
    assert whole.result["digest"] == done.result["digest"]


def test_equal_tables_make_equal_parts_whatever_the_file(ingest: Ingest) -> None:
    import polars as pl

    frame = pl.DataFrame({"n": range(9_000), "t": [f"v{n % 11}" for n in range(9_000)]})
    buffer = io.BytesIO()
    frame.write_parquet(buffer, row_group_size=777)
    first = ingest(frame.write_csv().encode()).result["parts"]
    second = ingest(buffer.getvalue(), "t.parquet").result["parts"]
    assert [part["sha256"] for part in first] == [part["sha256"] for part in second]


def test_a_stray_quote_within_a_cell_is_only_a_character(ingest: Ingest) -> None:
    assert ingest(b'size,n\n5" pipe,1\n6 pipe,2\n').result["rows"] == 2
