"""Pipelines in a real browser: written by keyboard, started, and followed to the end without reloading."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from apps.pipelines.coordinator import advance_all
from tests.pipelines.conftest import CHECK, definition
from tests.support.axe import violations
from tests.ui.conftest import look, signed_in  # noqa: F401  (fixtures)

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
ENOUGH = {
    "name": "enough",
    "kind": "condition",
    "with": {"left": "${check.rows}", "operator": ">=", "right": "${parameters.least}"},
}
AGAIN = {"name": "again", "kind": "dataset_check", "needs": ["enough"], "with": {"dataset": "churn"}}


def test_a_pipeline_is_written_started_and_followed(signed_in: Page, plant: Any) -> None:  # noqa: F811
    from playwright.sync_api import expect

    page = signed_in
    page.goto("/p/shop/pipelines/new")
    text = page.get_by_label("Definition")
    wrong = json.dumps(definition(CHECK, ENOUGH, AGAIN), indent=1).replace("check.rows", "chek.rows")
    text.fill(wrong)
    expect(page.locator(".faults")).to_contain_text("Did you mean 'check'?")
    page.locator(".fault-place").click()
    expect(text).to_be_focused()
    place = text.evaluate("area => area.value.slice(area.selectionStart).split('\\n')[0]")
    assert place.startswith('"${chek.rows}"')
    text.fill(wrong.replace("chek.rows", "check.rows"))
    expect(page.locator("#check .dag-down .dag-box")).to_have_count(3)
    text.press("Tab")
    expect(page.get_by_role("button", name="Create the pipeline")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/pipelines/nightly")

    least = page.locator("[name=parameter-least]")
    least.fill("3")
    least.press("Enter")
    page.wait_for_url("**/runs/1")
    box = page.locator(".dag-across .dag-box", has_text="again")
    expect(box).to_have_class(re.compile("is-waiting"))
    box.focus()
    for _ in range(3):
        advance_all()
    expect(box).to_have_class(re.compile("is-succeeded"), timeout=15_000)
    expect(page.locator(".dag-across .dag-label")).to_have_text("yes")
    expect(box).to_be_focused()
    expect(page.locator("#pipeline-run")).not_to_have_attribute("data-poll", re.compile("."))
    box.press("Enter")
    assert page.url.endswith("#node-again")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        assert violations(page) == []
    page.set_viewport_size({"width": 390, "height": 800})
    expect(page.locator(".dag-down .dag-box").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
