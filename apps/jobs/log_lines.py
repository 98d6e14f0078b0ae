"""Logs by lines: the piece of a page's log pane, the end of a log, the lines around one, and the search."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from apps.jobs.logs import CHUNK_BYTES, LogSource, pieces_of, whole_characters
from foundation.errors import Invalid
from foundation.ui.terminal import PLAIN, Style, readable, render_line, split_open

#: What a page shows at first, of the end of a long log.
FIRST_BYTES = 32 * 1024
#: Lines above the one that somebody wants to see.
LINES_ABOVE = 40
QUERY_AT_MOST = 200
HITS_AT_MOST = 500
HIT_LENGTH = 400
_BLOCK = 1024 * 1024


@dataclass(frozen=True)
class Piece:
    """Some lines of a log as HTML.

    start: bytes before it; next: bytes to go on from, which is the beginning of a line that may still change;
    line: number of its first line, next_line: of the line at `next`; style: how the text at `next` begins; whole:
    whether the log ends here (for now).
    """

    html: SafeString
    start: int
    next: int
    line: int
    next_line: int
    style: str
    whole: bool


@dataclass(frozen=True)
class Hit:
    """A line that matches. offset: bytes before it; text: without colours, cut around the first match."""

    line: int
    offset: int
    text: str
    html: SafeString


@dataclass(frozen=True)
class Found:
    """What a search has found. total: all lines that match, of which `hits` are the first behind the line that was
    asked for; more_behind: lines that match behind the last of them."""

    hits: list[Hit]
    total: int
    more_behind: int = 0


def piece_at(
    source: LogSource | None,
    *,
    offset: int,
    line: int,
    style: str = "",
    limit: int = CHUNK_BYTES,
    ended: bool,
) -> Piece:
    """The lines from a byte offset on. ended: nothing will follow, so the last line cannot change any more."""
    data = b"" if source is None else source.read(offset, limit)
    whole = len(data) < limit
    text, used = whole_characters(data)
    over, still = split_open(text)
    if not over and not whole:  # one line longer than the limit: it is shown in parts
        over, still = text, ""
    if ended and whole:
        over, still = text, ""
    html, after, next_line = _render(over, still, line, Style.read(style))
    following = offset + used - len(still.encode())
    return Piece(html, offset, following, line, next_line, after.code, whole)


def last_piece(source: LogSource | None, *, ended: bool, most: int = FIRST_BYTES) -> Piece:
    """The end of the log."""
    size = 0 if source is None else source.size
    if source is None or size <= most:
        return piece_at(source, offset=0, line=1, limit=most + CHUNK_BYTES, ended=ended)
    start = _line_start(source, size - most, size)
    return piece_at(
        source, offset=start, line=_line_number(source, start), limit=most + CHUNK_BYTES, ended=ended
    )


def piece_before(source: LogSource | None, *, end: int, line: int, most: int = CHUNK_BYTES // 2) -> Piece:
    """The lines that end where another piece begins. line: number of that piece's first line."""
    if source is None or end <= 0:
        return Piece(mark_safe(""), 0, 0, 1, 1, "", False)
    start = 0 if end <= most else _line_start(source, end - most, end)
    data = b"".join(pieces_of(source, start=start, end=end))
    text = data.decode("utf-8", "replace")
    first = max(1, line - data.count(b"\n"))
    html, after, _ = _render(text, "", first, PLAIN)
    return Piece(html, start, end, first, line, after.code, False)


def piece_around(source: LogSource | None, *, wanted: int, ended: bool) -> Piece:
    """The lines from a little above the line with this number; of a line that is not there, the end."""
    if source is None:
        return piece_at(None, offset=0, line=1, ended=ended)
    first = max(1, wanted - LINES_ABOVE)
    start = _offset_of(source, first)
    if start is None:
        return last_piece(source, ended=ended)
    return piece_at(source, offset=start, line=first, limit=CHUNK_BYTES // 2, ended=ended)


def search(source: LogSource | None, query: str, *, after: int = 0, most: int = HITS_AT_MOST) -> Found:
    """Lines that contain the words, case ignored, colours and overwritten states left out. after: line number.

    Raises Invalid "job.log_query" for words that are empty or longer than QUERY_AT_MOST characters.
    """
    wanted = query.casefold()
    if not wanted.strip() or len(query) > QUERY_AT_MOST or "\n" in query or "\x00" in query:
        raise Invalid(
            "job.log_query",
            f"Search for 1 to {QUERY_AT_MOST} characters of one line.",
            {"field": "q", "most": QUERY_AT_MOST},
        )
    hits: list[Hit] = []
    total = offset = behind = 0
    plain = wanted.isascii() and wanted.encode()
    for number, raw in enumerate(_lines_of(source), 1):
        # Almost every line is told apart by its bytes; what has colours or other letters is looked at as text.
        if plain and raw.isascii() and b"\x1b" not in raw and b"\r" not in raw and plain not in raw.lower():
            offset += len(raw)
            continue
        text = readable(raw.decode("utf-8", "replace").rstrip("\r\n"))
        if wanted in text.casefold():
            total += 1
            if number > after and len(hits) < most:
                hits.append(_hit(number, offset, text, wanted))
            elif number > after:
                behind += 1
        offset += len(raw)
    return Found(hits, total, behind)


def _hit(line: int, offset: int, text: str, wanted: str) -> Hit:
    at = max(0, text.lower().find(wanted))
    begin = max(0, at - HIT_LENGTH // 4)
    shown = ("…" if begin else "") + text[begin : begin + HIT_LENGTH].strip()
    if len(text) > begin + HIT_LENGTH:
        shown += "…"
    return Hit(line, offset, shown, _marked(shown, wanted))


def _marked(text: str, wanted: str) -> SafeString:
    lower, parts, at = text.lower(), [], 0
    while len(lower) == len(text) and (found := lower.find(wanted, at)) >= 0:
        end = found + len(wanted)
        parts += [escape(text[at:found]), format_html("<mark>{}</mark>", text[found:end])]
        at = end
    return mark_safe("".join([*parts, escape(text[at:])]))  # noqa: S308  (each part is escaped)


def _render(over: str, still: str, line: int, style: Style) -> tuple[SafeString, Style, int]:
    """Finished lines and the open one. The style and the number are those of the open line's beginning."""
    parts: list[str] = []
    lines = over.split("\n")
    rest = (
        lines.pop()
    )  # what stands behind the last end of a line: states that are overwritten, or a last line
    for number, text in enumerate(lines, line):
        shown, style = render_line(text, style)
        parts.append(f'<span class="log-line" data-n="{number}">{shown}\n</span>')
    line += len(lines)
    if rest:
        shown, after = render_line(rest, style)
        if still:
            style = after
        else:
            parts.append(f'<span class="log-line" data-n="{line}">{shown}</span>')
    if still:
        shown, _ = render_line(still, style)
        parts.append(f'<span class="log-line" data-n="{line}" data-open>{shown}</span>')
    return mark_safe("".join(parts)), style, line  # noqa: S308  (render_line escapes what was printed)


def _line_start(source: LogSource, offset: int, end: int) -> int:
    """Where the first line behind an offset begins; the offset itself when there is no such line."""
    data = source.read(offset, min(64 * 1024, end - offset))
    found = data.find(b"\n")
    return offset if found < 0 else offset + found + 1


def _line_number(source: LogSource, offset: int) -> int:
    return 1 + sum(data.count(b"\n") for data in pieces_of(source, end=offset))


def _offset_of(source: LogSource, line: int) -> int | None:
    """Bytes before a line; None when there are fewer lines."""
    missing, offset = line - 1, 0
    if missing == 0:
        return 0
    for data in pieces_of(source):
        here = data.count(b"\n")
        if here < missing:
            missing -= here
            offset += len(data)
            continue
        at = -1
        for _ in range(missing):
            at = data.index(b"\n", at + 1)
        return offset + at + 1
    return None


def _lines_of(source: LogSource | None) -> list[bytes]:
    """All lines with their ends. A log has 20 MB and a tail at most, so it is read at once."""
    if source is None:
        return []
    lines = b"".join(pieces_of(source)).split(b"\n")
    last = lines.pop()
    return [line + b"\n" for line in lines] + ([last] if last else [])
