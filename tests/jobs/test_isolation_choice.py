"""Which tier a worker takes, and what it says about those that it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.executors import choosing
from adapters.executors.choosing import choose
from adapters.executors.isolation import Isolation
from adapters.executors.protocol import Cause, Exit, Report
from apps.jobs.states import Outcome
from apps.jobs.verdict import judge
from runtime.errors import ConfigError
from runtime.settings_table import check_tuning


def test_it_takes_the_strongest_that_holds_and_says_why_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def attempt(folder: Path, tier: int) -> str:
        tried.append(tier)
        return "It is not allowed." if tier == 3 else ""

    monkeypatch.setattr(choosing, "_attempt", attempt)
    monkeypatch.setattr(choosing.landlock, "version", lambda: 4)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    choice = choose(tmp_path)
    assert choice.as_dict() == {
        "tier": 1,
        "reasons": [
            "Tier 2: The worker does not run as root, so it has no accounts to give.",
            "Tier 3: It is not allowed.",
        ],
        "landlock": 4,
    }
    assert tried == [3, 1]


def test_without_landlock_and_namespaces_it_is_tier_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "_attempt", lambda folder, tier: "No.")
    monkeypatch.setattr(choosing.landlock, "version", lambda: 0)
    choice = choose(tmp_path)
    assert choice.tier == 0
    assert "no Landlock" in choice.reasons[1]


def test_elsewhere_than_on_linux_it_is_tier_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    choice = choose(tmp_path)
    assert (choice.tier, set(choice.reasons.values())) == (0, {"It exists on Linux only."})


def test_the_operator_holds_it_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "_attempt", lambda folder, tier: "")
    monkeypatch.setattr(choosing.landlock, "version", lambda: 7)
    assert choose(tmp_path, 1).as_dict()["reasons"] == [
        "Tier 2: ATELIER_ISOLATION is 1.",
        "Tier 3: ATELIER_ISOLATION is 1.",
    ]
    for text in ("4", "-1", "x"):
        with pytest.raises(ConfigError, match="ATELIER_ISOLATION"):
            check_tuning({"ATELIER_ISOLATION": text})


def test_a_job_that_was_not_shut_in_is_tried_again() -> None:
    refused = Report(ok=False, blame="platform", code="job.isolation", message="Not so.")
    ending = judge(Exit(Cause.EXITED, code=71), refused, blame="user", stop=None)
    assert (ending.outcome, ending.reason, ending.charged) == (Outcome.LOST, "Not so.", True)


@pytest.mark.skipif("sys.platform != 'linux'", reason="needs the Linux kernel")
def test_a_trial_that_finds_a_hole_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program of the trial runs at tier 0, where it reads what it should not."""
    real = Isolation.as_dict
    monkeypatch.setattr(Isolation, "as_dict", lambda self: {**real(self), "tier": 0})
    assert choosing._attempt(tmp_path, 1) == "It reads files that are not its own."
    assert not any(tmp_path.iterdir())
