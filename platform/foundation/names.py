"""Names of things and slugs of projects, checked in one place."""

from __future__ import annotations

import re

from foundation.errors import Invalid

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"
SLUG_PATTERN = r"[a-z0-9](-?[a-z0-9])*"
_NAME = re.compile(NAME_PATTERN)
_SLUG = re.compile(SLUG_PATTERN)
RESERVED_SLUGS = frozenset(
    [
        "account",
        "accounts",
        "admin",
        "all",
        "api",
        "app",
        "assets",
        "auth",
        "default",
        "docs",
        "edit",
        "favicon",
        "healthz",
        "help",
        "home",
        "login",
        "logout",
        "me",
        "metrics",
        "mlflow",
        "new",
        "none",
        "null",
        "p",
        "patterns",
        "project",
        "projects",
        "public",
        "readyz",
        "root",
        "search",
        "serve",
        "settings",
        "signup",
        "static",
        "staff",
        "system",
        "team",
        "teams",
        "test",
        "undefined",
        "user",
        "users",
        "v1",
        "workspace",
        "workspaces",
        "www",
    ]
)


def check_name(text: object, *, field: str = "name") -> str:
    """The name itself when it matches NAME_PATTERN. Raises Invalid "name.invalid" naming the field."""
    if not isinstance(text, str) or not text:
        raise Invalid("name.invalid", f"The {field} is missing.", {"field": field})
    if len(text) > 63:
        raise Invalid(
            "name.invalid", f"The {field} has {len(text)} characters; 63 are allowed.", {"field": field}
        )
    if not _NAME.fullmatch(text):
        raise Invalid(
            "name.invalid",
            f"The {field} may hold letters, digits, '_', '.' and '-', and begins with a letter or digit.",
            {"field": field},
        )
    return text


def check_slug(text: object, *, field: str = "slug") -> str:
    """The slug itself: 2 to 40 of a-z, 0-9 and single hyphens, no reserved word. Raises Invalid "slug.invalid"."""
    if not isinstance(text, str) or not 2 <= len(text) <= 40 or not _SLUG.fullmatch(text):
        raise Invalid(
            "slug.invalid",
            f"The {field} needs 2 to 40 lower-case letters or digits, with single hyphens between them.",
            {"field": field},
        )
    if text in RESERVED_SLUGS:
        raise Invalid(
            "slug.reserved",
            f"'{text}' is a word Atelier keeps for itself; choose another {field}.",
            {"field": field},
        )
    return text


def check_text(text: object, *, field: str, limit: int = 5000) -> str:
    """Free text (a description, a comment): no NUL, at most `limit` characters. None counts as empty."""
    if text is None:
        return ""
    if not isinstance(text, str):
        raise Invalid("text.invalid", f"The {field} must be text.", {"field": field})
    if "\x00" in text:
        raise Invalid("text.invalid", f"The {field} contains a NUL character.", {"field": field})
    if len(text) > limit:
        raise Invalid(
            "text.invalid", f"The {field} has {len(text)} characters; {limit} are allowed.", {"field": field}
        )
    return text
