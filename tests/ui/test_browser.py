"""What only a browser can show: themes, the keyboard, dialogs, live parts, charts, accessibility."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from foundation.ui.patterns import PARTS
from tests.support.axe import violations

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PATTERNS = ["/patterns", *(f"/patterns/{key}" for key, _ in PARTS[1:])]
THEME = "document.documentElement.dataset.theme || 'system'"
#: where there are charts, the first is drawn (one of /patterns never is)
DRAWN = "!document.querySelector('[data-figure]') || document.querySelector('[data-drawn]') !== null"
PAPER = "getComputedStyle(document.documentElement).backgroundColor"


def choose_theme(page: Page, theme: str) -> None:
    page.click(".topbar-tools details.menu > summary")
    page.click(f"[data-theme-choice={theme}]")


def until(page: Page, expression: str, seconds: float = 10.0) -> None:
    """Wait until an expression holds. (Playwright's own waiting compiles strings, which the policy forbids.)"""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never true: {expression}"
        page.wait_for_timeout(50)


def test_axe_finds_nothing_and_nothing_overflows(look: Page) -> None:
    for path in [*PATTERNS, "/login"]:
        look.emulate_media(color_scheme="light", reduced_motion="reduce")
        look.set_viewport_size({"width": 1280, "height": 800})
        look.goto(path)
        until(look, DRAWN)
        assert violations(look) == [], (path, "light", 1280)
        assert look.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (path, 1280)
        look.emulate_media(color_scheme="dark", reduced_motion="reduce")
        look.set_viewport_size({"width": 390, "height": 800})
        assert violations(look) == [], (path, "dark", 390)
        assert look.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (path, 390)


def test_axe_finds_nothing_where_there_is_nothing_yet(signed_in: Page) -> None:
    # dark and narrow only: tests/tour holds the pages of a living studio against axe, in both themes and widths
    signed_in.emulate_media(color_scheme="dark", reduced_motion="reduce")
    signed_in.set_viewport_size({"width": 390, "height": 800})
    lists = ("datasets", "experiments", "studies", "models", "deployments", "pipelines", "monitors", "jobs")
    for path in ["/p/shop/", "/nothing/here", *(f"/p/shop/{name}/" for name in lists)]:
        signed_in.goto(path)
        assert violations(signed_in) == [], path
        assert signed_in.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path


def test_the_theme_is_kept_and_set_before_the_first_paint(look: Page) -> None:
    look.emulate_media(color_scheme="light")
    look.goto("/patterns")
    light = look.evaluate(PAPER)
    choose_theme(look, "dark")
    dark = look.evaluate(PAPER)
    assert dark != light
    look.goto("/patterns/values")
    assert look.evaluate(THEME) == "dark"
    assert 'data-theme="dark"' in look.content()
    choose_theme(look, "system")
    assert look.evaluate(PAPER) == light
    look.emulate_media(color_scheme="dark")
    assert look.evaluate(PAPER) == dark


def test_the_keyboard_walks_rows_and_selects(look: Page) -> None:
    look.goto("/patterns/tables")
    look.keyboard.press("j")
    look.keyboard.press("j")
    assert look.evaluate("document.querySelector('tr[data-cursor] th').textContent.trim()") == "calm-otter"
    look.keyboard.press("x")
    look.keyboard.press("k")
    look.keyboard.press("x")
    assert look.text_content("[data-picked]") == "2"
    assert look.is_visible(".bulk-bar")
    look.click("[data-clear-picks]")
    assert not look.is_visible(".bulk-bar")


def test_g_and_a_letter_go_places(signed_in: Page) -> None:
    signed_in.goto("/p/shop/settings")
    signed_in.keyboard.press("g")
    signed_in.keyboard.press("h")
    signed_in.wait_for_url("**/p/shop/")
    keys = signed_in.eval_on_selector_all("[data-go]", "links => links.map((link) => link.dataset.go)")
    assert len(keys) == len(set(keys))
    assert {"t", "p"} <= set(keys), "studies and pipelines"
    signed_in.keyboard.press("?")
    told = signed_in.locator("#shortcuts").inner_text().split()
    assert set(keys) <= set(told)


def test_typing_in_a_field_is_not_a_command(look: Page) -> None:
    look.goto("/patterns/tables")
    look.fill("input[type=search]", "")
    look.type("input[type=search]", "?jx")
    assert look.input_value("input[type=search]") == "?jx"
    assert not look.is_visible("#shortcuts")


def test_the_question_mark_opens_help_and_focus_returns(look: Page) -> None:
    look.goto("/patterns/feedback")
    look.focus("[data-dialog=sample-confirm]")
    look.keyboard.press("?")
    assert look.is_visible("#shortcuts")
    look.keyboard.press("Escape")
    until(look, "document.activeElement.dataset.dialog === 'sample-confirm'")


def test_a_destructive_action_asks_first(look: Page) -> None:
    look.goto("/patterns/feedback")
    look.click("[data-dialog=sample-confirm]")
    dialog = look.locator("#sample-confirm")
    assert "Move dataset churn to the trash?" in dialog.inner_text()
    dialog.get_by_text("Keep it").click()
    assert not dialog.is_visible()
    until(look, "document.activeElement.dataset.dialog === 'sample-confirm'")


def test_a_menu_closes_on_escape_and_outside(look: Page) -> None:
    look.goto("/patterns/feedback")
    summary = look.locator("details.menu summary", has_text="Actions")
    summary.click()
    look.keyboard.press("ArrowDown")
    assert look.evaluate("document.activeElement.textContent.trim()") == "Rename"
    look.keyboard.press("Escape")
    assert look.locator("details.menu[open]").count() == 0
    summary.click()
    look.click("h1")
    assert look.locator("details.menu[open]").count() == 0


def test_charts_are_drawn_and_dressed_in_the_theme(look: Page) -> None:
    look.emulate_media(color_scheme="light")
    look.goto("/patterns/charts")
    look.wait_for_selector(".chart[data-drawn] .js-plotly-plot .scatterlayer path.js-line")
    line = "getComputedStyle(document.querySelector('.scatterlayer path.js-line')).stroke"
    before = look.evaluate(line)
    choose_theme(look, "dark")
    until(look, f"{line} !== {before!r}")
    look.click(".chart-data summary >> nth=0")
    look.wait_for_selector(".chart-data[open] tbody tr")
    assert look.locator(".chart-data").first.locator("tbody tr").count() == 120
    assert look.locator("[data-figure]", has_text="Nothing was logged yet.").count() == 1


def test_a_log_axis_and_smoothing_redraw(look: Page) -> None:
    look.goto("/patterns/charts")
    look.wait_for_selector(".chart[data-drawn]")
    shape = "document.querySelector('.scatterlayer path.js-line').getAttribute('d')"
    before = look.evaluate(shape)
    look.check("[data-log-toggle]")
    until(look, f"{shape} !== {before!r}")
    logarithmic = look.evaluate(shape)
    look.fill("[data-smoothing]", "0.9")
    until(look, f"{shape} !== {logarithmic!r}")


def test_finding_in_a_log_counts_the_hits(look: Page) -> None:
    look.goto("/patterns/feedback")
    look.fill("[data-log-search]", "info")
    until(look, "document.querySelector('[data-log-hits]').textContent === '5 found'")
    look.keyboard.press("Enter")
    until(look, "document.querySelector('[data-log-hits]').textContent === '1 of 5'")


def test_a_live_part_refreshes_without_losing_what_one_does(look: Page) -> None:
    """Focus, typed text and an open menu survive; the polling ends with the attribute."""
    look.goto("/patterns")
    answers = iter(
        [
            '<section id="live" data-poll="/fragment"><b>2</b><details><summary>m</summary>x</details><input></section>',
            '<section id="live"><b>3</b><details><summary>m</summary>x</details><input></section>',
        ]
    )
    asked: list[str] = []

    def answer(route: Any) -> None:
        asked.append(route.request.url)
        route.fulfill(status=200, content_type="text/html", body=next(answers))

    look.route("**/fragment", answer)
    look.evaluate(
        """() => {
            const part = document.createElement('section');
            part.id = 'live';
            part.dataset.poll = '/fragment';
            part.innerHTML = '<b>1</b><details><summary>m</summary>x</details><input>';
            document.querySelector('main').append(part);
            document.dispatchEvent(new Event('atelier:changed'));
        }"""
    )
    look.click("#live summary")
    look.fill("#live input", "half a word")
    until(look, "document.querySelector('#live b').textContent === '3'", 15)
    assert look.input_value("#live input") == "half a word"
    assert look.evaluate("document.activeElement.matches('#live input')")
    assert look.evaluate("document.querySelector('#live details').open")
    assert len(asked) == 2


def test_the_rail_opens_on_a_phone(signed_in: Page) -> None:
    signed_in.set_viewport_size({"width": 390, "height": 800})
    signed_in.goto("/p/shop/")
    assert not signed_in.is_visible("#rail")
    signed_in.click(".rail-open")
    assert signed_in.is_visible("#rail")
    signed_in.keyboard.press("Escape")
    assert not signed_in.is_visible("#rail")


def test_pages_work_without_javascript(browser: Any, live_server: Any, people: Any) -> None:
    people.viewer.set_password("correct horse battery")
    people.viewer.save()
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/p/shop/settings")
    page.fill("input[name=username]", "viewer")
    page.fill("input[name=password]", "correct horse battery")
    page.click("button[type=submit]:has-text('Sign in')")
    assert page.url.endswith("/p/shop/settings")
    page.click("details.switcher summary")
    page.click("text=All projects")
    assert page.locator("h1").inner_text() == "Projects"
    context.close()
