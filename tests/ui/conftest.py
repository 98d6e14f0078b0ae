"""A browser page on Django's own live server: quicker than a whole studio, enough for the interface."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture
def look(browser: Browser, live_server: Any) -> Iterator[Page]:
    """A page on the live server. Uncaught errors and violations of the policy fail the test."""
    context = browser.new_context(base_url=live_server.url, viewport={"width": 1280, "height": 800})
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda message: problems.append(message.text) if "Content Security Policy" in message.text else None,
    )
    yield page
    context.close()
    assert not problems, problems


@pytest.fixture
def signed_in(look: Page, people: Any, live_server: Any) -> Page:
    """The same page, signed in as the owner of the project."""
    from django.conf import settings

    session = people.client("owner").cookies[settings.SESSION_COOKIE_NAME].value
    look.context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
    )
    return look
