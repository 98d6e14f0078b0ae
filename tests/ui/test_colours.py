"""WCAG 2.2 AA contrast of every colour pair in use, in both themes, read from the tokens themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TOKENS = Path(__file__).parents[2] / "static" / "css" / "tokens.css"
PAIR = re.compile(r"--([\w-]+):\s*light-dark\(\s*(#[0-9a-f]{6}),\s*(#[0-9a-f]{6})\s*\)")
THEMES = {
    theme: {name: pair[index] for name, *pair in PAIR.findall(TOKENS.read_text())}
    for index, theme in enumerate(("light", "dark"))
}
TONES = ("grey", "blue", "green", "red", "purple", "slate", "amber")
PAPERS = ("canvas", "rail", "raised", "sunken", "hover", "selected")


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.2, definition of relative luminance)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def check(theme: str, ink: str, paper: str, least: float) -> None:
    ratio = contrast(THEMES[theme][ink], THEMES[theme][paper])
    assert ratio >= least, f"--{ink} on --{paper} in {theme}: {ratio:.2f}, needs {least}"


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("ink", ["ink", "ink-2", "ink-3", *TONES, "danger"])
def test_text_is_readable_on_every_paper(theme: str, paper: str, ink: str) -> None:
    check(theme, ink, paper, 4.5)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("tone", TONES)
def test_a_status_is_readable_on_its_own_tint(theme: str, tone: str) -> None:
    check(theme, tone, f"{tone}-tint", 4.5)
    check(theme, "ink", f"{tone}-tint", 4.5)


@pytest.mark.parametrize("theme", THEMES)
def test_buttons_are_readable(theme: str) -> None:
    check(theme, "on-ink", "ink", 4.5)
    check(theme, "on-ink", "ink-hover", 4.5)
    check(theme, "on-danger", "danger", 4.5)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("heat", ["heat-0", "heat-1"])
def test_the_number_in_a_heat_map_is_readable(theme: str, heat: str) -> None:
    check(theme, "ink", heat, 4.5)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("paper", ["canvas", "raised", "sunken"])
def test_the_edge_of_a_field_can_be_seen(theme: str, paper: str) -> None:
    check(theme, "rule-control", paper, 3.0)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("index", range(1, 11))
def test_a_series_can_be_seen(theme: str, index: int) -> None:
    check(theme, f"series-{index}", "canvas", 3.0)


def _seen_by(colour: str, kind: str) -> tuple[float, float, float]:
    """How a dichromat sees a colour, in linear RGB (Viénot, Brettel and Mollon 1999, simplified matrices)."""
    r, g, b = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    )
    if kind == "protan":
        return (0.11238 * r + 0.88762 * g, 0.11238 * r + 0.88762 * g, 0.00401 * r - 0.00401 * g + b)
    return (0.29275 * r + 0.70725 * g, 0.29275 * r + 0.70725 * g, -0.02234 * r + 0.02234 * g + b)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("kind", ["protan", "deutan"])
def test_the_series_differ_for_colour_blind_eyes(theme: str, kind: str) -> None:
    seen = [
        [max(0.0, c) ** (1 / 2.2) for c in _seen_by(THEMES[theme][f"series-{i}"], kind)] for i in range(1, 11)
    ]
    for i, one in enumerate(seen):
        for j, other in enumerate(seen[:i]):
            apart = sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5
            assert apart > 0.08, (
                f"series-{i + 1} and series-{j + 1} look alike ({apart:.3f}) for {kind} in {theme}"
            )
