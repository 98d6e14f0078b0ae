"""What a page loads: stylesheets in their order, and our ES modules by name.

Modules import each other by the names of the import map (``atelier/poll``), so that the hashed file names of
static files work without a build step.
"""

from __future__ import annotations

STYLESHEETS = (
    "css/tokens.css",
    "css/base.css",
    "css/layout.css",
    "css/components.css",
    "css/tables.css",
    "css/forms.css",
    "css/charts.css",
    "css/pipelines.css",
    "css/code.css",
)
MODULES = (
    "charts",
    "copy",
    "dialogs",
    "editor",
    "forms",
    "keyboard",
    "lines",
    "logs",
    "morph",
    "poll",
    "search",
    "tables",
    "theme",
    "times",
    "toasts",
    "upload",
)
