"""Progress read from what a program prints: tqdm and Keras, Lightning and Rich, "Epoch 3/10", or a line that rewrites
itself with "12/100" or "45 %". Only a guess, so it counts only while the code reports nothing itself."""

from __future__ import annotations

import re
from typing import Any

# Of one piece of output so much is looked at, from its end: a flood must not keep the nanny busy.
LOOKED_AT = 4096
LINES = 40
FLOOD_BYTES = 32 * 1024
FLOOD_SECONDS = 0.1
MESSAGE = 100

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_ENDS = re.compile(r"[\r\n]")
# "train:  45%|████▌     | 45/100 [00:10<00:12,  4.5it/s]", with units as in 1.2k/3.4M
_TQDM = re.compile(
    r"(?P<words>[^|\r\n]{0,100}?):?\s*\d{1,3}%\|[^|]*\|\s*(?P<step>[\d.]+)(?P<a>[kMG]?)/(?P<total>[\d.]+)(?P<b>[kMG]?)\s*\["
)
# "12/100 ━━━━━━━ 5s 50ms/step - loss: 0.4" and " 12/100 [==>....] - ETA: 5s"
_KERAS = re.compile(r"\s*(?P<step>\d{1,12})/(?P<total>\d{1,12})\s+(?:\[[=>.\-\s]+\]|[━╸╺\s]*[━╸╺])")
# "Working ━━━━━━━━╸━━━━  45% 0:00:10"
_RICH = re.compile(r"(?P<words>[^━╸╺\r\n]{0,100}?)\s*[━╸╺]{5,}\s+(?P<percent>\d{1,3})%")
# "Epoch 3/10", "step 12 of 100", "[Fold 2/5] …"
_NAMED = re.compile(
    r"\W{0,4}(?P<what>epochs?|steps?|iter(?:ation)?s?|batch(?:es)?|folds?|rounds?|trials?|generations?)"
    r"\W{0,4}(?P<step>\d{1,12})\s*(?:/|of)\s*(?P<total>\d{1,12})(?![\d/.])",
    re.IGNORECASE,
)
# In a line that rewrites itself: "12/100" or "45 %"
_COUNTED = re.compile(r"(?:^|[\s\[(:])(?P<step>\d{1,12})\s*(?:/|of)\s*(?P<total>\d{1,12})(?![\d/.])")
_PERCENT = re.compile(r"(?:^|[\s\[(:])(?P<percent>\d{1,3}(?:\.\d+)?)\s?%")
_UNITS = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}


class BarReader:
    """Reads the output of one program as it comes, in pieces of any size."""

    def __init__(self) -> None:
        self._rest = ""
        self._epoch: tuple[float, float, str] | None = (
            None  # a heading above bars: its number, of how many, words
        )
        self.found = False  # whether there ever was one
        self._looked = float("-inf")

    def read(self, data: bytes, now: float) -> dict[str, Any] | None:
        """The latest progress in this piece, {"step", "total", "message"}, or None. now: monotonic seconds."""
        if len(data) >= FLOOD_BYTES and now - self._looked < FLOOD_SECONDS:
            self._rest = ""
            return None
        self._looked = now
        if not self._rest and not any(
            mark in data for mark in (b"/", b"%", b" of ")
        ):  # no bar has none of them
            return None
        text = self._rest + data[-LOOKED_AT:].decode("utf-8", "replace")
        text = _ANSI.sub("", text)
        pieces = _ENDS.split(text)
        self._rest = pieces[-1][-LOOKED_AT // 4 :]
        rewritten = "\r" in text
        found = None
        for line in pieces[-LINES:]:
            found = self._line(line, rewritten) or found
        self.found = self.found or found is not None
        return found

    def _line(self, line: str, rewritten: bool) -> dict[str, Any] | None:
        bar = _TQDM.match(line)
        if bar:
            step = float_of(bar["step"]) * _UNITS[bar["a"]]
            return self._inside(step, float_of(bar["total"]) * _UNITS[bar["b"]], bar["words"])
        bar = _KERAS.match(line)
        if bar:
            return self._inside(float(bar["step"]), float(bar["total"]), "")
        bar = _RICH.match(line)
        if bar:
            return self._inside(float(bar["percent"]), 100.0, bar["words"])
        bar = _NAMED.match(line)
        if bar:
            return self._named(line, bar)
        if rewritten:
            bar = _COUNTED.search(line)
            if bar:
                return _report(float(bar["step"]), float(bar["total"]), line[: bar.start()])
            bar = _PERCENT.search(line)
            if bar:
                return _report(float(bar["percent"]), 100.0, line[: bar.start()])
        return None

    def _named(self, line: str, bar: re.Match[str]) -> dict[str, Any] | None:
        step, total = float(bar["step"]), float(bar["total"])
        if not bar["what"].lower().startswith("epoch"):
            return self._inside(step, total, line)
        heading = not line[bar.end() :].strip(" :-=.[]")
        if heading:  # bars follow below it: this epoch has only begun
            self._epoch = (step, total, line.strip())
            return _report(step - 1, total, line)
        return _report(step, total, line)

    def _inside(self, step: float, total: float, words: str) -> dict[str, Any] | None:
        """A bar below a heading is a part of that epoch."""
        inner = _report(step, total, words)
        if inner is None or self._epoch is None:
            return inner
        number, count, heading = self._epoch
        share = inner["step"] / inner["total"]
        message = f"{heading}, {inner['step']:g}/{inner['total']:g}"
        return _report(number - 1 + share, count, message)


def float_of(text: str) -> float:
    """A number of digits and dots; 0 when it is none."""
    try:
        return float(text)
    except ValueError:
        return 0.0


def _report(step: float, total: float, words: str) -> dict[str, Any] | None:
    if total <= 0 or not 0 <= step <= total:
        return None
    return {
        "step": round(step, 4),
        "total": total,
        "message": " ".join(words.split()).lstrip(" :-|").rstrip(" :-|[(")[:MESSAGE],
    }
