"""The received file of a request, wherever it came through: other apps' uploads use this too."""

from __future__ import annotations

from typing import Any

from adapters.storage.staging import StagedFile, stage
from foundation.errors import Invalid

# Without the gateway in front (tests, a bare Django server) Django itself has received the file.
DIRECT_LIMIT = 512 * 1024 * 1024


def staged_file(request: Any, name: str = "file") -> StagedFile:
    """The file that the request carries as the part `name` (Django's request or REST framework's).

    It is removed when the request ends unless an action has claimed it (moved it into the store).
    Raises Invalid "upload.no_file" when there is none.
    """
    inner = getattr(request, "_request", request)
    staged = (getattr(inner, "scope", None) or {}).get("atelier.staged", {}).get(name)
    if isinstance(staged, StagedFile):
        return staged
    uploaded = inner.FILES.get(name)
    if uploaded is None:
        raise Invalid(
            "upload.no_file",
            f"Send the file as the part '{name}' of a multipart form, or as the body with the header X-Filename.",
            {"field": name},
        )
    actor = inner.actor
    return stage(
        uploaded.chunks(),
        filename=uploaded.name or "",
        project_id=inner.project.pk if getattr(inner, "project", None) else actor.project_id,
        user_id=actor.user.pk if actor.user else None,
        limit=DIRECT_LIMIT,
    )
