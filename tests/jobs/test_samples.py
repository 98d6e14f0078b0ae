"""Memory and processor time over time: bounded however long a job runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.jobs import attempts
from apps.jobs.models import Job, JobAttempt
from apps.jobs.samples import MOST, Sampler, usage_of
from foundation.ui.timechart import time_chart


def fed(seconds: int, *, every: float = 1.0, cores: float = 1.5) -> Sampler:
    sampler = Sampler(memory_limit=4_000_000_000)
    moments = [n * every for n in range(1, int(seconds / every) + 1)]
    for moment in moments:
        sampler.add(moment, moment * cores, int(moment) * 1_000_000)
    return sampler


def test_a_young_program_has_a_sample_a_second() -> None:
    sampler = fed(10)
    assert sampler.interval == 1.0
    assert sampler.memory == [n * 1_000_000 for n in range(1, 11)]
    assert sampler.cores == [1.5] * 10


@pytest.mark.parametrize("seconds", [240, 241, 500, 5_000, 100_000])
def test_it_keeps_a_bounded_number_of_samples_over_the_whole_time(seconds: int) -> None:
    sampler = fed(seconds)
    assert MOST // 2 - 2 <= len(sampler.memory) == len(sampler.cores) <= MOST
    assert len(sampler.memory) * sampler.interval == pytest.approx(seconds, rel=0.03)
    assert max(sampler.cores) == pytest.approx(1.5, abs=0.01)


def test_merging_keeps_the_highest_memory() -> None:
    sampler = Sampler()
    for moment in range(1, 1000):
        sampler.add(float(moment), 0.0, 9_000_000_000 if moment == 77 else 1_000_000)
    assert max(sampler.memory) == 9_000_000_000


def test_what_comes_more_often_than_once_an_interval_becomes_one_sample() -> None:
    sampler = fed(10, every=0.25)
    assert len(sampler.memory) == 10


def test_a_gap_is_filled_so_that_the_time_axis_stays_true() -> None:
    sampler = Sampler()
    sampler.add(1.0, 1.0, 5)
    sampler.add(6.0, 1.0, 7)
    assert sampler.memory == [5, 7, 7, 7, 7, 7]
    assert sampler.cores == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]


@pytest.mark.django_db(transaction=True)
def test_they_are_kept_in_the_row_of_the_attempt(submit: Callable[..., Job]) -> None:
    job = submit(program="echo")
    assert attempts.claim(job_id=job.pk, worker="w", tier=0, lease_seconds=45)
    sampler = fed(20)
    assert sampler.due()
    sampler.write(job.pk, 1)
    assert not sampler.due()
    usage: Any = usage_of(JobAttempt.objects.get(job=job))
    assert usage.peak == 20_000_000
    assert usage.mean == pytest.approx(1.5)
    assert usage.seconds[-1] == 20.0
    assert usage.memory_limit == 4_000_000_000


def test_a_short_attempt_has_no_curve() -> None:
    assert usage_of(None) is None
    assert usage_of(JobAttempt(samples={"interval": 1.0, "memory": [1], "cores": [0.1]})) is None


def test_a_chart_tells_its_values_and_the_limit() -> None:
    seconds = [float(n) for n in range(1, 241)]
    svg = time_chart(
        seconds,
        seconds,
        write=lambda v: f"<{v:.0f}>",
        clock=lambda s: f"{s:.0f} s",
        label='a "b"',
        limit=250.0,
    )
    assert svg.count("<title>") == 60
    assert "&lt;240&gt; at 240 s" in svg
    assert 'class="limit"' in svg
    assert 'aria-label="a &quot;b&quot;"' in svg
    far = time_chart(seconds, seconds, write=str, clock=str, label="", limit=9e9)
    assert "limit" not in far
    nothing = time_chart([1.0, 2.0], [0.0, 0.0], write=str, clock=str, label="")
    assert "nan" not in nothing


@pytest.mark.django_db(transaction=True)
def test_the_pages_and_the_api_show_what_an_attempt_used(submit: Callable[..., Job], people: Any) -> None:
    job = submit(program="echo", project=people.project)
    url = f"/p/{people.project.slug}/jobs/{job.pk}/"
    api = f"/api/v1/projects/{people.project.slug}/jobs"
    assert "Memory and processors" not in people.client("viewer").get(url).content.decode()
    assert people.api("viewer").get(f"{api}/{job.pk}/resources").json()["seconds"] == []
    attempts.claim(job_id=job.pk, worker="w", tier=0, lease_seconds=45)
    assert "once the program has run" in people.client("viewer").get(url).content.decode()
    fed(90).write(job.pk, 1)
    page = people.client("viewer").get(url).content.decode()
    assert "at most 90 MB of 4.0 GB" in page
    assert "1.5 on average" in page
    shown = people.api("viewer").get(f"{api}/{job.pk}/resources").json()
    assert (len(shown["memory"]), shown["interval"], shown["memory_limit"]) == (90, 1.0, 4_000_000_000)
    assert people.api("viewer").get(f"{api}/{job.pk}/resources?attempt=7").status_code == 404
    events = people.api("viewer").get(f"{api}/{job.pk}/events").json()["results"]
    assert [(event["kind"], event["attempt"]) for event in events] == [("queued", 0), ("starting", 1)]
    assert people.api("viewer").get(api).status_code == 200
