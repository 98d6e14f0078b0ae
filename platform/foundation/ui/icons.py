"""The icon set: own drawings on a 16 × 16 grid, stroked with the text's colour.

The whole set is put into each page once as a hidden sprite, so that an icon costs one ``<use>`` and never
loads late.
"""

from __future__ import annotations

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

ICONS: dict[str, str] = {
    # brand and navigation
    "atelier": '<path d="M3 14 8 2l5 12"/><path d="M1.5 9.5h13"/><path d="M8 9.5V14"/>',
    "home": '<path d="M2.5 7.5 8 3l5.5 4.5V13a.5.5 0 0 1-.5.5H3a.5.5 0 0 1-.5-.5z"/><path d="M6.5 13.5V9.5h3v4"/>',
    "dataset": '<ellipse cx="8" cy="3.75" rx="5.25" ry="2"/><path d="M2.75 3.75v8.5c0 1.1 2.35 2 5.25 2s5.25-.9 5.25-2v-8.5"/><path d="M2.75 8c0 1.1 2.35 2 5.25 2s5.25-.9 5.25-2"/>',
    "experiment": '<path d="M6 1.75h4"/><path d="M6.75 1.75v4.5L2.6 12.6a1.1 1.1 0 0 0 .95 1.65h8.9a1.1 1.1 0 0 0 .95-1.65L9.25 6.25v-4.5"/><path d="M4.6 9.75h6.8"/>',
    "study": '<circle cx="8" cy="8" r="5.25"/><circle cx="8" cy="8" r="1.75"/><path d="M8 1v2.75M8 12.25V15M1 8h2.75M12.25 8H15"/>',
    "run": '<circle cx="8" cy="8" r="6.25"/><path d="M6.75 5.5v5l4-2.5z"/>',
    "model": '<path d="m8 1.75 5.5 3.1v6.3L8 14.25l-5.5-3.1v-6.3z"/><path d="M2.6 5 8 8l5.4-3"/><path d="M8 8v6"/>',
    "deployment": '<path d="M8 14V6.5"/><path d="M5.25 9 8 6.25 10.75 9"/><path d="M4.5 11.5a3.25 3.25 0 0 1-.6-6.44 4.25 4.25 0 0 1 8.2 0 3.25 3.25 0 0 1-.6 6.44"/>',
    "job": '<rect x="2" y="2.5" width="12" height="4" rx="1"/><rect x="2" y="9.5" width="12" height="4" rx="1"/><path d="M4.5 4.5h.01M4.5 11.5h.01"/>',
    "worker": '<rect x="2" y="2.5" width="12" height="4.75" rx="1"/><rect x="2" y="8.75" width="12" height="4.75" rx="1"/><path d="M4.75 4.9h.01M4.75 11.1h.01M8 4.9h3.5M8 11.1h3.5"/>',
    "environment": '<path d="M2 5.25 8 2l6 3.25v5.5L8 14l-6-3.25z"/><path d="M5 3.75 11 7v3"/><path d="M2 5.25 8 8.5l6-3.25"/>',
    "monitor": '<path d="M1.5 8.5h2.75L6.25 3l3.5 10 2-4.5h2.75"/>',
    "pipeline": '<rect x="1.5" y="2" width="5" height="4" rx="1"/><rect x="9.5" y="10" width="5" height="4" rx="1"/><path d="M4 6v4.5A1.5 1.5 0 0 0 5.5 12h4"/>',
    "settings": '<path d="M2 4.5h7M12.5 4.5H14M2 11.5h1.5M7 11.5h7"/><circle cx="10.75" cy="4.5" r="1.75"/><circle cx="5.25" cy="11.5" r="1.75"/>',
    "team": '<circle cx="6" cy="5.25" r="2.5"/><path d="M1.5 13.5c0-2.5 2-4 4.5-4s4.5 1.5 4.5 4"/><path d="M10.5 3a2.4 2.4 0 0 1 0 4.5M12 9.9c1.5.5 2.5 1.8 2.5 3.6"/>',
    "user": '<circle cx="8" cy="5.25" r="2.75"/><path d="M2.75 14c0-2.75 2.25-4.5 5.25-4.5s5.25 1.75 5.25 4.5"/>',
    "key": '<circle cx="5" cy="11" r="2.75"/><path d="m7 9 6-6M10.5 5.5l2 2"/>',
    "condition": '<path d="M8 1.5 14.5 8 8 14.5 1.5 8z"/><path d="M6.4 6.4a1.6 1.6 0 1 1 2.3 1.5c-.5.25-.7.5-.7 1M8 10.9h.01"/>',
    "promote": '<path d="M8 13.5V3M4.25 6.5 8 2.75l3.75 3.75M3 13.75h10"/>',
    "alias": '<path d="M8.5 2H13a1 1 0 0 1 1 1v4.5L7.75 13.7a1 1 0 0 1-1.4 0L2.3 9.65a1 1 0 0 1 0-1.4z"/><path d="M11 5h.01"/>',
    # actions
    "plus": '<path d="M8 3v10M3 8h10"/>',
    "x": '<path d="m4 4 8 8M12 4l-8 8"/>',
    "check": '<path d="m3 8.5 3.25 3.25L13 5"/>',
    "copy": '<rect x="5.5" y="5.5" width="8" height="8" rx="1.5"/><path d="M3.5 10.5A1 1 0 0 1 2.5 9.5v-6a1 1 0 0 1 1-1h6a1 1 0 0 1 1 1"/>',
    "search": '<circle cx="7" cy="7" r="4.25"/><path d="m10.25 10.25 3.5 3.5"/>',
    "filter": '<path d="M2 4h12M4.5 8h7M6.75 12h2.5"/>',
    "download": '<path d="M8 2v8.5M4.75 7.5 8 10.75l3.25-3.25M2.5 13.75h11"/>',
    "upload": '<path d="M8 10.75V2.5M4.75 5.5 8 2.25 11.25 5.5M2.5 13.75h11"/>',
    "trash": '<path d="M2.5 4h11M6 4V2.5h4V4M4 4l.6 9a1 1 0 0 0 1 .9h4.8a1 1 0 0 0 1-.9L12 4"/>',
    "restore": '<path d="M2.5 7.5a5.75 5.75 0 1 1 1.4 4.4"/><path d="M2.25 3.5v4h4"/>',
    "refresh": '<path d="M13.5 8a5.5 5.5 0 1 1-1.6-3.9L13.5 5.7"/><path d="M13.5 2.25V5.7H10"/>',
    "play": '<path d="M5 3v10l8-5z"/>',
    "stop": '<rect x="4" y="4" width="8" height="8" rx="1"/>',
    "edit": '<path d="m10.5 3 2.5 2.5L5.5 13H3v-2.5z"/>',
    "external": '<path d="M9.5 2.5h4v4M13.5 2.5 7.5 8.5M11.5 9v3.5a1 1 0 0 1-1 1h-7a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1H7"/>',
    "more": '<path d="M3.5 8h.01M8 8h.01M12.5 8h.01" stroke-width="2.25"/>',
    "menu": '<path d="M2.5 4.5h11M2.5 8h11M2.5 11.5h11"/>',
    "sidebar": '<rect x="2" y="2.5" width="12" height="11" rx="1.5"/><path d="M6 2.5v11"/>',
    "keyboard": '<rect x="1.5" y="4" width="13" height="8.5" rx="1.5"/><path d="M4 6.75h.01M6.67 6.75h.01M9.33 6.75h.01M12 6.75h.01M5 10h6"/>',
    "logout": '<path d="M6 2.5H3.5a1 1 0 0 0-1 1v9a1 1 0 0 0 1 1H6M6.5 8h7M10.75 5.25 13.5 8l-2.75 2.75"/>',
    "sun": '<circle cx="8" cy="8" r="2.75"/><path d="M8 1.5v1M8 13.5v1M1.5 8h1M13.5 8h1M3.4 3.4l.7.7M11.9 11.9l.7.7M3.4 12.6l.7-.7M11.9 4.1l.7-.7"/>',
    "moon": '<path d="M13.5 9.5A5.75 5.75 0 0 1 6.5 2.5a5.75 5.75 0 1 0 7 7z"/>',
    "system": '<rect x="2" y="2.5" width="12" height="8.5" rx="1"/><path d="M5.5 13.75h5M8 11v2.75"/>',
    "chevron-down": '<path d="m4 6.25 4 4 4-4"/>',
    "chevron-right": '<path d="m6.25 4 4 4-4 4"/>',
    "chevrons": '<path d="M5 6.25 8 3.25l3 3M5 9.75l3 3 3-3"/>',
    "arrow-right": '<path d="M2.5 8h11M9.5 4l4 4-4 4"/>',
    "arrow-up": '<path d="M8 13V3M4 7l4-4 4 4"/>',
    "arrow-down": '<path d="M8 3v10M4 9l4 4 4-4"/>',
    # things
    "file": '<path d="M9 1.75H4a1 1 0 0 0-1 1v10.5a1 1 0 0 0 1 1h8a1 1 0 0 0 1-1V5.75z"/><path d="M9 1.75v4h4"/>',
    "folder": '<path d="M1.75 4a1 1 0 0 1 1-1H6l1.5 1.75h5.75a1 1 0 0 1 1 1V12a1 1 0 0 1-1 1H2.75a1 1 0 0 1-1-1z"/>',
    "table": '<rect x="2" y="2.5" width="12" height="11" rx="1"/><path d="M2 6.25h12M2 9.9h12M6.5 6.25v7.25"/>',
    "chart": '<path d="M2.5 2v11.5H14"/><path d="m4.75 10 2.75-3.5 2.5 2L13.5 4"/>',
    "log": '<path d="M3 3.5h10M3 6.5h7M3 9.5h10M3 12.5h5"/>',
    "lineage": '<circle cx="3.5" cy="8" r="1.75"/><circle cx="12.5" cy="3.75" r="1.75"/><circle cx="12.5" cy="12.25" r="1.75"/><path d="M5.25 8h1.5c2 0 1.5-4.25 4-4.25M6.75 8c2 0 1.5 4.25 4 4.25"/>',
    "code": '<path d="M5.5 4.5 2 8l3.5 3.5M10.5 4.5 14 8l-3.5 3.5"/>',
    "clock": '<circle cx="8" cy="8" r="6.25"/><path d="M8 4.5V8l2.25 1.75"/>',
    "info": '<circle cx="8" cy="8" r="6.25"/><path d="M8 7.25v4M8 4.75h.01"/>',
    "warning": '<path d="M8 2 14.5 13.5h-13z"/><path d="M8 6.5v3.25M8 11.75h.01"/>',
    "lock": '<rect x="3" y="7" width="10" height="6.75" rx="1.25"/><path d="M5 7V5a3 3 0 0 1 6 0v2"/>',
    "bell": '<path d="M4 7a4 4 0 0 1 8 0c0 3.5 1.5 4.5 1.5 4.5h-11S4 10.5 4 7z"/><path d="M6.5 13.75a1.6 1.6 0 0 0 3 0"/>',
    # states
    "s-waiting": '<circle cx="8" cy="8" r="5.75" stroke-dasharray="2.2 2.3"/>',
    "s-ring": '<circle cx="8" cy="8" r="5.75"/>',
    "s-checking": '<circle cx="8" cy="8" r="5.75"/><path d="M8 4.75V8l2 1.5"/>',
    "s-live": '<circle class="core" cx="8" cy="8" r="2.5"/><circle class="orbit" cx="8" cy="8" r="5.75"/>',
    "s-done": '<circle cx="8" cy="8" r="5.75"/><path d="m5.5 8.25 1.75 1.75 3.25-3.5"/>',
    "s-failed": '<circle cx="8" cy="8" r="5.75"/><path d="m6 6 4 4M10 6l-4 4"/>',
    "s-refused": '<path d="M8 1.75 13 3.5v4c0 3.25-2 5.5-5 6.75-3-1.25-5-3.5-5-6.75v-4z"/><path d="m6.25 6.25 3.5 3.5M9.75 6.25l-3.5 3.5"/>',
    "s-timeout": '<path d="M4.5 2h7M4.5 14h7M5.25 2c0 3.25 2.75 4 2.75 6s-2.75 2.75-2.75 6M10.75 2c0 3.25-2.75 4-2.75 6s2.75 2.75 2.75 6"/>',
    "s-errored": '<path d="M5.5 2.25h5L13.75 5.5v5l-3.25 3.25h-5L2.25 10.5v-5z"/><path d="M8 5v3.5M8 10.75h.01"/>',
    "s-cancelled": '<circle cx="8" cy="8" r="5.75"/><path d="m4 12 8-8"/>',
    "s-rejected": '<circle cx="8" cy="8" r="5.75"/><path d="M5.25 8h5.5"/>',
    "s-stopped": '<circle cx="8" cy="8" r="5.75"/><rect x="6" y="6" width="4" height="4" rx=".5"/>',
    "s-hand": '<circle cx="8" cy="8" r="5.75"/><path d="M6.5 5.75v4.5M9.5 5.75v4.5"/>',
    "s-degraded": '<path d="M8 2.25 14 13H2z"/><path d="M8 6.25v3M8 11.25h.01"/>',
}

#: kinds of objects, as lineage names them, and the icon that stands for each
KINDS: dict[str, str] = {
    "dataset": "dataset",
    "dataset_version": "dataset",
    "experiment": "experiment",
    "run": "run",
    "study": "study",
    "model": "model",
    "model_version": "model",
    "deployment": "deployment",
    "environment": "environment",
    "monitor": "monitor",
    "pipeline": "pipeline",
    "pipeline_run": "pipeline",
    "schedule": "clock",
    "project": "settings",
    "job": "job",
}


def icon(name: str, css: str = "", label: str = "") -> SafeString:
    """One icon as ``<svg><use></svg>``.

    ``label`` gives it a spoken name; without one it is decoration, hidden from screen readers. An unknown
    name raises ``KeyError``: a page must not lose an icon silently.
    """
    if name not in ICONS:
        raise KeyError(f"There is no icon named {name!r}; see foundation/ui/icons.py.")
    classes = f"icon {css}".strip()
    if name == "s-live":
        classes += " live-dot"
        # CSS cannot reach through <use>, so the moving dot is drawn in place.
        inner: SafeString = mark_safe(ICONS[name])  # noqa: S308  our own drawing
    else:
        inner = format_html('<use href="#i-{}"/>', name)
    if label:
        return format_html(
            '<svg class="{}" viewBox="0 0 16 16" role="img" aria-label="{}">{}</svg>', classes, label, inner
        )
    return format_html('<svg class="{}" viewBox="0 0 16 16" aria-hidden="true">{}</svg>', classes, inner)


def sprite() -> SafeString:
    """All icons as hidden ``<symbol>`` elements, rendered once per page by templates/base.html."""
    symbols = "".join(
        f'<symbol id="i-{name}" viewBox="0 0 16 16">{body}</symbol>' for name, body in ICONS.items()
    )
    return mark_safe(f'<svg class="sprite" aria-hidden="true" focusable="false">{symbols}</svg>')  # noqa: S308
