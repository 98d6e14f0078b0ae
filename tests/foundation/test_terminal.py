"""What programs print, on a page: colours, never markup."""

from __future__ import annotations

import pytest

from foundation.ui.terminal import PLAIN, Style, readable, render_line, split_open


@pytest.mark.parametrize(
    ("line", "html"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m end", '<span class="t-f1">red</span> end'),
        ("\x1b[1;92mok\x1b[22m!", '<span class="t-b t-f10">ok</span><span class="t-f10">!</span>'),
        ("\x1b[38;5;196mx", '<span class="t-f9">x</span>'),
        ("\x1b[38;2;0;200;10mx", '<span class="t-f2">x</span>'),
        ("\x1b[48:5:244mx", '<span class="t-g8">x</span>'),
        ("\x1b[7mx\x1b[27my", '<span class="t-v">x</span>y'),
        ("\x1b[31;44;7mx", '<span class="t-f4 t-g1">x</span>'),
        ("\x1b[2K\x1b[1Ax\x1b]0;title\x07y\x1b]8;;http://a/\x1b\\z", "xyz"),
        (" 10%\r 50%\r\x1b[32m 90%\r", '<span class="t-f2"> 90%</span>'),
        ("\x1b[31m10%\r20%", '<span class="t-f1">20%</span>'),
        ("\x1b[mx\x1b[;;;999m", "x"),
        (f"\x1b[{'9' * 5000}mx", "x"),
        ("\x1b[38;5m\x1b[38;2;1mx", '<span class="t-f0">x</span>'),
    ],
)
def test_it_shows_a_line_as_a_terminal_would(line: str, html: str) -> None:
    assert render_line(line)[0] == html


@pytest.mark.parametrize(
    "line",
    [
        "<script>alert(1)</script>",
        "\x1b[31m<img src=x onerror=alert(1)>\x1b[0m",
        '\x1b]8;;javascript:alert(1)\x1b\\"><b>',
        "\x1b[<script>m",
        '\x1b[31"onmouseover=alert(1)m<a>',
    ],
)
def test_nothing_that_is_printed_becomes_markup(line: str) -> None:
    html = render_line(line)[0]
    for piece in ("<script", "<img", "<b>", "<a>", "javascript:"):
        assert piece not in html


def test_unseen_characters_are_left_out() -> None:
    assert render_line("a\x00b\x08\x07c\u202ed\x9be\tf")[0] == "abcde\tf"


def test_a_colour_goes_on_in_the_next_line() -> None:
    _, style = render_line("\x1b[1;33mwarning:")
    assert render_line("more", style)[0] == '<span class="t-b t-f3">more</span>'
    assert Style.read(style.code) == style


@pytest.mark.parametrize("code", ["", "x", '1-"-', "99-3-b", "1-2-bq", "-" * 40])
def test_a_style_from_outside_is_one_of_ours(code: str) -> None:
    assert '"' not in Style.read(code).classes
    assert Style.read("") == PLAIN


@pytest.mark.parametrize(
    ("text", "over", "still"),
    [
        ("a\nb", "a\n", "b"),
        ("a\n", "a\n", ""),
        ("a\n 1%\r 2%", "a\n 1%\r", " 2%"),
        ("a\n 1%\r 2%\r", "a\n 1%\r", " 2%\r"),
        ("50%\r", "", "50%\r"),
        ("", "", ""),
    ],
)
def test_the_line_that_may_still_change_is_apart(text: str, over: str, still: str) -> None:
    assert split_open(text) == (over, still)


def test_readable_text_has_neither_codes_nor_overwritten_states() -> None:
    raw = "\x1b[31mred\x1b[0m\n 10%|#   |\r 50%|##  |\r100%|####|\nwindows\r\nend\x1b]0;title\x07"
    assert readable(raw) == "red\n100%|####|\nwindows\nend"
