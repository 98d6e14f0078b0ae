"""A job's page in a real browser: it follows the job by itself, and cancels it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings

from apps.jobs import attempts, logs
from apps.jobs.attempts import Ending
from apps.jobs.models import Job
from tests.support.axe import violations
from tests.ui.conftest import look, signed_in  # noqa: F401  (fixtures)

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def job(people: Any, submit: Callable[..., Job]) -> Job:
    return submit(project=people.project, created_by=people.owner, title="Train a forest")


def write(job: Job, line: str, attempt: int = 1) -> None:
    path = Path(settings.CONFIG.attempts_dir) / str(job.pk) / str(attempt) / "log.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    with logs.open_log(path) as log:
        log.info(line)


def test_the_page_follows_a_job_to_its_end(signed_in: Page, job: Job) -> None:  # noqa: F811
    from playwright.sync_api import expect

    page = signed_in
    page.goto(f"/p/shop/jobs/{job.pk}/")
    expect(page.locator("#job-badge")).to_contain_text("Queued")
    held = attempts.claim(job_id=job.pk, worker="w1", tier=0, lease_seconds=60)
    assert held is not None
    attempts.mark_running(job_id=job.pk, fence=1)
    attempts.heartbeat(
        job_id=job.pk, fence=1, lease_seconds=60, progress={"step": 3, "total": 4, "message": "third fold"}
    )
    write(job, "epoch 1")
    expect(page.locator("#job-badge")).to_contain_text("Running", timeout=15_000)
    expect(page.locator("#job-detail")).to_contain_text("third fold", timeout=15_000)
    expect(page.locator("#job-log")).to_contain_text("epoch 1", timeout=15_000)
    expect(page).to_have_title(re.compile("^● 75 % Train a forest"), timeout=15_000)
    write(job, "epoch 2")
    expect(page.locator("#job-log")).to_contain_text("epoch 2", timeout=15_000)
    attempts.finish(job_id=job.pk, fence=1, ending=Ending("lost", "Gone.", "job.drained", charged=False))
    assert attempts.claim(job_id=job.pk, worker="w2", tier=0, lease_seconds=60) is not None
    write(job, "epoch 1 once more", attempt=2)
    expect(page.locator("#job-log")).to_contain_text("──── attempt 2 ────", timeout=15_000)
    expect(page.locator("#job-log")).to_contain_text("epoch 1 once more", timeout=15_000)
    attempts.finish(job_id=job.pk, fence=2, ending=Ending("failed", "The target has one class."))
    expect(page.get_by_role("alert")).to_contain_text("The target has one class.", timeout=15_000)
    expect(page.locator("#job-badge")).to_contain_text("Failed", timeout=15_000)
    expect(page.locator("#job-detail[data-poll]")).to_have_count(0)


def test_a_long_log_is_searched_and_walked_through(signed_in: Page, job: Job) -> None:  # noqa: F811
    from playwright.sync_api import expect

    attempts.claim(job_id=job.pk, worker="w1", tier=0, lease_seconds=60)
    path = Path(settings.CONFIG.attempts_dir) / str(job.pk) / "1" / "log.txt"
    path.parent.mkdir(parents=True)
    path.write_text(
        "".join(
            f"\x1b[32mline\x1b[0m {n} {'needle' if n % 4000 == 7 else 'hay' * 20}\n" for n in range(1, 9001)
        )
    )
    page = signed_in
    page.goto(f"/p/shop/jobs/{job.pk}/")
    lines = page.locator("#job-log .log-line")
    expect(lines.last).to_have_attribute("data-n", "9000", timeout=15_000)
    expect(lines.last.locator(".t-f2")).to_have_text("line", timeout=15_000)
    shown = lines.count()
    assert shown < 2000
    page.get_by_role("button", name="Show earlier lines").click()
    expect(lines.first).not_to_have_attribute("data-n", str(9001 - shown), timeout=15_000)
    page.get_by_role("searchbox", name="Find in the log").fill("NEEDLE")
    expect(page.locator("[data-log-hits]")).to_have_text("3 lines", timeout=15_000)
    page.keyboard.press("Enter")
    expect(page.locator("[data-log-hits]")).to_have_text("1 of 3", timeout=15_000)
    expect(page.locator("#job-log [data-at]")).to_have_attribute("data-n", "7", timeout=15_000)
    assert violations(page) == []
    page.keyboard.press("Shift+Enter")
    expect(page.locator("#job-log [data-at]")).to_have_attribute("data-n", "8007", timeout=15_000)
    page.get_by_role("button", name="Jump to latest").click()
    expect(lines.last).to_have_attribute("data-n", "9000", timeout=15_000)
    page.goto(f"/p/shop/jobs/{job.pk}/?fresh=1#log-4007")
    expect(page.locator("#job-log [data-at]")).to_contain_text("needle", timeout=15_000)


def test_a_job_is_cancelled_from_its_page(signed_in: Page, job: Job) -> None:  # noqa: F811
    from playwright.sync_api import expect

    page = signed_in
    page.goto(f"/p/shop/jobs/{job.pk}/")
    page.get_by_role("button", name="Cancel the job").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
    expect(page.locator("#job-badge")).to_contain_text("Cancelled")
    job.refresh_from_db()
    assert (job.state, job.reason) == ("cancelled", "Cancelled by owner.")
    expect(page.get_by_role("button", name="Cancel the job")).to_have_count(0)
