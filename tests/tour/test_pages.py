"""Every kind of page of a studio that has lived: reached by links, and held against what all pages promise."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from django.urls import Resolver404, resolve

from tests.support.axe import OF_COLOUR, violations
from tests.support.studio import Studio

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: addresses that nothing links to: a list without rows, a filter that matches nothing, errors
ALSO = (
    "/p/tour/datasets/?q=no-such-name",
    "/p/tour/experiments/runs/?filter=no+such+filter",
    "/p/tour/nothing/here",
    "/p/tour/settings/trash",
    "/patterns",
)
#: the list begins with a run of a built-in algorithm: runs that a client logged have neither log nor model page
A_RUN_OF_OURS = "/p/tour/experiments/runs/?q=boosting"
#: where links lead to something that is not one of our pages
ELSEWHERE = ("/admin", "/api/", "/static/", "/serve/", "/readyz", "/p/tour/mlflow")
FILES = ("download", "log-text", "log", "log-download", "run-download", "version-download")
#: page types that the tour's project has to lead to by links
REACHED = {
    "accounts:account", "accounts:password", "accounts:team", "home:projects", "home:project-new", "home:settings",
    "datasets:list", "datasets:new", "datasets:detail", "datasets:edit", "datasets:version", "datasets:version-new",
    "datasets:version-tab preview", "datasets:version-tab columns", "datasets:version-tab lineage",
    "experiments:list", "experiments:new-run", "experiments:runs", "experiments:experiment", "experiments:run overview",
    "experiments:run-tab curves", "experiments:run-tab figures", "experiments:run-tab artifacts",
    "experiments:run-tab logs", "experiments:run-tab model", "experiments:run-tab environment",
    "experiments:run-tab lineage", "registry:list", "registry:model", "registry:version", "registry:register",
    "deployments:list", "deployments:new", "deployments:detail", "deployments:try", "deployments:inferences",
    "deployments:inference", "deployments:feedback", "deployments:logs", "deployments:edit", "monitoring:list", "monitoring:new",
    "monitoring:detail", "monitoring:alerts", "monitoring:reports", "monitoring:report", "monitoring:settings",
    "jobs:list", "jobs:detail", "jobs:schedules", "jobs:schedule-new", "home:activity", "environments:list",
    "tuning:list", "tuning:new", "tuning:detail overview", "tuning:parallel parallel", "tuning:trials trials",
    "tuning:settings settings", "pipelines:list", "pipelines:new", "pipelines:detail", "pipelines:edit",
    "pipelines:runs", "pipelines:run", "pipelines:versions", "pipelines:version", "pipelines:settings",
    "accounts:team-members", "accounts:member", "accounts:team-roles", "accounts:team-projects",
    "accounts:team-tokens", "accounts:team-audit", "accounts:team-settings",
}  # fmt: skip
LINKS = """[...document.querySelectorAll('a[href]:not([download])')]
    .map((a) => new URL(a.getAttribute('href'), location).href)"""
LOADED = "performance.getEntriesByType('resource').map((entry) => [entry.name, entry.decodedBodySize])"
OPENERS = "[...new Set([...document.querySelectorAll('main [data-dialog]')].map((b) => b.dataset.dialog))]"
#: menus and folds are looked at open
UNFOLD = "document.querySelectorAll('details').forEach((fold) => { fold.open = true; })"


def kind_of(address: str) -> str:
    """The type of page at an address: its route, and its tab where one route has several."""
    try:
        found = resolve(urlsplit(address).path)
    except Resolver404:
        return ""
    return f"{found.view_name} {found.kwargs.get('tab', '')}".strip()


def show(page: Page, theme: str) -> None:
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]


def look_at(page: Page, address: str, dialogs: set[str], themes: list[str]) -> list[str]:
    """What a page breaks of what every page promises; each dialog is opened where it is met first.

    All rules are held against the first of the themes, those of colour also against the other one (inside the frame
    that all pages share); they change places for the next page, which spares it a repainting.
    """
    show(page, themes[0])
    answer = page.goto(address)
    assert answer is not None
    found = [f"{address}: answers {answer.status}"] if answer.status >= 500 else []
    if len(answer.body()) > 100_000:
        found.append(f"{address}: {len(answer.body())} bytes of HTML")
    if page.locator("h1").count() != 1 and not address.startswith("/patterns"):
        found.append(f"{address}: {page.locator('h1').count()} headings of the first level")
    if not page.title():
        found.append(f"{address}: no title")
    page.evaluate(UNFOLD)
    found += [f"{address} in {themes[0]}: {one}" for one in violations(page)]
    show(page, themes[1])
    found += [f"{address} in {themes[1]}: {one}" for one in violations(page, "#main", OF_COLOUR)]
    themes.reverse()
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        if page.evaluate("document.documentElement.scrollWidth - innerWidth") > 0:
            found.append(f"{address}: scrolls sideways at {width} px")
    loaded = page.evaluate(LOADED)
    ours = sum(size for url, size in loaded if "/static/js/" in url)
    if ours > 30_000:
        found.append(f"{address}: {ours} bytes of our JavaScript")
    if any("plotly" in url for url, _ in loaded) and not page.locator("[data-figure]").count():
        found.append(f"{address}: loads Plotly without a chart")
    for dialog in set(page.evaluate(OPENERS)) - dialogs:
        dialogs.add(dialog)
        page.evaluate(f"document.querySelector('main [data-dialog={dialog}]').click()")
        found += [f"{address} with its dialog: {one}" for one in violations(page, f"#{dialog}")]
        page.keyboard.press("Escape")
    return found


@pytest.mark.engine
@pytest.mark.browser
@pytest.mark.timeout(900)
def test_every_kind_of_page_keeps_its_promises(studio: Studio, toured: str, admin_page: Page) -> None:
    """A page type that a page links to is looked at without being named here, in both themes and at both widths."""
    found: list[str] = []
    dialogs: set[str] = set()
    kinds: set[str] = set()
    themes = ["light", "dark"]
    admin_page.set_viewport_size({"width": 1280, "height": 900})
    for address in ALSO:
        found += look_at(admin_page, address, dialogs, themes)
    waiting = deque([A_RUN_OF_OURS, "/", "/p/tour/"])
    while waiting:
        address = waiting.popleft()
        kind = kind_of(address)
        if not kind or kind in kinds or address.startswith(ELSEWHERE) or kind.rpartition(":")[2] in FILES:
            continue
        kinds.add(kind)
        found += look_at(admin_page, address, dialogs, themes)
        for link in admin_page.evaluate(LINKS):
            if link.startswith(studio.url):
                waiting.append(link.removeprefix(studio.url).partition("#")[0])
    assert found == []
    assert kinds >= REACHED, f"no link leads to {sorted(REACHED - kinds)}"
