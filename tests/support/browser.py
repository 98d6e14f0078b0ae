"""The system's Chromium, driven by Playwright, against the running studio."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.studio import Studio

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (  # no connection leaves the machine
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str | None:
    """The path of a Chromium on this machine, ATELIER_CHROMIUM first."""
    named = os.environ.get("ATELIER_CHROMIUM")
    if named:
        return named if os.access(named, os.X_OK) else None
    return next((path for path in map(shutil.which, NAMES) if path), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium; the test is skipped, saying so, where there is none. One a file, because Playwright's
    synchronous interface keeps a loop running in this thread as long as it lives, and tests of other files run
    loops of their own."""
    path = chromium()
    if path is None:
        pytest.skip("no Chromium found: install it, or name it in ATELIER_CHROMIUM")
    from playwright.sync_api import sync_playwright

    # Django takes the loop for an async context.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        running = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser, studio: Studio) -> Iterator[Page]:
    """A fresh page (1280 × 800) on the studio. Uncaught errors and policy violations fail the test."""
    context = browser.new_context(base_url=studio.url, viewport={"width": 1280, "height": 800})
    fresh = context.new_page()
    problems: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            problems.append(message.text)

    fresh.on("pageerror", lambda error: problems.append(str(error)))
    fresh.on("console", heard)
    yield fresh
    context.close()
    assert not problems, problems


@pytest.fixture
def admin_page(page: Page, studio: Studio) -> Page:
    """A page signed in as `admin`."""
    page.goto("/login")
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", studio.admin_password)
    page.press("input[name=password]", "Enter")
    page.wait_for_url(lambda url: "/login" not in url)
    return page
