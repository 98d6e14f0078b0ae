"""Whole ways through the running studio, as a person goes them: by mouse alone, and by keyboard alone.

No address is typed on the way: every page is reached from the one before.
"""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import FileChooser, Page

pytestmark = [pytest.mark.engine, pytest.mark.browser, pytest.mark.timeout(600)]

WAIT = 120_000  # milliseconds; a busy machine trains and packs slowly
PEOPLE = "age,city,left\n" + "".join(
    f"{20 + n % 50},{'Rome' if n % 3 else 'Oslo'},{'yes' if n % 50 > 24 else 'no'}\n" for n in range(200)
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(PEOPLE)
    return path


def test_from_an_empty_studio_to_an_answer_from_production_by_mouse_alone(
    admin_page: Page, table: Path
) -> None:
    from playwright.sync_api import expect

    expect.set_options(timeout=20_000)
    page = admin_page

    def press(name: str) -> None:
        page.get_by_role("button", name=name, exact=True).first.click()

    def follow(name: str, part: str = "main") -> None:
        page.locator(part).get_by_role("link", name=name).first.click()

    page.goto("/")
    page.get_by_role("link", name=re.compile("New project|first project")).first.click()
    page.fill("input[name=name]", f"By mouse {uuid.uuid4().hex[:6]}")
    press("Create the project")
    follow("Datasets", ".rail")
    follow("Upload a dataset")
    page.set_input_files("input[type=file]", table)
    press("Upload the dataset")
    page.locator(".page-actions").get_by_role("link", name="Start a run on this version").click(timeout=WAIT)
    page.select_option("select[name=target]", "left")
    page.locator("input[name=algorithm][value=linear]").check()
    press("Start the run")
    page.locator(".page-actions").get_by_role("link", name="Register the model").click(timeout=WAIT)
    page.fill("input[name=name]", "leavers")
    press("Register the model")
    expect(page.locator("h1")).to_contain_text("leavers version 1")
    page.locator(".page-actions").get_by_role("link", name="Promote").click(timeout=WAIT)
    page.select_option("select[name=to]", "production")
    press("Check and promote")
    page.get_by_role("button", name="Approve", exact=True).click(timeout=WAIT)
    expect(page.locator(".page-title .tag")).to_contain_text("production")
    follow("Deploy", ".page-actions")
    page.get_by_role("button", name=re.compile("^Deploy ")).click()
    expect(page.locator("#deployment-status")).to_contain_text("Ready", timeout=WAIT)
    follow("Try it", ".tabs")
    page.fill("input[name=c0]", "60")
    press("Predict")
    expect(page.locator("#answer .tile-value")).to_have_text("yes")
    follow("Inferences", ".tabs")
    expect(page.locator("main")).to_contain_text("yes")


def press_for_files(page: Page) -> FileChooser:
    """Press Enter on the focused file field until the browser asks for files: on a machine in need Chromium
    sometimes drops the first press."""
    from playwright.sync_api import TimeoutError

    for _ in range(3):
        try:
            with page.expect_file_chooser(timeout=10_000) as chosen:
                page.keyboard.press("Enter")
            return chosen.value
        except TimeoutError:
            continue
    pytest.fail("Enter on the file field never asks for files")


def test_a_table_is_uploaded_trained_on_and_registered_by_keyboard_alone(
    admin_page: Page, table: Path
) -> None:
    from playwright.sync_api import expect

    expect.set_options(timeout=20_000)
    page, keys = admin_page, admin_page.keyboard

    def tab_to(selector: str) -> None:
        """Press Tab until the focus stands on it, as long as a page may be."""
        for _ in range(80):
            keys.press("Tab")
            if page.evaluate("(wanted) => document.activeElement.matches(wanted)", selector):
                return
        pytest.fail(f"Tab never comes to {selector}")

    page.goto("/projects/new")
    tab_to("input[name=name]")
    keys.type(f"By keyboard {uuid.uuid4().hex[:6]}")
    keys.press("Enter")
    page.wait_for_url("**/p/by-keyboard-*/")
    keys.type("gd")
    page.wait_for_url("**/datasets/")
    keys.press("n")
    page.wait_for_url("**/datasets/new")
    tab_to("input[type=file]")
    press_for_files(page).set_files(table)
    tab_to("input[name=name]")
    keys.press("Enter")
    page.wait_for_url("**/datasets/people/versions/1/")
    expect(
        page.locator(".page-actions").get_by_role("link", name="Start a run on this version")
    ).to_be_visible(timeout=WAIT)
    keys.press("n")
    page.wait_for_url("**/experiments/new?*")
    tab_to("select[name=target]")
    keys.type("left")
    tab_to("input[name=algorithm]")
    while page.evaluate("document.activeElement.value") != "linear":
        keys.press("ArrowDown")
    tab_to("form.form button[type=submit]")
    keys.press("Enter")
    page.wait_for_url("**/experiments/runs/*/")
    expect(page.locator(".page-actions").get_by_role("link", name="Register the model")).to_be_visible(
        timeout=WAIT
    )
    keys.press("n")
    page.wait_for_url("**/models/register?*")
    tab_to("input[name=name]")
    keys.type("leavers")
    keys.press("Enter")
    expect(page.locator("h1")).to_contain_text("leavers version 1")
    keys.type("gm")
    page.wait_for_url("**/models/")
    keys.press("j")
    keys.press("Enter")
    expect(page.locator("h1")).to_have_text("leavers")
