"""``{% load ui %}``: every tag and filter that pages use. What each does stands in docs/ui.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django import template
from django.template.context import RequestContext
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from foundation.ui import forms as ui_forms
from foundation.ui import graphics, graphs, icons, scripts, series, statuses, values
from foundation.ui.assets import asset
from foundation.ui.figures import figure_json
from foundation.ui.listing import url_with as listing_url_with
from foundation.ui.toasts import Undo, undo_of

register = template.Library()
_ESCAPES = {ord(letter): f"\\u{ord(letter):04X}" for letter in "<>&"}

# ---- values ------------------------------------------------------------------------------------------------


@register.simple_tag
def status(state: Any, word: str = "") -> SafeString:
    """A state as icon + word + colour; ``word`` replaces the usual word."""
    return statuses.badge(str(state), word)


@register.filter
def tone(state: Any) -> str:
    """The tone class of a state, such as ``tone-green``."""
    return f"tone-{statuses.look_of(str(state)).tone}"


@register.filter
def state_word(state: Any) -> str:
    """The word of a state."""
    return statuses.look_of(str(state)).word


@register.simple_tag
def icon(name: str, css: str = "", label: str = "") -> SafeString:
    """An icon of foundation/ui/icons.py; with ``label`` it is spoken."""
    return icons.icon(name, css, label)


@register.simple_tag
def state_icon(state: Any) -> SafeString:
    """The icon of a state alone, in its colour, with its word for screen readers."""
    look = statuses.look_of(str(state))
    return icons.icon(look.icon, f"toned tone-{look.tone}", look.word)


@register.filter
def kind_icon(kind: Any) -> str:
    """The icon that stands for a kind of object, such as ``dataset_version``."""
    return icons.KINDS.get(str(kind), "file")


@register.simple_tag
def num(value: Any, digits: int | None = None) -> str:
    """A number with thin-space thousands and fixed decimals."""
    return values.number(value, digits)


@register.simple_tag
def percent(value: Any, digits: int = 1) -> str:
    """A share of 0 to 1 as per cent."""
    return values.percent(value, digits)


@register.simple_tag(name="bytes")
def bytes_tag(value: Any) -> str:
    """A size in kB, MB, GB."""
    return values.size(value)


@register.simple_tag
def duration(value: Any) -> str:
    """Seconds or a timedelta, in two units at most."""
    return values.duration(value)


@register.simple_tag
def ago(moment: datetime | None) -> SafeString | str:
    """A relative time, its exact ISO form in the title; the page keeps it fresh."""
    if moment is None:
        return values.MISSING
    iso = moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return format_html(
        '<time datetime="{}" title="{}" data-ago>{}</time>', iso, iso, values.ago(moment, timezone.now())
    )


@register.simple_tag
def when(moment: datetime | None, shape: str = "j M Y H:i") -> SafeString | str:
    """An absolute time in the active time zone (``shape`` as Django's date filter)."""
    if moment is None:
        return values.MISSING
    iso = moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    text = template.defaultfilters.date(timezone.localtime(moment), shape)
    return format_html('<time datetime="{}" title="{}">{}</time>', iso, iso, text)


@register.simple_tag
def short_id(value: Any, copy: bool = True) -> SafeString | str:
    """The telling eight characters of an id and a button that copies the whole."""
    if not value:
        return values.MISSING
    button = copy_button(str(value), "Copy the whole id") if copy else ""
    return format_html('<span class="id" title="{}">{}{}</span>', value, values.short_id(value), button)


@register.simple_tag(name="copy")
def copy_button(text: Any, label: str = "Copy") -> SafeString:
    """A button that puts ``text`` on the clipboard."""
    return format_html(
        '<button type="button" class="icon-button tiny" data-copy="{}" aria-label="{}">{}{}</button>',
        text, label, icons.icon("copy", "when-idle"), icons.icon("check", "when-done"),
    )  # fmt: skip


@register.filter
def series_class(identity: Any) -> str:
    """The CSS class that gives an object its one colour: ``series-1`` to ``series-10``."""
    return f"series-{series.series_index(identity)}"


@register.filter
def get(mapping: Any, key: Any) -> Any:
    """``mapping[key]`` or None: columns chosen at run time."""
    return mapping.get(key) if hasattr(mapping, "get") else None


@register.filter
def lines(items: Any) -> str:
    """A list as lines of text (a template cannot write a line break inside a tag)."""
    return "\n".join(str(item) for item in items)


# ---- navigation and URLs -----------------------------------------------------------------------------------


@register.simple_tag
def crumb(label: Any, url: str = "") -> SafeString:
    """One breadcrumb, for use in ``{% block crumbs %}``; the last has no URL."""
    if url:
        return format_html('<li><a href="{}">{}</a></li>', url, label)
    return format_html('<li><span aria-current="page">{}</span></li>', label)


@register.simple_tag(takes_context=True)
def tab(context: RequestContext, label: str, url: str, count: Any = None) -> SafeString:
    """One tab, for use in ``{% block tabs %}``; it is current when its URL is the page's."""
    current = (
        mark_safe(' aria-current="page"')
        if context["request"].path.rstrip("/") == url.partition("?")[0].rstrip("/")
        else ""
    )
    tally = (
        format_html(' <span class="tab-count">{}</span>', values.number(count)) if count is not None else ""
    )
    return format_html('<a class="tab" href="{}"{}>{}{}</a>', url, current, label, tally)


@register.simple_tag(takes_context=True)
def url_with(context: RequestContext, **changes: Any) -> str:
    """This page's URL with some parameters changed; ``None`` or "" removes one."""
    return listing_url_with(context["request"], **changes)


@register.simple_tag(takes_context=True)
def column(
    context: RequestContext,
    label: str,
    order: str = "",
    num: bool = False,
    css: str = "",
    desc: bool = False,
    anchor: str = "",
    tip: str = "",
) -> SafeString:
    """A ``<th>``; with ``order`` it is a link that sorts by that word of the URL (``desc``: largest first).

    ``anchor`` is the id that the sorted page opens at, ``tip`` what the column means.
    """
    classes = " ".join(part for part in ("num" if num else "", css) if part)
    attributes = format_html(' class="{}"', classes) if classes else SafeString("")
    if tip:
        attributes += format_html(' title="{}"', tip)
    if not order:
        return format_html('<th scope="col"{}>{}</th>', attributes, label)
    listing = context.get("listing")
    current = listing.order_by if listing is not None else context["request"].GET.get("order_by", "")
    up, down = current == order, current == f"-{order}"
    target = order if down or (not up and not desc) else f"-{order}"
    if up or down:
        attributes += format_html(' aria-sort="{}"', "descending" if down else "ascending")
    return format_html(
        '<th scope="col"{}><a class="sort" href="{}{}">{}{}</a></th>',
        attributes, listing_url_with(context["request"], order_by=target, cursor=None),
        f"#{anchor}" if anchor else "", label,
        icons.icon("arrow-down" if down or (desc and not up) else "arrow-up"),
    )  # fmt: skip


@register.simple_tag
def poll(url: str, since: datetime | None = None, when: Any = True) -> SafeString | str:
    """Attributes that make an element with an id refresh itself from ``url`` while ``when`` holds.

    The answer is the element itself, rendered anew: 2 s apart in the first minute after ``since``, 5 s in the
    first ten, then 15 s, and never in a hidden tab. Once the state is terminal the server renders no
    attribute, and the polling ends by itself.
    """
    if not when:
        return ""
    started = (since or timezone.now()).astimezone(UTC).isoformat(timespec="seconds")
    return format_html('data-poll="{}" data-poll-since="{}"', url, started)


# ---- forms -------------------------------------------------------------------------------------------------


@register.filter
def undo(message: Any) -> Undo | None:
    """The way back that a toast of ``foundation.ui.toasts.say_with_undo`` offers."""
    return undo_of(message)


@register.inclusion_tag("components/form_fields.html")
def form_fields(form: Any) -> dict[str, Any]:
    """All fields of a form: errors that concern the whole, then field by field, then the folded rest."""
    return {"view": ui_forms.form_view(form)}


@register.inclusion_tag("components/field.html")
def field(bound: Any) -> dict[str, Any]:
    """One field with label, help and errors."""
    return {"field": ui_forms.field_view(bound)}


# ---- graphics ----------------------------------------------------------------------------------------------


@register.simple_tag
def sparkline(points: Sequence[float | None], identity: Any = None, label: str = "") -> SafeString:
    """A small line of numbers, drawn by the server."""
    css = f"series-{series.series_index(identity)}" if identity else ""
    return graphics.sparkline(points, css=css, label=label)


@register.simple_tag
def bar(share: float | None, tone: str = "", label: str = "") -> SafeString:
    """A bar in a cell for a share of 0 to 1; ``tone`` such as ``amber`` only for a status."""
    return graphics.bar(share, tone=tone, label=label)


@register.simple_tag
def histogram(counts: Sequence[float], labels: Sequence[str] = (), label: str = "") -> SafeString:
    """A small histogram; ``labels`` name the bins in their tooltips."""
    return graphics.histogram(counts, labels=labels, label=label)


@register.simple_tag
def lineage_graph(graph: Any) -> SafeString:
    """A graph (``.nodes``, ``.edges``) as SVG: one column per kind, every node a link."""
    return graphs.draw(graph.nodes, graph.edges)


@register.inclusion_tag("components/progress.html")
def progress(
    step: Any = None,
    total: Any = None,
    message: str = "",
    elapsed: Any = None,
    left: Any = None,
    unit: str = "",
) -> dict[str, Any]:
    """A progress bar: step n/N, elapsed and remaining seconds. Without ``total`` it moves without an end."""
    known = bool(total) and step is not None
    share = max(0.0, min(1.0, float(step) / float(total))) if known else None
    return {
        "step": int(step) if known else step,  # whole steps in words; the bar shows the fraction
        "total": total,
        "share": share,
        "message": message,
        "elapsed": elapsed,
        "left": left,
        "unit": unit,
    }


@register.inclusion_tag("components/chart.html")
def chart(
    figure: Any = None, url: str = "", title: str = "", id: str = "", size: str = "",
    log: bool = False, smooth: bool = False, table: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """A chart from a figure (a Plotly dictionary) or from the URL of one.

    ``size`` is "", "tall" or "short"; ``log`` and ``smooth`` offer a log axis and a smoothing slider; ``table``
    offers the numbers as a table.
    """
    payload = ""
    if figure is not None:
        # As django.utils.html.json_script: nothing inside may end the script element.
        payload = mark_safe(figure_json(figure).translate(_ESCAPES))  # noqa: S308  escaped by the line itself
    name = id or f"chart-{abs(hash((title, url, str(payload)[:500]))) % 10**8:08d}"
    return {
        "name": name,
        "payload": payload,
        "url": url,
        "title": title,
        "size": size,
        "log": log,
        "smooth": smooth,
        "table": table,
    }


# ---- the shell ---------------------------------------------------------------------------------------------


@register.simple_tag
def icon_sprite() -> SafeString:
    """All icons, hidden, once per page."""
    return icons.sprite()


@register.simple_tag
def stylesheets() -> SafeString:
    """The design system's stylesheets in their order."""
    return format_html_join(
        "\n", '<link rel="stylesheet" href="{}">', ((asset(path),) for path in scripts.STYLESHEETS)
    )


@register.simple_tag(takes_context=True)
def script_modules(context: RequestContext) -> SafeString:
    """The import map and the entry module, with the request's nonce."""
    nonce = getattr(context.get("request"), "csp_nonce", "") or ""
    imports = {f"atelier/{name}": asset(f"js/{name}.js") for name in scripts.MODULES}
    imports["plotly-url"] = asset("vendor/plotly.min.js")
    return format_html(
        '<script type="importmap" nonce="{0}">{1}</script>\n<script src="{2}" nonce="{0}" defer></script>\n'
        '<script type="module" src="{3}" nonce="{0}"></script>',
        nonce, mark_safe(json.dumps({"imports": imports})),  # noqa: S308  our own file names
        asset("django_htmx/htmx-2.min.js"), asset("js/app.js"),
    )  # fmt: skip
