"""docs/runbook.md speaks of what there is: every code of the engine, and sentences that the sources really say."""

from __future__ import annotations

import re

from tests.architecture.sources import ROOT, tracked

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
#: said by others than us
FOREIGN = {"remaining connection slots are reserved", "No space left"}


def test_every_code_of_a_lost_or_errored_attempt_is_in_it() -> None:
    rows = re.findall(r"^\| (`job\..*?) \| ([^|]*) \|", (ROOT / "docs" / "jobs.md").read_text(), re.MULTILINE)
    codes = {
        code
        for names, where in rows
        if {"errored", "attempt"} & set(where.replace(",", " ").split())
        for code in re.findall(r"`(job\.[a-z_]+)`", names)
    }
    assert len(codes) > 8
    assert sorted(code for code in codes if f"`{code}`" not in RUNBOOK) == []


def test_what_it_quotes_is_what_the_studio_says() -> None:
    said = "\n".join(path.read_text() for path in tracked("apps/*.py", "platform/*.py"))
    quoted = [part for text in re.findall(r'"([^"]+)"', RUNBOOK) for part in text.split("…")]
    missing = [text.strip(" .") for text in quoted if text.strip(" .") not in said]
    assert sorted(set(missing) - FOREIGN) == []


def test_its_commands_and_settings_exist() -> None:
    settings = (ROOT / "docs" / "operations.md").read_text()
    assert {name for name in re.findall(r"ATELIER_[A-Z_]+", RUNBOOK) if name not in settings} == set()
