"""The documentation is tested: what the product has, docs/ names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, tracked

ERRORS = {
    "Malformed",
    "Unauthenticated",
    "Forbidden",
    "NotFound",
    "Conflict",
    "TooLarge",
    "Invalid",
    "TooMany",
    "Unavailable",
    "NoSpace",
    "AtelierError",
    "UserError",
    "MethodNotAllowed",
}
CODE = re.compile(r"[a-z_]+(\.[a-z_]+)?")


def documentation() -> str:
    """All pages of docs/, README and CONTRIBUTING in one text."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return "\n".join(page.read_text() for page in pages if page.exists())


def sources() -> list[Path]:
    """Our Python files that ship."""
    return [
        path for path in tracked("platform/*.py", "apps/*.py", "manage.py") if "/migrations/" not in str(path)
    ]


def error_codes() -> set[str]:
    """Every code given to a typed error, read from the syntax trees."""
    found: set[str] = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name not in ERRORS:
                continue
            texts = [*node.args[:2], *(k.value for k in node.keywords if k.arg == "code")]
            for argument in texts:
                if (
                    isinstance(argument, ast.Constant)
                    and isinstance(argument.value, str)
                    and CODE.fullmatch(argument.value)
                ):
                    found.add(argument.value)
    return found


def test_every_error_code_is_documented() -> None:
    text = documentation()
    codes = error_codes()
    assert len(codes) > 40
    assert sorted(code for code in codes if f"`{code}`" not in text) == []


def test_every_setting_is_documented() -> None:
    text = documentation()
    found = {
        name for path in sources() for name in re.findall(r"[\"'](ATELIER_[A-Z_]+)[\"']", path.read_text())
    }
    assert len(found) >= 8
    assert sorted(name for name in found if name not in text) == []


def test_every_command_is_documented() -> None:
    text = documentation()
    commands = {p.stem for p in tracked("*/management/commands/*.py") if p.stem != "__init__"}
    commands |= {"up", "test", "doctor", "bench", "web", "worker", "scheduler", "tracking", "serving"}
    assert (
        sorted(name for name in commands if not re.search(rf"`[^`]*\b{re.escape(name)}\b[^`]*`", text)) == []
    )


def test_every_job_kind_is_documented() -> None:
    from apps.jobs.handlers import kinds

    text = documentation()
    assert kinds()
    assert sorted(kind for kind in kinds() if f"`{kind}`" not in text) == []


def test_every_event_is_documented() -> None:
    text = documentation()
    names = {
        node.name
        for path in tracked("apps/*/events.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    }
    assert names
    assert sorted(name for name in names if name not in text) == []


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", re.sub(r"`[^`\n]*`", "", page.read_text())):
            if "://" not in target and not target.startswith("/") and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)} → {target}")
    assert broken == []


@pytest.mark.parametrize("word", ["TODO", "FIXME", "XXX"])
def test_nothing_is_left_undone(word: str) -> None:
    assert [str(path) for path in sources() if re.search(rf"\b{word}\b", path.read_text())] == []
