"""Badges, figures, small graphics and series colours."""

from __future__ import annotations

import json
import random

import pytest
from django.test import RequestFactory

from apps.datasets.states import VersionState
from apps.deployments.states import DeploymentState, RevisionState
from apps.jobs.states import JobState, Outcome
from foundation.ui import graphics
from foundation.ui.figures import figure_json, figure_response, thin_out
from foundation.ui.graphs import draw
from foundation.ui.icons import ICONS, icon
from foundation.ui.series import assign_series, series_index
from foundation.ui.statuses import LOOKS, badge, look_of


@pytest.mark.parametrize(
    "state",
    [
        *JobState.values,
        *Outcome.values,
        *VersionState.values,
        *DeploymentState.values,
        *RevisionState.values,
        *("checking", "refused", "awaiting_approval", "applied", "rejected"),
    ],
)
def test_every_state_of_the_studio_has_a_look(state: str) -> None:
    assert state in LOOKS


def test_every_look_has_an_icon_and_a_word() -> None:
    for look in LOOKS.values():
        assert look.icon in ICONS
        assert look.word


def test_an_unknown_state_is_grey_with_its_own_word() -> None:
    assert look_of("half_baked").word == "Half baked"
    assert "tone-grey" in badge("half_baked")


def test_a_badge_escapes_its_word() -> None:
    assert "<script>" not in badge("<script>")


def test_an_unknown_icon_is_an_error() -> None:
    with pytest.raises(KeyError):
        icon("unicorn")


def test_a_figure_is_plain_json_without_nan() -> None:
    body = json.loads(figure_json({"data": [{"y": [1.0, float("nan"), float("inf")]}]}))
    assert body["data"][0]["y"] == [1.0, None, None]


def test_a_figure_that_needs_eval_is_refused() -> None:
    with pytest.raises(ValueError, match="eval"):
        figure_json({"data": [{"type": "parcoords"}]})


def test_an_unchanged_figure_is_answered_with_304() -> None:
    figure = {"data": [{"y": [1, 2]}]}
    first = figure_response(RequestFactory().get("/"), figure)
    again = figure_response(RequestFactory().get("/", headers={"If-None-Match": first["ETag"]}), figure)
    assert (first.status_code, again.status_code) == (200, 304)


def test_thinning_keeps_the_ends_and_the_peak() -> None:
    ys = [0.0] * 10_000
    ys[6_789] = 5.0
    xs = [float(x) for x in range(10_000)]
    thin_x, thin_y = thin_out(xs, ys, 200)
    assert len(thin_x) == 200
    assert (thin_x[0], thin_x[-1]) == (0.0, 9_999.0)
    assert max(thin_y) == 5.0


def test_a_short_curve_is_left_alone() -> None:
    assert thin_out([1.0, 2.0], [3.0, 4.0]) == ([1.0, 2.0], [3.0, 4.0])


def test_a_run_keeps_its_colour() -> None:
    assert series_index("01939f7a-2c3e-7000-8000-0123456789ab") == series_index(
        "01939f7a2c3e700080000123456789ab"
    )


def test_ten_runs_side_by_side_have_ten_colours() -> None:
    rng = random.Random(1)
    assigned = assign_series(f"{rng.getrandbits(128):032x}" for _ in range(10))
    assert sorted(assigned.values()) == list(range(1, 11))


def test_small_graphics_survive_gaps_and_nothing() -> None:
    assert "<path" in graphics.sparkline([1, None, 3, 2])
    assert "–" in graphics.sparkline([])
    assert "–" in graphics.histogram([])
    assert 'width="80.0"' in graphics.bar(7)
    assert 'width="0.0"' in graphics.bar(None)


class Box:
    def __init__(self, kind: str, id: str, focus: bool = False) -> None:
        self.kind, self.id, self.focus = kind, id, focus
        self.title, self.url, self.state = f"<{id}>", f"/{id}", "ready"


class Line:
    def __init__(self, source: str, target: str) -> None:
        self.source, self.target = source, target


def test_a_graph_links_every_node_and_escapes_titles() -> None:
    nodes = [Box("dataset_version", "a"), Box("run", "b", focus=True), Box("run", "c")]
    drawn = draw(
        nodes,
        [Line("dataset_version:a", "run:b"), Line("dataset_version:a", "run:c"), Line("run:x", "run:b")],
    )
    assert drawn.count('class="edge"') == 2
    assert drawn.count("<a ") == 2
    assert "<a>" not in drawn
