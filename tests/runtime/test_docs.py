"""docs/operations.md names every setting, process and command of the runtime, and no other setting."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runtime.bench import benchmarks
from runtime.commands import COMMANDS
from runtime.processes import SERVICES
from runtime.settings_table import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    assert set(re.findall(r"^\| `(ATELIER_[A-Z_]+)`", OPERATIONS, re.MULTILINE)) == set(SETTINGS)


@pytest.mark.parametrize("name", SERVICES)
def test_every_process_is_documented(name: str) -> None:
    assert re.search(rf"^\| {name} \|", OPERATIONS, re.MULTILINE)


def test_every_setting_that_the_code_reads_is_in_the_table() -> None:
    read = set()
    for folder in ("platform", "apps"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            read |= set(
                re.findall(r"(?:environ\.get\(|environ\[|_number\()\s*[\"'](ATELIER_[A-Z_]+)[\"']", text)
            )
    assert read - set(SETTINGS) - INTERNAL == set()


# Between a parent and its child, not for people.
INTERNAL = {"ATELIER_MLFLOW_MIGRATE_URL", "ATELIER_GENERATION", "ATELIER_WEB_LISTENER", "ATELIER_REPORT_URL"}


def test_every_command_has_a_summary() -> None:
    assert all(entry.summary for entry in COMMANDS.values())


def test_benchmarks_are_found_by_their_own_call() -> None:
    assert {"start", "memory"} <= set(benchmarks())
    assert all(summary for _, summary in benchmarks().values())
