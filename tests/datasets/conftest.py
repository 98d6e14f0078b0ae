"""Set-up shared by the tests of datasets: the ingestion program run in this process, and small tables."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from foundation.tasks import Context


@dataclass
class Ingested:
    """What the program left: its result, the outputs folder, and what the log said."""

    result: dict[str, Any]
    outputs: Path
    progress: list[float]

    @property
    def profile(self) -> dict[str, dict[str, Any]]:
        columns = json.loads((self.outputs / "profile.json").read_text())["columns"]
        return {column["name"]: column for column in columns}

    @property
    def preview(self) -> dict[str, Any]:
        return dict(json.loads((self.outputs / "preview.json").read_text()))

    @property
    def types(self) -> dict[str, str]:
        return {field["name"]: field["type"] for field in self.result["schema"]}

    def rows(self) -> list[dict[str, Any]]:
        import pyarrow.parquet as pq

        found: list[dict[str, Any]] = []
        for part in self.result["parts"]:
            found += pq.read_table(self.outputs / part["file"]).to_pylist()
        return found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for the store and the staging area."""
    from adapters.storage import factory

    monkeypatch.setattr(factory, "_configured", ("", tmp_path))
    return tmp_path


Ingest = Callable[..., Ingested]


@pytest.fixture
def ingest(tmp_path: Path) -> Ingest:
    """Run the program over bytes: ingest(data, "table.csv", header="no", limits={…})."""

    def run(
        data: bytes, filename: str = "table.csv", limits: dict[str, int] | None = None, **options: str
    ) -> Ingested:
        from apps.datasets.sandbox.ingest import main

        base = tmp_path / uuid4().hex
        for name in ("work", "out"):
            (base / name).mkdir(parents=True)
        (base / "upload").write_bytes(data)
        seen: list[float] = []
        context = Context(
            payload={"filename": filename, "options": options, "limits": limits or {}},
            inputs={"upload": base / "upload"},
            folder=base / "work",
            outputs=base / "out",
            log=logging.getLogger("test.ingest"),
            report=lambda step, total, message: seen.append(step),
        )
        return Ingested(main(context), base / "out", seen)

    return run
