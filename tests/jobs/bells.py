"""One Celery app for the tests that ring: its task is shared by name, so that a process has one callable for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from django.conf import settings

from apps.jobs.doorbell import make_celery

HEARD: dict[str, Callable[[str], object]] = {}


def answer(job_id: str) -> None:
    """Calls what the test has put under the first word of the ring."""
    HEARD.get(job_id.partition(" ")[0], str)(job_id)


@cache
def bell() -> Any:
    """The app, on the broker of the tests."""
    return make_celery(settings.CONFIG.broker_url, answer)
