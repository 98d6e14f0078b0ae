"""docs/pipelines.md: its examples are valid, and it names every kind, field, output and state."""

from __future__ import annotations

import re
from pathlib import Path

from apps.pipelines import nodes as kinds
from apps.pipelines import types
from apps.pipelines.definition import FIELDS, NODE_FIELDS, read_definition
from apps.pipelines.parameters import PARAMETER_FIELDS
from apps.pipelines.states import NodeState, PipelineRunState

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "pipelines.md").read_text()


def test_the_examples_are_definitions() -> None:
    examples = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert len(examples) >= 2
    for example in examples:
        read_definition(example)


def test_the_page_names_every_kind_with_its_fields_and_outputs() -> None:
    for kind in kinds.every().values():
        section = re.search(rf"### {kind.name}\n(.*?)(?=\n##)", PAGE, re.DOTALL)
        assert section, kind.name
        missing = [name for name in (*kind.fields, *kind.outputs) if f"`{name}`" not in section[1]]
        assert missing == [], kind.name


def test_the_page_names_every_field_type_and_state() -> None:
    words = {*FIELDS, *NODE_FIELDS, *PARAMETER_FIELDS, *types.PARAMETER_TYPES}
    words |= {*PipelineRunState.values, *NodeState.values}
    assert [word for word in sorted(words) if word not in PAGE] == []
