"""The pictures of what an attempt used: memory and processors over its time."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.safestring import SafeString

from apps.jobs.models import JobAttempt
from apps.jobs.samples import usage_of
from apps.jobs.verdict import gigabytes
from apps.jobs.verdict import seconds as in_words
from foundation.ui.timechart import time_chart


@dataclass(frozen=True)
class UseChart:
    """One picture with what is said beside it. end: the last moment, in words."""

    title: str
    words: str
    svg: SafeString
    end: str


def use_charts_of(attempt: JobAttempt | None) -> list[UseChart]:
    """Memory and processors, or nothing where nothing was measured."""
    usage = usage_of(attempt)
    if usage is None:
        return []
    limit = usage.memory_limit
    allowed = f" of {gigabytes(limit)}" if limit else ""
    memory = f"at most {gigabytes(usage.peak)}{allowed}"
    cores = f"{usage.mean:.1f} on average, at most {usage.busiest:.1f}"
    end = in_words(usage.seconds[-1])
    return [
        UseChart(
            "Memory",
            memory,
            time_chart(
                usage.seconds,
                usage.memory,
                write=gigabytes,
                clock=in_words,
                label=f"Memory over {end}: {memory}",
                limit=limit,
            ),
            end,
        ),
        UseChart(
            "Processors",
            cores,
            time_chart(
                usage.seconds,
                usage.cores,
                write=lambda value: f"{value:.2f} processors",
                clock=in_words,
                label=f"Processors in use over {end}: {cores}",
            ),
            end,
        ),
    ]
