"""What /patterns shows: sample values for every component in every state. Nothing here is real."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils import timezone

from foundation.ui.icons import ICONS
from foundation.ui.listing import Listing
from foundation.ui.series import series_colour
from foundation.ui.statuses import LOOKS
from foundation.ui.terminal import render_line
from foundation.ui.timechart import time_chart

PARTS = (
    ("foundations", "Foundations"),
    ("values", "Values and status"),
    ("tables", "Tables"),
    ("forms", "Forms"),
    ("feedback", "Feedback"),
    ("charts", "Charts"),
    ("frame", "Frame"),
)


class SampleForm(forms.Form):
    """Every kind of field."""

    name = forms.CharField(
        label="Name", help_text="Letters, digits, dots, dashes and underscores; at most 63."
    )
    algorithm = forms.ChoiceField(
        label="Algorithm", choices=[("forest", "Random forest"), ("linear", "Logistic regression")],
        help_text="What learns. Its own settings follow below.",
    )  # fmt: skip
    target = forms.CharField(label="Target column", help_text="The column to predict.")
    note = forms.CharField(label="Description", required=False, widget=forms.Textarea(attrs={"rows": 3}))
    scope = forms.ChoiceField(
        label="Scope", widget=forms.RadioSelect, initial="read",
        choices=[("read", "Read only"), ("write", "Read and write")],
    )  # fmt: skip
    stratify = forms.BooleanField(
        label="Keep class shares", required=False, help_text="In training and test rows alike."
    )
    file = forms.FileField(
        label="File", required=False, help_text="CSV, TSV, JSON lines, Parquet or Excel, also as .gz."
    )
    timeout = forms.IntegerField(
        label="Time limit", required=False, help_text="The job is stopped after this."
    )
    seed = forms.IntegerField(label="Seed", required=False, initial=7)

    advanced = ("timeout", "seed")
    units = {"timeout": "seconds"}


@dataclass(frozen=True)
class SampleRow:
    """A row of the sample table."""

    name: str
    id: str
    state: str
    accuracy: float | None
    seconds: float
    at: Any
    curve: list[float] = field(default_factory=list)


def sample_rows() -> list[SampleRow]:
    """Rows in several states."""
    rng = random.Random(7)  # noqa: S311  sample values
    now = timezone.now()
    names = ("bold-heron", "calm-otter", "dry-maple", "early-finch", "firm-cedar", "grey-lark")
    states = ("running", "succeeded", "succeeded", "failed", "cancelled", "queued")
    return [
        SampleRow(
            name=name,
            id=f"{rng.getrandbits(128):032x}",
            state=state,
            accuracy=None if state in ("queued", "failed") else 0.9 + rng.random() / 10,
            seconds=rng.random() * 240,
            at=now - timedelta(minutes=7 * index * index + 1),
            curve=[1 - math.exp(-step / 6) + rng.random() / 12 for step in range(24)]
            if state != "queued"
            else [],
        )
        for index, (name, state) in enumerate(zip(names, states, strict=True))
    ]


def sample_figures() -> dict[str, dict[str, Any]]:
    """Curves, bars, a confusion matrix and a figure without data."""
    rng = random.Random(3)  # noqa: S311  sample values
    steps = list(range(120))
    curves = [
        {
            "type": "scatter", "mode": "lines", "name": name, "x": steps,
            "y": [0.9 * math.exp(-step / (18 + 8 * index)) + 0.06 + rng.random() * 0.05 for step in steps],
            "line": {"color": series_colour(index + 1)},
        }
        for index, name in enumerate(("bold-heron", "calm-otter", "dry-maple"))
    ]  # fmt: skip
    bars = ("NumOfProducts", "Age", "Balance", "IsActiveMember", "Geography", "Tenure")
    return {
        "curves": {"data": curves, "layout": {"xaxis": {"title": {"text": "step"}}, "yaxis": {"title": {"text": "loss"}}}},
        "bars": {
            "data": [{"type": "bar", "orientation": "h", "x": [0.31, 0.24, 0.12, 0.09, 0.05, 0.01][::-1], "y": list(bars)[::-1]}],
            "layout": {"xaxis": {"title": {"text": "importance"}}},
        },
        "matrix": {
            "data": [{"type": "heatmap", "x": ["stays", "leaves"], "y": ["stays", "leaves"], "z": [[1530, 63], [190, 217]], "texttemplate": "%{z}", "showscale": False}],
            "layout": {"xaxis": {"title": {"text": "predicted"}}, "yaxis": {"title": {"text": "true"}, "autorange": "reversed"}},
        },
        "empty": {"data": [], "layout": {}},
    }  # fmt: skip


def patterns_context(request: HttpRequest, part: str) -> dict[str, Any]:
    """Everything the templates of one part of /patterns need."""
    rows = sample_rows()
    form = SampleForm({"name": "churn model/1", "algorithm": "forest"}) if part == "forms" else SampleForm()
    if part == "forms":
        form.add_error(None, "The dataset churn has no column named Exitd. Did you mean Exited?")
        form.add_error("name", "A name has no slash.")
    listing = Listing(
        rows=rows, order_by=request.GET.get("order_by", "-created"), filtered=False, next_url="?cursor=x",
        first_url=None, clear_url=request.path, total=214,
    )  # fmt: skip
    return {
        "part": part,
        "parts": PARTS,
        "states": list(LOOKS),
        "rows": rows,
        "listing": listing,
        "nothing": Listing([], "name", True, None, None, request.path, 214),
        "form": form,
        "clean_form": SampleForm(),
        "figures": sample_figures(),
        "now": timezone.now(),
        "counts": [2, 5, 11, 24, 38, 41, 30, 17, 9, 4, 2, 1],
        "series": range(1, 11),
        "icon_names": list(ICONS),
        "inks": (
            "canvas",
            "rail",
            "raised",
            "sunken",
            "hover",
            "selected",
            "rule",
            "rule-strong",
            "ink-3",
            "ink-2",
            "ink",
        ),
        "lineage": [
            {"kind": "dataset_version", "title": "churn@2", "url": "#", "state": "ready"},
            {"kind": "run", "title": "bold-heron", "url": "#", "state": "succeeded", "current": True},
            {"kind": "model_version", "title": "churn/3", "url": "#", "state": ""},
            {"kind": "deployment", "title": "churn-live", "url": "#", "state": "ready"},
            {"kind": "monitor", "title": "churn-watch", "url": "#", "state": "drifting"},
        ],
        "log": LOG,
        "terminal": [render_line(line)[0] for line in TERMINAL],
        "use": time_chart(
            [float(n) for n in range(1, 61)],
            [300e6 + 9e6 * n + 80e6 * (n % 7 == 0) for n in range(60)],
            write=lambda value: f"{value / 1e6:.0f} MB",
            clock=lambda seconds: f"{seconds:.0f} s",
            label="Memory over 60 s: at most 831 MB of 1.0 GB",
            limit=1e9,
        ),
    }


TERMINAL = [
    "\x1b[1mbold\x1b[0m \x1b[2mdim\x1b[0m \x1b[3mitalic\x1b[0m \x1b[4munderlined\x1b[0m \x1b[9mstruck\x1b[0m \x1b[7minverse\x1b[0m",
    "".join(f"\x1b[{30 + n}mink {n}\x1b[0m " for n in range(8)),
    "".join(f"\x1b[{90 + n}mink {n + 8}\x1b[0m " for n in range(8)),
    "".join(f"\x1b[{40 + n}mground {n}\x1b[0m " for n in range(8)),
    "".join(f"\x1b[{31 + n};{41 + (n + 2) % 6}mboth {n}\x1b[0m " for n in range(6)),
    " 50%|#####     | 5/10\r100%|##########| 10/10",
]
LOG = """2026-11-23 08:20:01 INFO    Reading churn@2: 10,000 rows, 11 columns
2026-11-23 08:20:02 INFO    Hold-out: 8,000 rows to train, 2,000 to test, seed 7
2026-11-23 08:20:02 INFO    Random forest with 200 trees
2026-11-23 08:20:09 WARNING Column Tenure has 12 missing values; the median takes their place
2026-11-23 08:20:14 INFO    accuracy 0.8635, ROC AUC 0.8571
2026-11-23 08:20:15 INFO    Model logged
"""
