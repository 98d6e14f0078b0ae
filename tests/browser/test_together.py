"""What several people do together, and what is read from a table: on Django's live server, without engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from django.db import transaction

from apps.registry import promoting
from apps.registry.models import Promotion
from tests.monitoring.conftest import watched
from tests.registry.conftest import PASSED, churn, make_run, make_version

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["churn", "make_run", "make_version", "watched"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PATIENCE = 20_000  # milliseconds; a busy machine answers slowly


@pytest.fixture
def page_of(browser: Browser, live_server: Any, people: Any) -> Iterator[Callable[[str], Page]]:
    """page_of("contributor"): a browser of one's own, signed in. Uncaught errors fail the test."""
    contexts: list[Any] = []
    problems: list[str] = []

    def open_for(name: str) -> Page:
        context = browser.new_context(base_url=live_server.url, viewport={"width": 1280, "height": 900})
        contexts.append(context)
        value = people.client(name).cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": live_server.url}])
        page: Page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        return page

    yield open_for
    for context in contexts:
        context.close()
    assert not problems, problems


def test_a_promotion_is_approved_by_another_person(
    page_of: Callable[[str], Page], make_version: Callable[..., Any]
) -> None:
    from playwright.sync_api import expect

    expect.set_options(timeout=PATIENCE)
    version = make_version()
    asks, approves = page_of("contributor"), page_of("maintainer")
    asks.goto(version.url)
    asks.select_option("select[name=to]", "production")
    asks.get_by_role("button", name="Check and promote").click()
    expect(asks.locator("#promotions")).to_contain_text("The checks are running")
    with transaction.atomic():
        promoting.finish_checks(promotion=Promotion.objects.get(), checks=PASSED)
    expect(asks.locator("#promotions")).to_contain_text("It waits for a maintainer")
    assert asks.get_by_role("button", name="Approve", exact=True).count() == 0

    approves.goto("/p/shop/models/")
    waiting = approves.locator("section", has_text="Waiting for an approval")
    expect(waiting).to_contain_text("contributor")
    waiting.get_by_role("link", name="churn/1").click()
    approves.locator("#promotions textarea").fill("Better than before.")
    approves.get_by_role("button", name="Approve", exact=True).click()
    expect(approves.locator("#toasts")).to_contain_text("churn/1 holds 'production' now.")

    asks.reload()
    expect(asks.locator(".page-title .tag")).to_contain_text("production")
    expect(asks.locator("#promotions")).to_contain_text("Approved by maintainer")
    approves.goto("/teams/red/audit")
    rows = approves.locator("main tbody tr")
    expect(rows.filter(has_text="model.alias_moved")).to_contain_text("maintainer")
    expect(rows.filter(has_text="model.promote").filter(has_text="alias production")).to_contain_text(
        "contributor"
    )


def test_a_drift_table_is_read(page_of: Callable[[str], Page], watched: Any) -> None:
    from playwright.sync_api import expect

    expect.set_options(timeout=PATIENCE)
    watched.record(300, age=60, seed=2)
    watched.report(watched.monitor())
    page = page_of("viewer")
    page.goto("/p/shop/monitors/")
    page.locator("main").get_by_role("link", name="watch", exact=True).click()
    table = page.get_by_role("region", name="Drift table")
    names = table.locator("tbody th a")
    expect(names.first).to_have_text("age")
    expect(table.locator("tbody tr").first).to_contain_text("Drift")
    expect(page.locator("#window")).to_contain_text("age: baseline and window")
    for column, first in (("Feature drift", "age"), ("Feature", "age")):
        table.get_by_role("link", name=column, exact=True).click()
        expect(names.first).to_have_text(first)
        expect(table.get_by_role("columnheader", name=column, exact=True)).to_have_attribute(
            "aria-sort", "descending" if column == "Feature drift" else "ascending"
        )
    names.filter(has_text="income").click()
    expect(page.locator("#window")).to_contain_text("income: baseline and window")
    expect(table.locator("tr.selected th")).to_have_text("income")
    expect(page.locator("#distribution .main-svg").first).to_be_visible()
