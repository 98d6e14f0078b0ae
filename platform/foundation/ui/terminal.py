"""What a program printed, as a person reads it in a terminal: colours as classes, rewritten lines in their last
state, every other control character left out. Nothing of it can become markup or a style of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

# Control sequences: CSI (colours, cursor), OSC (titles, links), and the two-character ones.
SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_SGR = re.compile(r"\x1b\[([0-9;:]*)m")
# Invisible to a reader, or turning the direction of what follows: C0 but tab, DEL, C1, bidirectional overrides.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_FLAGS = {1: "b", 2: "d", 3: "i", 4: "u", 7: "v", 9: "s"}
_ENDS = {22: "bd", 23: "i", 24: "u", 27: "v", 29: "s"}
_CODE = re.compile(r"(?:(\d{1,2}))?-(?:(\d{1,2}))?-([bdiuvs]{0,6})")
# xterm's sixteen colours, for finding the nearest one to any other.
_SIXTEEN = (
    (0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0), (0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229),
    (127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0), (92, 92, 255), (255, 0, 255), (0, 255, 255),
    (255, 255, 255),
)  # fmt: skip


@dataclass(frozen=True)
class Style:
    """How the next character looks. ink, ground: 0 to 15 of the terminal's colours, or None for the page's own;
    flags: b(old), d(im), i(talic), u(nderlined), s(truck), v (the colours exchanged)."""

    ink: int | None = None
    ground: int | None = None
    flags: str = ""

    @property
    def code(self) -> str:
        """A short word for it, which read() understands; "" for the plain style."""
        return "" if self == PLAIN else f"{_digits(self.ink)}-{_digits(self.ground)}-{self.flags}"

    @classmethod
    def read(cls, code: str) -> Style:
        """The style of a word that came from outside; anything else is the plain one."""
        found = _CODE.fullmatch(code)
        if found is None:
            return PLAIN
        ink, ground = (None if part is None else min(15, int(part)) for part in found.group(1, 2))
        return cls(ink, ground, "".join(sorted(set(found.group(3)))))

    @property
    def classes(self) -> str:
        """Classes of static/css/code.css."""
        names = [f"t-{flag}" for flag in self.flags if flag != "v"]
        turned = "v" in self.flags
        if turned and self.ink is None and self.ground is None:
            names.append("t-v")
        ink, ground = (self.ground, self.ink) if turned else (self.ink, self.ground)
        names += [] if ink is None else [f"t-f{ink}"]
        names += [] if ground is None else [f"t-g{ground}"]
        return " ".join(names)

    def after(self, parameters: str) -> Style:
        """The style after a "select graphic rendition" sequence with these parameters."""
        style = self
        numbers = iter([int(part[:6]) if part else 0 for part in re.split("[;:]", parameters)][:64])
        for number in numbers:
            style = style._with(number, numbers)
        return style

    def _with(self, number: int, rest: Iterator[int]) -> Style:
        if number == 0:
            return PLAIN
        if number in _FLAGS:
            return replace(self, flags="".join(sorted({*self.flags, _FLAGS[number]})))
        if number in _ENDS:
            return replace(self, flags="".join(flag for flag in self.flags if flag not in _ENDS[number]))
        if number in (38, 48):
            colour = _colour(rest)
            return replace(self, ink=colour) if number == 38 else replace(self, ground=colour)
        if 30 <= number <= 37 or 90 <= number <= 97:
            return replace(self, ink=number % 10 + (8 if number >= 90 else 0))
        if 40 <= number <= 47 or 100 <= number <= 107:
            return replace(self, ground=number % 10 + (8 if number >= 100 else 0))
        if number == 39:
            return replace(self, ink=None)
        return replace(self, ground=None) if number == 49 else self


PLAIN = Style()


def _digits(number: int | None) -> str:
    return "" if number is None else str(number)


def _colour(rest: Iterator[int]) -> int | None:
    """The nearest of the sixteen to what follows a 38 or 48: 5;n (xterm's 256) or 2;r;g;b."""
    kind = next(rest, None)
    if kind == 5:
        number = next(rest, 0)
        if number < 16:
            return number
        if number >= 232:
            grey = 8 + 10 * (min(number, 255) - 232)
            return _nearest(grey, grey, grey)
        levels = (0, 95, 135, 175, 215, 255)
        number -= 16
        return _nearest(levels[number // 36], levels[number // 6 % 6], levels[number % 6])
    if kind == 2:
        return _nearest(next(rest, 0), next(rest, 0), next(rest, 0))
    return None


def _nearest(*wanted: int) -> int:
    distances = [sum((a - b) ** 2 for a, b in zip(colour, wanted, strict=True)) for colour in _SIXTEEN]
    return distances.index(min(distances))


def readable(text: str) -> str:
    """Plain text: without control sequences, and of a line that rewrites itself only the last state."""
    text = SEQUENCE.sub("", text)
    if "\r" in text:
        text = "\n".join(_last_state(line) for line in text.split("\n"))
    return text


def _last_state(line: str) -> str:
    return line.rstrip("\r").rpartition("\r")[2]


def split_open(text: str) -> tuple[str, str]:
    """(what is over, the line that may still grow or be rewritten): without the states that are overwritten."""
    end = text.rfind("\n") + 1
    tail = text[end:]
    state = tail.rstrip("\r").rfind("\r") + 1
    return text[: end + state], tail[state:]


def render_line(line: str, style: Style = PLAIN) -> tuple[SafeString, Style]:
    """One line (without its end) as HTML, and the style that holds behind it."""
    if "\r" in line:
        shown = _last_state(line)
        for found in _SGR.finditer(line[: line.rstrip("\r").rfind("\r") + 1]):
            style = style.after(found.group(1))
        line = shown
    if "\x1b" not in line and style == PLAIN:
        return escape(_UNSEEN.sub("", line)), style
    parts: list[str] = []
    at = 0
    for found in SEQUENCE.finditer(line):
        parts.append(_span(line[at : found.start()], style))
        sgr = _SGR.fullmatch(found.group())
        style = style.after(sgr.group(1)) if sgr else style
        at = found.end()
    parts.append(_span(line[at:], style))
    return mark_safe("".join(parts)), style  # noqa: S308  (every part is escaped by _span)


def _span(text: str, style: Style) -> str:
    shown = escape(_UNSEEN.sub("", text))
    classes = style.classes
    return f'<span class="{classes}">{shown}</span>' if shown and classes else str(shown)
