"""Template tags of schedules: due times on the clock of their schedule."""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.jobs.schedules.queries import Time
from foundation.clock import iso

register = template.Library()


@register.simple_tag
def due_time(time: Time) -> SafeString:
    """A due time as "Tue 24 Nov 2026 06:00 CET", with UTC in the title."""
    utc = time.moment.astimezone(datetime.UTC)
    local = time.local
    return format_html(
        '<time class="nowrap" datetime="{}" title="{}">{}</time>',
        iso(utc),
        f"{utc:%Y-%m-%d %H:%M} UTC",
        f"{local:%a} {local.day} {local:%b %Y %H:%M %Z}",
    )


@register.simple_tag
def due(moment: datetime.datetime, zone: str) -> SafeString:
    """A moment as a due time on the clock of a time zone."""
    return due_time(Time(moment, moment.astimezone(ZoneInfo(zone))))
