"""What a person sees first after `up`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.engine, pytest.mark.browser]


def test_the_first_page_asks_for_the_login_and_admin_gets_in(admin_page: Page) -> None:
    assert "/login" not in admin_page.url
    assert admin_page.title()


def test_a_wrong_password_stays_at_the_login_with_a_sentence(page: Page) -> None:
    page.goto("/")
    page.wait_for_url(lambda url: "/login" in url)
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", "not the password")
    page.press("input[name=password]", "Enter")
    page.wait_for_load_state()
    assert "/login" in page.url
    assert page.locator("[role=alert]").first.inner_text().strip()
