"""What keeps the front end small, strict and free of a build step."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from foundation.ui import scripts
from foundation.ui.icons import ICONS

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
MODULES = {path.stem: path for path in (ROOT / "static" / "js").glob("*.js")}
#: modules that only some pages load
LAZY = {"charts", "editor", "lines", "logs", "upload"}
BUDGET = 30_000


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_a_page_loads_less_than_thirty_kilobytes_of_our_javascript() -> None:
    sizes = {name: path.stat().st_size for name, path in MODULES.items()}
    always = sum(size for name, size in sizes.items() if name not in LAZY)
    assert all(always + sizes[name] < BUDGET for name in LAZY)


@pytest.mark.parametrize("path", TEMPLATES, ids=relative)
def test_a_page_has_a_chart_or_a_log_and_never_both(path: Path) -> None:
    text = path.read_text()
    assert not ("{% chart " in text and "log.html" in text)


def test_every_module_is_in_the_import_map() -> None:
    assert set(scripts.MODULES) == set(MODULES) - {"app"}


def test_every_stylesheet_is_linked() -> None:
    assert {f"css/{path.name}" for path in (ROOT / "static" / "css").glob("*.css")} == set(
        scripts.STYLESHEETS
    )


@pytest.mark.parametrize("path", sorted((ROOT / "static").rglob("*.[cj]s*")), ids=relative)
def test_a_static_file_stays_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 500


@pytest.mark.parametrize("path", TEMPLATES, ids=relative)
def test_a_template_stays_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 200


@pytest.mark.parametrize("path", TEMPLATES, ids=relative)
def test_a_template_has_no_inline_handler_or_style(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"<[^>]+\son[a-z]+\s*=", text), "inline handlers are dropped by the policy"
    assert not re.search(r"<[^>]+\sstyle\s*=", text), "style attributes are dropped by the policy"
    assert not re.search(r"\bhx-on\b|\bhx-vars\b|javascript:", text), "htmx may not evaluate code"


@pytest.mark.parametrize("path", TEMPLATES, ids=relative)
def test_a_script_in_a_template_carries_the_nonce(path: Path) -> None:
    for tag in re.findall(r"<script\b[^>]*>", path.read_text()):
        assert "nonce=" in tag or 'type="application/json"' in tag, tag


@pytest.mark.parametrize("path", TEMPLATES, ids=relative)
def test_a_template_loads_nothing_from_elsewhere(path: Path) -> None:
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", path.read_text())


@pytest.mark.parametrize("path", TEMPLATES, ids=relative)
def test_a_template_names_only_icons_that_exist(path: Path) -> None:
    for name in re.findall(r"""{% icon ["']([\w-]+)["']""", path.read_text()):
        assert name in ICONS, name


def test_a_posting_form_carries_the_csrf_token() -> None:
    for path in TEMPLATES:
        if "patterns" in path.parts:
            continue
        for form in re.findall(r"<form\b[^>]*method=\"post\".*?</form>", path.read_text(), re.S):
            assert "csrf_token" in form, f"{relative(path)}: {form[:80]}"


def test_no_colour_is_written_outside_the_tokens() -> None:
    for path in (ROOT / "static" / "css").glob("*.css"):
        if path.name != "tokens.css":
            assert not re.search(r"#[0-9a-fA-F]{3,8}\b|\brgba?\(", path.read_text()), path.name
