"""A corpus of files that are no tables: each ends with its own sentence, and with the line where there is one."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from foundation.tasks import UserError
from tests.datasets.test_ingest_formats import workbook

Ingest = Callable[..., Any]


def _parquet(**columns: Any) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(
        pa.table(columns or {"n": list(range(5_000)), "t": [f"text {n}" for n in range(5_000)]}), buffer
    )
    return buffer.getvalue()


def _noise(size: int) -> bytes:
    return random.Random(7).randbytes(size)


def _scrambled_parquet() -> bytes:
    data = bytearray(_parquet())
    data[100:2_000] = _noise(1_900)
    return bytes(data)


def _zip(names: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in names.items():
            archive.writestr(name, data)
    return buffer.getvalue()


TABLE = b"a,b,c\n1,2,3\n4,5,6\n"
CORPUS: dict[str, tuple[str, Callable[[], bytes], str, str]] = {
    # name: (filename, bytes, code, a part of the sentence)
    "empty": ("x.csv", lambda: b"", "unreadable", "The file is empty."),
    "empty gzip": ("x.csv.gz", lambda: gzip.compress(b""), "unreadable", "holds an empty file"),
    "only blank lines": ("x.csv", lambda: b"\n\n \n", "unreadable", "no lines with content"),
    "only a byte-order mark": ("x.csv", lambda: b"\xef\xbb\xbf", "unreadable", "no lines with content"),
    "header without rows": ("x.csv", lambda: b"a,b\n", "no_rows", "column names but no rows"),
    "parquet without rows": ("x.parquet", lambda: _parquet(a=[]), "no_rows", "column names but no rows"),
    "workbook without rows": ("x.xlsx", lambda: workbook({"S": [["a", "b"]]}), "no_rows", "column names but no rows"),
    "short row": ("x.csv", lambda: TABLE + b"7,8\n9,9,9\n", "unreadable", "Line 4 has 2 values where the header has 3."),
    "long row": ("x.csv", lambda: TABLE + b"7,8,9,10\n", "unreadable", "Line 4 has 4 values where the header has 3."),
    "ragged after a line break in a cell": (
        "x.csv", lambda: b'a,b\n1,"x\n\ny"\n\n3\n', "unreadable", "Line 6 has 1 value where the header has 2.",
    ),
    "ragged far below": (
        "x.csv", lambda: b"a,b\n" + b"1,2\n" * 100_000 + b"3\n", "unreadable", "Line 100,002 has 1 value",
    ),
    "ragged without header": ("x.csv", lambda: b"1,2\n3\n", "no_header", "looks like data (1, 2)"),
    "no header": ("x.csv", lambda: b"1,x\n2,y\n3,z\n", "no_header", "looks like data (1, x), not like column names"),
    "no header and one line": ("x.csv", lambda: b"1,2.5,2020-01-01\n", "no_header", "looks like data"),
    "workbook without header": ("x.xlsx", lambda: workbook({"S": [[1, "x"], [2, "y"]]}), "no_header", "looks like data"),
    "duplicate names": ("x.csv", lambda: b"a,b,a\n1,2,3\n", "unreadable", "Two columns are called 'a' (columns 1 and 3)"),
    "duplicate names after trimming": ("x.csv", lambda: b"a, a\n1,2\n", "unreadable", "Two columns are called 'a'"),
    "duplicate names in a workbook": ("x.xlsx", lambda: workbook({"S": [["a", "a"], [1, 2]]}), "unreadable", "Two columns"),
    "no names at all": ("x.csv", lambda: b",,\nx,y,z\n", "unreadable", "no column has a name"),
    "a name that never ends": ("x.csv", lambda: b"a," + b"n" * 300 + b"\n1,2\n", "unreadable", "has 300 characters; 200"),
    "a line break in a name": ("x.csv", lambda: b'a,"b\nc"\n1,2\n', "unreadable", "line break or control character"),
    "a quote never closed": ("x.csv", lambda: b'a,b\n1,2\n3,"4\n' + b"5,6\n" * 40_000, "unreadable", "opens on line 3"),
    "a quote open at the end": ("x.csv", lambda: b'a,b\n1,2\n3,"4', "unreadable", "opens on line 3 is never closed"),
    "a NUL byte": ("x.csv", lambda: TABLE + b"7,\0,9\n", "unreadable", "Line 4 holds a NUL byte"),
    "random bytes": ("x.csv", lambda: _noise(5_000), "unreadable", "NUL byte"),
    "random bytes without NUL": ("x.csv", lambda: _noise(5_000).replace(b"\0", b"\1"), "unreadable", "binary, not text"),
    "damaged UTF-8": (
        "x.csv", lambda: "a,b\nä,ö\nü,ß\n".encode() + b"\xff\xfe,1\n", "unreadable", "Line 4 is not valid UTF-8",
    ),
    "UTF-8 cut within a character": ("x.csv", lambda: "a,b\nä,ö".encode()[:-1], "unreadable", "is not valid UTF-8"),
    "no known encoding": ("x.csv", lambda: b"a,b\n\x81\x8d,1\n", "unreadable", "Line 2 is not valid UTF-8"),
    "cut UTF-16": ("x.csv", lambda: "a,b\n1,2\n".encode("utf-16")[:-1], "unreadable", "not valid UTF-16"),
    "truncated gzip": ("x.csv.gz", lambda: gzip.compress(TABLE * 500)[:-12], "unreadable", "gzip archive is truncated"),
    "damaged gzip": ("x.csv.gz", lambda: b"\x1f\x8b" + _noise(200), "unreadable", "gzip archive is damaged"),
    "not gzip at all": ("x.csv.gz", lambda: TABLE, "unreadable", "called .gz but is not gzip data"),
    "gzipped twice": ("x.csv.gz", lambda: gzip.compress(gzip.compress(TABLE)), "unreadable", "gzipped twice"),
    "truncated parquet": ("x.parquet", lambda: _parquet()[:-200], "unreadable", "Parquet file is truncated"),
    "parquet without a footer": ("x.parquet", lambda: b"PAR1" + _noise(400) + b"PAR1", "unreadable", "footer cannot be read"),
    "scrambled parquet": ("x.parquet", _scrambled_parquet, "unreadable", "part 1 of 1 cannot be read"),
    "not parquet at all": ("x.parquet", lambda: TABLE, "unreadable", "does not begin as Parquet does"),
    "binary in parquet": ("x.parquet", lambda: _parquet(b=[b"\x00\xff"]), "unreadable", "'b' holds binary values"),
    "truncated workbook": ("x.xlsx", lambda: workbook({"S": [["a"], [1]]})[:-60], "unreadable", "truncated or damaged"),
    "empty workbook": ("x.xlsx", lambda: workbook({"S": []}), "unreadable", "no visible worksheet has any cells"),
    "not a workbook": ("x.xlsx", lambda: TABLE, "unreadable", "called a workbook but is not one"),
    "an old workbook that is none": ("x.xls", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + _noise(600), "unreadable", "damaged"),
    "a zip of a table": ("x.zip", lambda: _zip({"x.csv": TABLE}), "unreadable", "zip archive, not a table"),
    "a picture": ("x.csv", lambda: b"\x89PNG\r\n\x1a\n" + _noise(90), "unreadable", "a PNG picture, not a table"),
    "a document": ("x.csv", lambda: b"%PDF-1.7\n", "unreadable", "a PDF document, not a table"),
    "a pickle": ("x.csv", lambda: b"\x80\x04\x95" + _noise(90), "unreadable", "a Python pickle"),
    "broken JSON": ("x.jsonl", lambda: b'{"a": 1}\n{"a": \n', "unreadable", "Line 2 is not valid JSON"),
    "JSON that is no object": ("x.jsonl", lambda: b'{"a": 1}\n5\n', "unreadable", "Line 2 holds a number, not an object"),
    "a JSON array": ("x.json", lambda: b'[{"a": 1},\n {"a": 2}]', "unreadable", "The file is a JSON array"),
    "JSON without keys": ("x.jsonl", lambda: b"{}\n{}\n", "unreadable", "No object has any key"),
    "JSON nested without end": ("x.jsonl", lambda: b'{"a":' * 18_000 + b"\n", "unreadable", "nested too deeply"),
    "a number without end": ("x.jsonl", lambda: b'{"a": ' + b"9" * 5_000 + b"}\n", "unreadable", "too many digits"),
}  # fmt: skip


def test_a_chosen_encoding_that_does_not_fit_is_said(ingest: Ingest) -> None:
    with pytest.raises(UserError, match="Line 2 is not valid UTF-8, which was chosen as its encoding"):
        ingest(b"a,b\n\xfc,1\n", encoding="utf-8")


@pytest.mark.parametrize("name", CORPUS)
def test_a_malformed_file_gets_its_sentence(ingest: Ingest, name: str) -> None:
    filename, make, code, sentence = CORPUS[name]
    with pytest.raises(UserError) as caught:
        ingest(make(), filename, limits={"line_bytes": 100_000})
    assert caught.value.code == f"dataset.{code}"
    assert sentence in caught.value.message
    assert caught.value.message.endswith(".")
    json.dumps(caught.value.detail)


BOMBS: dict[str, tuple[str, Callable[[], bytes], dict[str, int], str]] = {
    "rows": ("x.csv", lambda: b"a\n" + b"x\n" * 50, {"rows": 10}, "more than 10 rows"),
    "columns": ("x.csv", lambda: b",".join(b"c%d" % n for n in range(30)) + b"\n", {"columns": 10}, "30 columns; 10"),
    "cells": ("x.csv", lambda: b"a,b\n" + b"x,y\n" * 50, {"cells": 60}, "more than 60 cells"),
    "json columns": ("x.jsonl", lambda: b"".join(b'{"k%d": 1}\n' % n for n in range(30)), {"columns": 10}, "more than 10 col"),
    "a cell": ("x.csv", lambda: b"a,b\nx,y\nz," + b"w" * 500 + b"\n", {"cell_bytes": 100}, "Row 2 has a text of 500 bytes"),
    "a line": ("x.csv", lambda: b"a,b\nx," + b"w" * 5_000 + b"\n", {"line_bytes": 1_000}, "Line 2 is longer than 1,000"),
    "a JSON line": ("x.jsonl", lambda: b'{"a": "%s"}' % (b"w" * 5_000), {"line_bytes": 1_000}, "Line 1 is longer than"),
    "unpacked": ("x.csv.gz", lambda: gzip.compress(os.urandom(9_000)), {"unpacked_bytes": 5_000}, "more than 5,000 bytes"),
    "ratio": (
        "x.csv.gz", lambda: gzip.compress(b"a\n" * 500_000), {"free_ratio_bytes": 1_000}, "more than 200 times its size",
    ),
    "workbook": (
        "x.xlsx", lambda: _zip({"xl/workbook.xml": b" " * 900_000}), {"free_ratio_bytes": 1_000}, "decompression bomb",
    ),
    "parquet rows": ("x.parquet", _parquet, {"rows": 100}, "more than 100 rows"),
    "parquet bytes": ("x.parquet", _parquet, {"unpacked_bytes": 1_000}, "unpacks to more than 1,000 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_table_beyond_a_cap_is_refused(ingest: Ingest, name: str) -> None:
    filename, make, limits, sentence = BOMBS[name]
    with pytest.raises(UserError) as caught:
        ingest(make(), filename, limits=limits)
    assert caught.value.code == "dataset.too_large"
    assert sentence in caught.value.message


@pytest.mark.parametrize("option", [{"header": "perhaps"}, {"separator": "x"}, {"encoding": "ebcdic"}])
def test_an_unknown_option_is_refused(ingest: Ingest, option: dict[str, str]) -> None:
    with pytest.raises(UserError) as caught:
        ingest(TABLE, **option)
    assert caught.value.code == "dataset.options"


def test_an_unknown_worksheet_is_refused_and_the_known_ones_are_named(ingest: Ingest) -> None:
    with pytest.raises(UserError) as caught:
        ingest(workbook({"A": [["x"], [1]]}), "x.xlsx", sheet="B")
    assert caught.value.message == "There is no worksheet 'B'; there are A."
