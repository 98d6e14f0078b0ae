"""``{% load experiments %}``: how runs are written in templates."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django import template
from django.template.context import RequestContext

from apps.experiments import algorithms
from apps.experiments.metric_catalogue import title
from apps.experiments.rules.words import rule_words
from foundation.ui.listing import url_with

register = template.Library()
register.filter(rule_words)


@register.filter
def algorithm_title(name: str) -> str:
    """The title of a built-in algorithm; other names stay as they are."""
    known = algorithms.every().get(name)
    return known.title if known else name


@register.simple_tag(takes_context=True)
def toggle_column(context: RequestContext, key: str) -> str:
    """This page's URL with one column of the run table added or taken away."""
    chosen = [c.key for c in context["page"].columns]
    kept = [c for c in chosen if c != key] if key in chosen else [*chosen, key]
    parameters = url_with(context["request"], columns=None, fragment=None)
    mark = "&" if "?" in parameters else "?"
    return f"{parameters}{mark}columns={quote(','.join(kept), safe=',.')}"


@register.simple_tag
def param_value(value: Any) -> str:
    """A parameter as a person reads it: None is "no limit", numbers keep what was entered."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


@register.filter
def metric_title(name: str) -> str:
    """The title of a metric; foreign metrics keep their own name."""
    return title(name)


@register.filter
def last_part(path: str) -> str:
    """The file's own name, without its folders."""
    return path.rsplit("/", 1)[-1]


@register.filter
def figure_size(figure: dict[str, Any]) -> str:
    """ "tall" for a figure with many rows of bars, classes or lines in its legend, so that each has its place."""
    rows = max(
        (len(t.get("y") or ()) for t in figure["data"] if t.get("type") in ("bar", "heatmap")), default=0
    )
    return "tall" if rows > 8 or len(figure["data"]) > 5 else ""


@register.filter
def has_steps(figure: dict[str, Any]) -> bool:
    """Whether a figure draws a metric over its steps, where a logarithmic axis makes sense."""
    return bool(figure["layout"]["xaxis"]["title"]["text"] == "step")
