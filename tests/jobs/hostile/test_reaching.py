"""What a hostile job reaches at each isolation tier: exactly what docs/isolation.md says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.jobs.hostile.conftest import ROOT, Run, Target, kernel

TIERS = (0, 1, 2, 3)
#: Rows of the document's table and what stands for them in the program. With root's studio, tier 0 and 1 keep
#: its account, so what only another account is denied is not looked at.
NEEDS = {
    "port": "ports",
    "listen": "ports",
    "metadata": "ports",
    "abstract socket": "scopes",
    "kill": "scopes",
}
ONLY_AS_ROOT = {"accounts"}


def documented() -> dict[str, list[str]]:
    """The table "What it stops": name -> the words of tiers 0 to 3."""
    text = (ROOT / "docs" / "isolation.md").read_text(encoding="utf-8")
    table = text.split("<!-- reach -->")[1].split("<!-- end -->")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()[2:]]
    return {row[1].strip("`"): row[2:6] for row in rows}


@pytest.mark.parametrize("tier", TIERS)
def test_a_hostile_job_reaches_what_the_document_says(run: Run, target: Target, tier: int) -> None:
    report, _ = run(tier, "reach", payload={**target.aim, "tier": tier}, network=True)
    assert report is not None
    assert report.ok, report
    said, wrong = documented(), {}
    assert set(said) >= set(report.result)
    for name, outcome in report.result.items():
        if name in ONLY_AS_ROOT and os.getuid() != 0:
            continue
        if name in NEEDS and tier in (1, 2) and not kernel(NEEDS[name]):
            continue
        word = said[name][tier]
        if word not in ("stopped", "open", "works"):
            continue
        if (outcome == "reached") != (word in ("open", "works")):
            wrong[name] = (word, outcome)
    assert not wrong
    assert not (target.folder / "planted").exists() or tier == 0
    (target.folder / "planted").unlink(missing_ok=True)


@pytest.mark.parametrize("tier", TIERS)
def test_an_honest_job_has_what_it_needs(run: Run, tmp_path: Path, tier: int) -> None:
    closed = tmp_path / "store"
    closed.mkdir(mode=0o700)
    (closed / "part").write_text("a row")
    (closed / "part").chmod(0o600)
    gathered = (
        tmp_path / "job" / "gathered" / "deep"
    )  # a handler may lay inputs into the attempt's own folder
    for folder in (gathered.parents[1], gathered.parent, gathered):
        folder.mkdir(mode=0o700)
    (gathered / "part").write_text("another")
    (gathered / "part").chmod(0o600)
    inputs = {"given": str(closed / "part"), "gathered": str(gathered / "part")}
    report, end = run(tier, "works", inputs=inputs)
    assert report is not None
    assert report.ok, (report, (tmp_path / "job" / "log.txt").read_text())
    assert report.result["squares"] == [1, 2, 3]
    assert report.result["python"] == "42"
    assert report.result["inputs"] == {"given": "a row", "gathered": "another"}
    assert report.result["shell"].splitlines()[0] == str(tmp_path / "job" / "home")
    assert (tmp_path / "job" / "outputs" / "moved").read_text() == "moved"
    assert end.code == 0


@pytest.mark.parametrize("tier", TIERS)
def test_without_need_of_the_api_a_job_does_not_reach_it(run: Run, target: Target, tier: int) -> None:
    report, _ = run(tier, "reach", payload={**target.aim, "tier": tier})
    assert report is not None
    assert (report.result["api"] == "reached") is (tier == 0 or (tier < 3 and not kernel("ports")))
    (target.folder / "planted").unlink(missing_ok=True)
