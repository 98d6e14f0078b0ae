"""Values as a person reads them: numbers, sizes, durations, ids, times. Pure functions, no templates."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

MISSING = "–"
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_STEPS = (("y", 31_557_600), ("mo", 2_629_800), ("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def number(value: Any, digits: int | None = None) -> str:
    """A number with thousands parted by thin spaces and ``digits`` decimals.

    Without ``digits``: whole numbers stay whole, others keep four significant digits. ``None`` and NaN are
    shown as an en dash, text is returned as it is.
    """
    if value is None or isinstance(value, bool):
        return MISSING if value is None else str(value)
    try:
        x = float(value)
    except (TypeError, ValueError):
        return str(value)
    if math.isnan(x):
        return MISSING
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    if digits is None:
        if x == int(x) and abs(x) < 1e15:
            text = f"{int(x):,}"
        elif abs(x) >= 1e6 or abs(x) < 1e-4:
            text = f"{x:.3e}"
        else:
            decimals = max(0, 3 - math.floor(math.log10(abs(x))))
            text = f"{x:,.{min(decimals, 6)}f}"
    else:
        text = f"{x:,.{int(digits)}f}"
    return text.replace(",", "\u202f").replace("-", "\u2212")


def percent(value: Any, digits: int = 1) -> str:
    """A share between 0 and 1 as per cent: ``0.694`` → ``69.4 %``."""
    if value is None:
        return MISSING
    text = number(float(value) * 100, digits)
    return text if text == MISSING else f"{text}\u202f%"


def size(count: Any) -> str:
    """A number of bytes in decimal units with three significant digits: ``1530`` → ``1.53 kB``."""
    if count is None:
        return MISSING
    x = float(count)
    for unit in _UNITS:
        if abs(x) < 1000 or unit == _UNITS[-1]:
            if unit == "B":
                return f"{int(x)} B"
            return f"{x:.{2 if abs(x) < 10 else 1 if abs(x) < 100 else 0}f} {unit}"
        x /= 1000
    raise AssertionError("the last unit always returns")


def duration(seconds: Any) -> str:
    """A length of time in at most two units: ``0.184`` → ``184 ms``, ``3725`` → ``1 h 2 min``."""
    if seconds is None:
        return MISSING
    if hasattr(seconds, "total_seconds"):
        seconds = seconds.total_seconds()
    x = float(seconds)
    if x < 0:
        return MISSING
    if x < 1:
        return f"{x * 1000:.0f} ms"
    if x < 10:
        return f"{x:.1f} s"
    whole = int(x)
    parts: list[str] = []
    for unit, length in _STEPS:
        if whole >= length:
            parts.append(f"{whole // length} {unit}")
            whole %= length
        elif parts:
            break
        if len(parts) == 2:
            break
    return " ".join(parts)


def ago(then: datetime, now: datetime) -> str:
    """How long ago (or ahead) ``then`` is, in one unit: ``4 min ago``, ``in 2 h``, ``just now``."""
    delta = (now - then).total_seconds()
    length = abs(delta)
    if length < 5:
        return "just now"
    for unit, step in _STEPS:
        if length >= step:
            text = f"{int(length // step)} {unit}"
            return f"{text} ago" if delta > 0 else f"in {text}"
    return "just now"


def short_id(value: Any) -> str:
    """The eight characters that tell ids apart.

    UUIDv7 begins with the time, so objects made in the same minute share their first eight: the last eight
    of the 32 are random, and they are what is shown.
    """
    text = str(value).replace("-", "")
    return text[-8:] if len(text) == 32 else text[:8]
