"""Logs by lines: where a page goes on reading, the end of a long log, the lines around one, and the search."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from apps.jobs import log_lines
from apps.jobs.logs import FileSource
from foundation.errors import Invalid


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.txt"
    path.touch()
    return path


def numbers(html: str) -> list[int]:
    return [int(n) for n in re.findall(r'data-n="(\d+)"', html)]


def words(html: str) -> str:
    return re.sub(r"<[^>]+>", "", html)


def append(path: Path, text: str) -> None:
    with path.open("a", newline="") as file:
        file.write(text)


class Reader:
    """A page's log pane: it goes on from where the last piece said, and replaces the line that could change."""

    def __init__(self, path: Path) -> None:
        self.source = FileSource(path)
        self.at = log_lines.last_piece(self.source, ended=False)
        self.shown = str(self.at.html)

    def more(self, *, ended: bool = False) -> None:
        at = self.at
        self.at = log_lines.piece_at(
            self.source, offset=at.next, line=at.next_line, style=at.style, ended=ended
        )
        if self.at.html:
            self.shown = re.sub(r'<span class="log-line" data-n="\d+" data-open>.*?</span>$', "", self.shown)
            self.shown += self.at.html


def test_a_progress_bar_that_rewrites_its_line_stays_one_line(log: Path) -> None:
    append(log, "begin\n 10%|#")
    pane = Reader(log)
    for state in ("\r 20%|##", "\r 30%|###\r", "\r100%|####|"):
        append(log, state)
        pane.more()
    assert words(pane.shown) == "begin\n100%|####|"
    append(log, "\ndone\n")
    pane.more(ended=True)
    assert words(pane.shown) == "begin\n100%|####|\ndone\n"
    assert numbers(pane.shown) == [1, 2, 3]


def test_a_colour_goes_on_behind_the_end_of_a_piece(log: Path) -> None:
    append(log, "\x1b[31mred\nstill\n")
    pane = Reader(log)
    append(log, "red\x1b[0m plain\n")
    pane.more(ended=True)
    assert pane.shown.endswith('<span class="t-f1">red</span> plain\n</span>')


def test_a_piece_is_cut_at_a_line_and_at_a_whole_character(log: Path) -> None:
    append(log, "é" * 10 + "\n" + "ü" * 10)
    source = FileSource(log)
    first = log_lines.piece_at(source, offset=0, line=1, limit=25, ended=True)
    assert (words(first.html), first.next, first.next_line) == ("é" * 10 + "\n" + "ü" * 2, 21, 2)
    rest = log_lines.piece_at(source, offset=first.next, line=2, limit=100, ended=True)
    assert words(rest.html) == "ü" * 10
    assert rest.whole


def test_a_line_longer_than_a_piece_is_shown_in_parts(log: Path) -> None:
    append(log, "x" * 100)
    piece = log_lines.piece_at(FileSource(log), offset=0, line=1, limit=40, ended=False)
    assert words(piece.html) == "x" * 40
    assert piece.next == 40


@pytest.fixture
def long_log(log: Path) -> Path:
    log.write_text("".join(f"line {n} {'x' * (n % 50)}\n" for n in range(1, 5001)))
    return log


def test_a_long_log_is_shown_from_its_end_with_true_numbers(long_log: Path) -> None:
    piece = log_lines.last_piece(FileSource(long_log), ended=True, most=2000)
    found = numbers(piece.html)
    assert found[-1] == 5000
    assert found[0] == piece.line > 4900
    assert words(piece.html).startswith(f"line {piece.line} ")


def test_the_lines_above_join_without_a_gap(long_log: Path) -> None:
    source = FileSource(long_log)
    piece = log_lines.last_piece(source, ended=True, most=2000)
    above = log_lines.piece_before(source, end=piece.start, line=piece.line, most=2000)
    assert numbers(above.html)[-1] == piece.line - 1
    assert numbers(above.html)[0] == above.line
    assert words(above.html).startswith(f"line {above.line} ")
    top = log_lines.piece_before(source, end=above.start, line=above.line, most=10_000_000)
    assert (top.start, numbers(top.html)[0]) == (0, 1)


@pytest.mark.parametrize("wanted", [1, 30, 2500, 5000, 99_999])
def test_it_goes_to_a_line(long_log: Path, wanted: int) -> None:
    piece = log_lines.piece_around(FileSource(long_log), wanted=wanted, ended=True)
    assert min(wanted, 5000) in numbers(piece.html)
    assert words(piece.html).startswith(f"line {piece.line} ")


def test_the_search_sees_the_whole_log_and_counts_it(long_log: Path) -> None:
    found = log_lines.search(FileSource(long_log), "LINE 4", most=3)
    assert [hit.line for hit in found.hits] == [4, 40, 41]
    assert (found.total, found.more_behind) == (1111, 1108)
    raw = long_log.read_bytes()
    assert raw[found.hits[1].offset :].startswith(b"line 40 ")
    behind = log_lines.search(FileSource(long_log), "line 4", after=41, most=1)
    assert behind.hits[0].line == 42


def test_the_search_looks_through_colours_and_overwritten_states(log: Path) -> None:
    append(log, "\x1b[31mER\x1b[1mROR\x1b[0m: <b>\n 1% error\r 2% fine\nÜbel\n")
    source = FileSource(log)
    found = log_lines.search(source, "error")
    assert [(hit.line, hit.text) for hit in found.hits] == [(1, "ERROR: <b>")]
    assert found.hits[0].html == "<mark>ERROR</mark>: &lt;b&gt;"
    assert log_lines.search(source, "übel").total == 1


@pytest.mark.parametrize("query", ["", "   ", "x" * 201, "a\nb", "a\x00"])
def test_the_search_refuses_words_that_cannot_be_found(log: Path, query: str) -> None:
    with pytest.raises(Invalid, match="Search for 1 to 200"):
        log_lines.search(FileSource(log), query)


def test_a_link_in_the_place_of_a_log_is_not_read(tmp_path: Path, log: Path) -> None:
    log.write_text("secret\n")
    link = tmp_path / "link.txt"
    link.symlink_to(log)
    source: Any = FileSource(link)
    assert (source.size, source.read(0, 100)) == (0, b"")
