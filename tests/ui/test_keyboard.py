"""The search dialog by keyboard, and that every key which the help lists does what it says."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from apps.datasets.models import Dataset
from apps.inbox import actions
from apps.inbox.states import Kind

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def until(page: Page, expression: str, seconds: float = 20.0) -> None:
    """Wait until an expression holds."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never true: {expression}"
        page.wait_for_timeout(50)


def violations(page: Page) -> list[str]:
    """axe's violations as readable lines."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {node['target']}" for v in found for node in v["nodes"]]


def test_the_search_is_used_without_a_mouse(signed_in: Page, people: Any) -> None:
    for name in ("bold-otter", "calm-otter"):
        Dataset.objects.create(project=people.project, created_by=people.owner, name=name)
    signed_in.goto("/p/shop/settings")
    signed_in.keyboard.press("/")
    signed_in.wait_for_selector("#search[open] input:focus")
    signed_in.keyboard.type("otter")
    signed_in.wait_for_selector("#search [role=option]")
    until(signed_in, "document.querySelectorAll('#search [role=option]').length === 2")
    assert violations(signed_in) == []
    chosen = "document.querySelector('#search [aria-selected=true] .found-title').textContent"
    first = signed_in.evaluate(chosen)
    signed_in.keyboard.press("ArrowDown")
    second = signed_in.evaluate(chosen)
    assert {first, second} == {"bold-otter", "calm-otter"}
    signed_in.keyboard.press("ArrowDown")
    assert signed_in.evaluate(chosen) == first, "it goes round"
    active = signed_in.get_attribute("#search input[type=search]", "aria-activedescendant")
    assert signed_in.get_attribute(f"#{active}", "aria-selected") == "true"
    signed_in.keyboard.press("Escape")
    until(signed_in, "!document.getElementById('search').open")
    signed_in.click("[data-search]")
    signed_in.wait_for_selector("#search [role=option]")
    signed_in.keyboard.press("Enter")
    signed_in.wait_for_url(f"**/datasets/{first}/")


def test_a_slash_in_a_field_is_a_slash(signed_in: Page) -> None:
    signed_in.goto("/p/shop/settings")
    signed_in.fill("input[name=name]", "")
    signed_in.type("input[name=name]", "a/b")
    assert signed_in.input_value("input[name=name]") == "a/b"
    assert not signed_in.is_visible("#search")


def test_every_key_of_the_help_does_what_it_says(signed_in: Page) -> None:
    """g and a letter leads to where the rail's link leads; the other keys have tests of their own, named here."""
    signed_in.goto("/p/shop/settings")
    keys = signed_in.eval_on_selector_all(
        "#shortcuts dt", "all => all.map((dt) => [...dt.querySelectorAll('kbd')].map((k) => k.textContent))"
    )
    places = [key[1] for key in keys if key[0] == "g"]
    elsewhere = {"/", "n", "j", "x", "c", "?"}  # here, and in test_browser: rows, selection, comparing, help
    assert {key[0] for key in keys} - {"g"} == elsewhere
    linked = signed_in.eval_on_selector_all("[data-go]", "all => all.map((a) => a.dataset.go)")
    assert sorted(places) == sorted(linked), "the help lists what there is, and no more"
    for place in places:
        target = signed_in.get_attribute(f"[data-go={place}]", "href")
        assert target
        signed_in.keyboard.press("g")
        signed_in.keyboard.press(place)
        signed_in.wait_for_url(re.compile(re.escape(target) + "$"))


def test_n_is_the_main_action(signed_in: Page) -> None:
    signed_in.goto("/p/shop/datasets/")
    signed_in.keyboard.press("n")
    signed_in.wait_for_url("**/datasets/new")


def test_c_compares_what_is_selected(look: Page) -> None:
    look.goto("/patterns/tables")
    look.evaluate(
        "document.querySelector('[data-compare]').addEventListener('click', (e) => { e.preventDefault(); "
        "document.body.dataset.compared = '1'; })"
    )
    look.keyboard.press("c")
    assert look.evaluate("document.body.dataset.compared") is None, "nothing is selected"
    for key in ("j", "x", "j", "x", "c"):
        look.keyboard.press(key)
    assert look.evaluate("document.body.dataset.compared") == "1"


def test_the_inbox_is_walked_selected_and_opened_by_keyboard(signed_in: Page, people: Any) -> None:
    for number in range(3):
        actions.tell(
            [people.owner], kind=Kind.ALERT, key=f"k{number}", sentence=f"News {number}", url="/account/"
        )
    signed_in.emulate_media(color_scheme="dark")
    signed_in.set_viewport_size({"width": 390, "height": 800})
    signed_in.goto("/account/inbox")
    assert violations(signed_in) == []
    assert signed_in.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert signed_in.text_content(".bell-count") == "3"
    for key in ("j", "x", "j", "x"):
        signed_in.keyboard.press(key)
    signed_in.click("button[value=read]")
    signed_in.wait_for_url("**/account/inbox")
    until(signed_in, "document.querySelector('.bell-count')?.textContent === '1'")
    for key in ("j", "j", "j", "Enter"):
        signed_in.keyboard.press(key)
    signed_in.wait_for_url("**/account/")
    assert signed_in.locator(".bell-count").count() == 0


def test_the_pages_of_this_slice_have_no_violations(signed_in: Page) -> None:
    for path in ("/search?q=shop", "/account/notifications", "/p/shop/activity"):
        signed_in.goto(path)
        assert violations(signed_in) == [], path


def test_the_search_works_without_a_script(browser: Any, live_server: Any, people: Any) -> None:
    from django.conf import settings

    Dataset.objects.create(project=people.project, created_by=people.owner, name="bold-otter")
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    cookie = people.client("viewer").cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
    page = context.new_page()
    page.goto("/p/shop/settings")
    page.click(".search-open")
    page.fill("main input[name=q]", "otter")
    page.click("main button:has-text('Search')")
    page.click("main .found-hit:has-text('bold-otter')")
    assert page.url.endswith("/p/shop/datasets/bold-otter/")
    context.close()
