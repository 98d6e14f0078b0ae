"""Python source as lines of HTML: comments, texts, numbers and keywords get a class, everything is escaped."""

from __future__ import annotations

import io
import keyword
import token
import tokenize

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

#: Longer files are shown without colours: a page is not an editor.
LINES_AT_MOST = 5000
_TEXTS = {token.STRING} | {
    getattr(token, name)
    for name in ("FSTRING_START", "FSTRING_MIDDLE", "FSTRING_END")
    if hasattr(token, name)
}


def highlighted(source: str) -> list[SafeString]:
    """The lines of a source without their ends. What cannot be read as Python is only escaped."""
    lines = source.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    marks: list[list[tuple[int, int, str]]] = [[] for _ in lines]
    if len(lines) <= LINES_AT_MOST:
        _mark(source, lines, marks)
    return [_line(text, found) for text, found in zip(lines, marks, strict=True)]


def _mark(source: str, lines: list[str], marks: list[list[tuple[int, int, str]]]) -> None:
    try:
        for one in tokenize.generate_tokens(io.StringIO(source).readline):
            css = _class(one)
            if not css:
                continue
            (row, start), (last, end) = one.start, one.end
            for number in range(row, min(last, len(lines)) + 1):
                left = start if number == row else 0
                right = end if number == last else len(lines[number - 1])
                marks[number - 1].append((left, right, css))
    except (tokenize.TokenError, SyntaxError, IndexError):
        return


def _class(one: tokenize.TokenInfo) -> str:
    if one.type == token.COMMENT:
        return "c"
    if one.type in _TEXTS:
        return "s"
    if one.type == token.NUMBER:
        return "n"
    return "k" if one.type == token.NAME and keyword.iskeyword(one.string) else ""


def _line(text: str, marks: list[tuple[int, int, str]]) -> SafeString:
    pieces: list[str] = []
    at = 0
    for left, right, css in marks:
        if left < at or right <= left:
            continue
        pieces.append(escape(text[at:left]))
        pieces.append(f'<span class="py-{css}">{escape(text[left:right])}</span>')
        at = right
    pieces.append(escape(text[at:]))
    return mark_safe("".join(pieces))  # noqa: S308  (every piece is escaped)
