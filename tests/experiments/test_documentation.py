"""docs/experiments.md keeps up with the code."""

from __future__ import annotations

from pathlib import Path

from apps.experiments import algorithms
from apps.experiments.documenting import renewed
from apps.experiments.metric_catalogue import METRICS
from apps.experiments.spec import FIELDS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "experiments.md"


def test_the_parameter_tables_are_those_of_the_schemas() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert renewed(text) == text, "run: manage.py document_algorithms"
    assert all(f"`{p.name}`" in text for a in algorithms.every().values() for p in a.parameters)


def test_every_field_of_a_run_and_every_metric_is_named() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [f for f in FIELDS if f"`{f}`" not in text] == []
    assert [m for m in METRICS if m not in text] == []
