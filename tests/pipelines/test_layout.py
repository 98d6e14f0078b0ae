"""Where boxes and lines stand: nothing overlaps, lines avoid boxes, the main line runs straight."""

from __future__ import annotations

import itertools
import random
import re

import pytest

from apps.pipelines.graph import lay_out
from apps.pipelines.layout import Layout, Sizes, place

SIZES = Sizes(width=200, height=60, along=60, across=20)
NUMBERS = re.compile(r"-?\d+")


def boxes_apart(layout: Layout) -> bool:
    """Whether no two boxes touch."""
    return not any(
        abs(x1 - x2) < layout.sizes.width and abs(y1 - y2) < layout.sizes.height
        for (x1, y1), (x2, y2) in itertools.combinations(layout.boxes.values(), 2)
    )


def many(seed: int, count: int = 50) -> dict[str, list[str]]:
    draw = random.Random(seed)
    return {
        f"n{i}": draw.sample([f"n{j}" for j in range(i)], min(i, draw.randint(0, 3))) for i in range(count)
    }


def test_a_chain_is_a_straight_line() -> None:
    layout = place(lay_out({"a": [], "b": ["a"], "c": ["b"]}), SIZES)
    assert len({y for _, y in layout.boxes.values()}) == 1
    assert [layout.boxes[name][0] for name in "abc"] == sorted(x for x, _ in layout.boxes.values())
    down = place(lay_out({"a": [], "b": ["a"], "c": ["b"]}), SIZES, down=True)
    assert len({x for x, _ in down.boxes.values()}) == 1
    assert down.height > down.width


def test_a_long_line_leaves_the_main_line_straight_and_runs_beside_it() -> None:
    layout = place(lay_out({"a": [], "b": ["a"], "c": ["b"], "d": ["c", "a"]}), SIZES)
    assert layout.boxes["a"][1] == layout.boxes["b"][1] == layout.boxes["c"][1]
    [line] = [line for line in layout.lines if (line.source, line.target) == ("a", "d")]
    middle = [int(part.split()[1]) for part in re.findall(r"L(\d+ \d+)", line.path)]
    top = layout.boxes["b"][1]
    assert all(not top <= y <= top + SIZES.height for y in middle)


def test_several_long_lines_do_not_bend_the_main_line() -> None:
    chain = {"a": [], "b": ["a"], "c": ["b", "a"], "d": ["c"], "e": ["d", "b"], "f": ["e"]}
    boxes = place(lay_out(chain), SIZES).boxes
    heights = [y for _, y in boxes.values()]
    assert max(heights) - min(heights) <= 4


def test_parallel_nodes_do_not_cross() -> None:
    graph = lay_out({"a": [], "b": [], "x": ["b"], "y": ["a"]})
    boxes = place(graph, SIZES).boxes
    assert (boxes["a"][1] < boxes["b"][1]) == (boxes["y"][1] < boxes["x"][1])


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_large_graphs_fit_into_their_picture(seed: int, down: bool) -> None:
    layout = place(lay_out(many(seed)), SIZES, down=down)
    assert boxes_apart(layout)
    for x, y in layout.boxes.values():
        assert 0 <= x <= layout.width - SIZES.width
        assert 0 <= y <= layout.height - SIZES.height
    for line in layout.lines:
        assert all(number >= 0 for number in map(int, NUMBERS.findall(line.path)))


def test_nothing_is_drawn_of_nothing() -> None:
    layout = place(lay_out({}), SIZES)
    assert (layout.boxes, layout.lines) == ({}, ())
