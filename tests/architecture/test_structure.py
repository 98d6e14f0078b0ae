"""The shape of the house: layers, sizes, names, and what may not be imported where."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, tracked

HEAVY = (
    "mlflow",
    "sklearn",
    "scipy",
    "bentoml",
    "optuna",
    "pandas",
    "polars",
    "pyarrow",
    "duckdb",
    "plotly",
    "numpy",
    "lightgbm",
)


def python(*args: str) -> subprocess.CompletedProcess[str]:
    """A tool of the environment, run at the project's root."""
    return subprocess.run(
        [sys.executable, "-m", *args], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_platform_is_not_shadowed() -> None:
    import platform

    assert not (ROOT / "platform" / "__init__.py").exists()
    assert Path(platform.__file__).parent == Path(sysconfig.get_path("stdlib"))


def test_no_python_file_is_longer_than_500_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in tracked("*.py")
        if "/migrations/" not in str(path) and (count := len(path.read_text().splitlines())) > 500
    }
    assert long == {}


def test_no_template_is_longer_than_200_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in tracked("*.html")
        if (count := len(path.read_text().splitlines())) > 200
    }
    assert long == {}


def test_no_module_is_a_catch_all() -> None:
    banned = {"utils", "util", "common", "helpers", "misc", "core", "extras"}
    assert [p for p in tracked("*.py") if p.stem in banned or p.parent.name in banned] == []


def test_every_app_says_what_it_is_for() -> None:
    for app in sorted((ROOT / "apps").iterdir()):
        if (app / "apps.py").exists():
            assert '"""' in (app / "__init__.py").read_text(), f"{app.name} has no docstring"


def test_every_direct_dependency_has_a_reason() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    listed = [
        line
        for line in lines
        if line.startswith('    "') and line.rstrip().split("#")[0].strip().endswith('",')
    ]
    dependencies = [line for line in listed if ">=" in line and "#" not in line]
    assert dependencies == []


def test_the_layers_hold() -> None:
    result = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}", "PATH": "/usr/bin:/bin"},
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]


def test_ruff_has_nothing_to_say() -> None:
    result = python("ruff", "check", ".")
    assert result.returncode == 0, result.stdout[-4000:]


def test_the_code_is_formatted() -> None:
    result = python("ruff", "format", "--check", ".")
    assert result.returncode == 0, result.stdout[-4000:]


@pytest.mark.timeout(600)
def test_the_types_hold() -> None:
    result = python("mypy", "platform", "apps")
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]


@pytest.mark.django_db
def test_migrations_match_the_models() -> None:
    from django.core.management import call_command

    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize("process", ["atelier.asgi", "apps.jobs.scheduler"])
def test_web_and_scheduler_start_without_the_heavy_libraries(process: str) -> None:
    code = (
        "import sys; sys.path[:0] = ['.', 'platform']\n"
        "import django; django.setup()\n"
        f"import importlib; importlib.import_module({process!r})\n"
        "from django.urls import get_resolver; get_resolver().url_patterns\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))\n"
    )
    import os

    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "atelier.settings"},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.strip().splitlines()[-1] == "[]"


def test_nothing_names_a_machine_or_a_place_outside_the_project() -> None:
    import re

    pattern = re.compile(r"\.\./shared|/(?:home|root|Users)/[a-z]+/")
    found = []
    for path in tracked("*.py", "*.html", "*.md", "*.toml", "*.txt", "*.yml", "*.js", "*.css"):
        if path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert found == []
