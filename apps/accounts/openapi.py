"""How a caller says who it is, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[misc, no-untyped-call]  # untyped
    """A token, as Bearer or as the password of HTTP Basic."""

    target_class = "apps.accounts.authentication.TokenAuthentication"
    name = ["token", "basic"]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        """Either of the two."""
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        """In the order of `name`."""
        return [
            {"type": "http", "scheme": "bearer", "description": "Authorization: Bearer atl_…"},
            {"type": "http", "scheme": "basic", "description": "Any user name, the token as password"},
        ]


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[misc, no-untyped-call]  # untyped
    """The browser's session; changes need its CSRF token in X-CSRFToken."""

    target_class = "apps.accounts.authentication.BrowserAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """A cookie, whose name holds the studio's port."""
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}
