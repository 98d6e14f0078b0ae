"""REST framework's permission of every view: somebody must be there, and a read-only token only reads."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import SAFE_METHODS, BasePermission

from apps.accounts.access import ANONYMOUS, Actor, require_write
from foundation.errors import Unauthenticated


class SignedIn(BasePermission):
    """Somebody must be there; a read-only token may only read."""

    def has_permission(self, request: Any, view: Any) -> bool:
        actor: Actor = getattr(request._request, "actor", ANONYMOUS)
        if not actor.is_authenticated:
            raise Unauthenticated("auth.required", "Sign in or send a token in the Authorization header.")
        if request.method not in SAFE_METHODS and not getattr(view, "reads_by_post", False):
            require_write(actor)
        return True
