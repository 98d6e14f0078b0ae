"""Template tags of monitoring: windows on the clock of their project."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlencode

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.monitoring.models import Alert, Monitor
from apps.monitoring.pages import moment_label
from apps.monitoring.windows import get_zone

register = template.Library()


@register.simple_tag
def window_name(start: datetime, monitor: Monitor) -> SafeString:
    """A window by its start: "12 Apr 2021", or with the hour where windows are shorter than a day."""
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        start.isoformat(),
        start.isoformat(),
        moment_label(start, monitor),
    )


@register.simple_tag
def on_clock(moment: datetime, zone: str) -> SafeString:
    """A moment on the clock of a time zone: "12 Apr 2021 00:00"."""
    local = moment.astimezone(get_zone(zone))
    return format_html(
        '<time datetime="{}">{}</time>', moment.isoformat(), f"{local.day} {local:%b %Y %H:%M}"
    )


@register.filter
def window_query(alert: Alert) -> str:
    """The query that shows an alert's window and feature on the monitor's page."""
    return urlencode({"window": alert.start.isoformat(), "feature": alert.feature})
