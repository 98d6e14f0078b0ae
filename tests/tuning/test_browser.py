"""Studies in a browser: started, watched and stopped by mouse alone; every page without a fault that axe finds."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings

from apps.tuning.models import Study
from tests.datasets.test_engine import send, settled
from tests.datasets.test_upload_stage import multipart
from tests.support.axe import OF_COLOUR, violations
from tests.support.people import People
from tests.support.studio import Studio
from tests.tuning.studies import made_study, store, table, with_trials

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["made_study", "store", "table"]

pytestmark = pytest.mark.browser
ROWS = b"age,city,left\n" + b"".join(
    b"%d,%s,%s\n" % (20 + n % 50, b"Rome" if n % 3 else b"Oslo", b"yes" if n % 50 > 24 else b"no")
    for n in range(300)
)


@pytest.mark.engine
def test_a_study_is_started_watched_and_stopped_by_mouse(studio: Studio, admin_page: Page) -> None:
    slug, token = f"search-{uuid.uuid4().hex[:8]}", studio.token()
    assert studio.call("POST", "/api/v1/projects", {"slug": slug, "name": "Search"}, token=token)[0] == 201
    send(studio, f"/api/v1/projects/{slug}/datasets", token, multipart(ROWS, fields={"name": "churn"}))
    assert settled(studio, token, slug, "churn")["state"] == "ready"
    page = admin_page
    page.goto(f"/p/{slug}/")
    page.click("nav a:has-text('Studies')")
    page.click("main a:has-text('New study')")
    page.check("input[name=algorithm][value=random_forest]")
    page.wait_for_selector("input[name=low_max_depth]")
    assert page.input_value("input[name=name]") == "churn-random-forest"
    page.fill("input[name=low_n_estimators]", "2")
    page.fill("input[name=high_n_estimators]", "9")
    page.fill("input[name=n_trials]", "400")
    page.wait_for_selector("#plan:has-text('TPE learns from earlier trials')", timeout=20_000)
    page.click("button:has-text('Start the study')")
    page.wait_for_selector(".page-title .status:has-text('Running')", timeout=60_000)
    page.wait_for_selector("#history[data-drawn]", timeout=90_000)
    page.wait_for_selector("text=Train final model", timeout=90_000)
    assert "%" in page.title()
    page.click("#study-actions button:has-text('Stop')")
    page.click("dialog[open] button:has-text('Stop the study')")
    page.wait_for_selector(".page-title .status:has-text('Stopped')", timeout=90_000)
    assert page.is_visible("#study-actions button:has-text('Resume')")
    _, study = studio.call("GET", f"/api/v1/projects/{slug}/studies/churn-random-forest", token=token)
    assert study["state"] == "stopped"
    assert study["n_complete"] >= 1
    assert study["n_running"] == 0
    page.click("a.tab:has-text('Trials')")
    page.click("tbody th a >> nth=0")
    assert re.search(r"Trial \d+ of churn-random-forest", page.inner_text("#run-live"))


@pytest.mark.django_db(transaction=True)
def test_no_page_has_a_fault_that_axe_finds(
    people: People, made_study: Callable[..., Study], browser: Browser, live_server: Any
) -> None:
    long = "a-study-with-a-name-that-is-as-long-as-the-studio-lets-it-be-63"
    with_trials(
        made_study(name=long, n_trials=15), *[0.5 + n / 50 for n in range(12)], "pruned", "failed", "running"
    )
    made_study(name="waiting")
    with_trials(made_study(name="gave-up"), "failed", state="failed")
    session = people.client("contributor").cookies[settings.SESSION_COOKIE_NAME].value
    context = browser.new_context(base_url=live_server.url, viewport={"width": 1280, "height": 900})
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}])
    page, found = context.new_page(), []
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if "Content Security Policy" in m.text else None)
    paths = ["", "new", f"{long}/", f"{long}/parallel", f"{long}/trials", f"{long}/settings", f"{long}/edit"]
    for path in [*paths, "waiting/", "gave-up/", "gave-up/parallel"]:
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        page.set_viewport_size({"width": 1280, "height": 900})
        answer = page.goto(f"/p/shop/studies/{path}")
        assert answer is not None
        assert answer.status == 200
        assert len(answer.body()) < 100_000
        if path == f"{long}/":
            page.wait_for_selector("#history[data-drawn]")
        page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
        found += [f"{path}: {one}" for one in violations(page)]
        page.emulate_media(color_scheme="dark")
        found += [f"{path} dark: {one}" for one in violations(page, rules=OF_COLOUR)]
        page.set_viewport_size({"width": 390, "height": 844})
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append(f"{path}: scrolls sideways at 390 px")
    context.close()
    assert found == []
    assert problems == []
