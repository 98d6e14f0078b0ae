"""In a real browser: the try-it form with and without JavaScript, and the question before a stop.

tests/tour looks at all pages of deployments, in both themes and at both widths.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from apps.deployments.models import Deployment

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SHOTS = os.environ.get("SCREENSHOTS", "")


@pytest.fixture
def look(browser: Any, live_server: Any, studio: Any) -> Iterator[Any]:
    """Opens pages as the maintainer; uncaught errors and policy violations fail the test."""
    session = Client()
    session.force_login(studio.owner)
    contexts: list[Any] = []
    problems: list[str] = []

    def open_page(path: str, *, width: int = 1280, theme: str = "light", scripts: bool = True) -> Any:
        context = browser.new_context(
            base_url=live_server.url,
            viewport={"width": width, "height": 900},
            color_scheme=theme,
            java_script_enabled=scripts,
        )
        contexts.append(context)
        value = session.cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": live_server.url}])
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda m: problems.append(m.text) if "Content Security Policy" in m.text else None)
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not problems, problems


def shoot(page: Any, name: str) -> None:
    """Keep a picture when SCREENSHOTS names a folder: for people who want to look."""
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


@pytest.mark.parametrize("scripts", [True, False])
def test_the_form_predicts(
    studio: Any, deployment: Deployment, model: Any, spool: Path, look: Any, scripts: bool
) -> None:
    page = look(studio.url("/churn/try"), scripts=scripts)
    page.fill("input[name=c0]", "40")
    page.click("button:has-text('Predict')")
    page.wait_for_selector("#answer .tile-value")
    assert page.inner_text("#answer .tile-value") == "41.5"
    page.fill("input[name=c0]", "50")
    page.click("button:has-text('Predict')")
    page.wait_for_selector("#answer .tile-value:has-text('51.5')")
    shoot(page, f"answer-{'js' if scripts else 'plain'}")


def test_stopping_asks_first_and_names_the_consequence(
    studio: Any, deployment: Deployment, source: Any, spool: Path, look: Any
) -> None:
    page = look(studio.url("/churn"))
    page.click("button:has-text('Stop')")
    dialog = page.locator("dialog[open]")
    assert "status 503" in dialog.inner_text()
    shoot(page, "stop-dialog")
    dialog.locator("button:has-text('Stop it')").click()
    page.wait_for_selector(".page-title .status:has-text('Stopping')")
    deployment.refresh_from_db()
    assert deployment.wanted == "stopped"
