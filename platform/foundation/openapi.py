"""The OpenAPI document says what the API really does: pages of lists, the one error shape, If-Match, no slashes.

`StudioSchema` describes every view without its help: a view with `order_fields` answers its list in pages, every
PATCH takes If-Match, every answer may be the error shape.
"""

from __future__ import annotations

import re
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiParameter

from foundation.pagination import KeysetPagination

ERROR_SHAPE = {
    "type": "object",
    "description": "The one shape of every error.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "detail", "request_id"],
            "properties": {
                "code": {"type": "string", "description": "Stable, for programs: area.what"},
                "message": {"type": "string", "description": "A sentence for a person"},
                "detail": {"type": "object", "additionalProperties": True},
                "request_id": {"type": "string", "description": "Finds the request in the logs"},
            },
        }
    },
}
WORDS = re.compile(r"\w+(\|\w+)+")
IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="The ETag of the last GET; a stale one is a 409"
)

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description=(
        "Of your choice, 1 to 255 characters: repeated within 24 hours, the request is done once and answered alike "
        "(another body is a 422, one that is still being worked on a 409)"
    ),
)


class StudioSchema(AutoSchema):  # type: ignore[misc]  # untyped
    """Describes the manners that all views share."""

    def _get_paginator(self) -> Any:
        return KeysetPagination() if hasattr(self.view, "order_fields") else None

    def get_override_parameters(self) -> list[Any]:
        """If-Match on every PATCH, Idempotency-Key on every POST that changes something."""
        if self.method == "POST" and not getattr(self.view, "reads_by_post", False):
            return [IDEMPOTENCY_KEY]
        return [IF_MATCH] if self.method == "PATCH" else []

    def get_tags(self) -> list[str]:
        """The kind of object that an address is about: what follows /projects/{project}/, else the first word."""
        words = [word for word in self.path.strip("/").split("/")[2:] if not word.startswith("{")]
        return [words[1] if words[0] == "projects" and len(words) > 1 and words[1] != "restore" else words[0]]

    def get_summary(self) -> str:
        """What the page of documentation shows beside an address: the first sentence of the description."""
        given = super().get_summary()
        return str(given or self.get_description().split("\n")[0].split(". ")[0].rstrip("."))

    def get_serializer_name(self, serializer: Any, direction: Any) -> str:
        """The class's name without the words that only tell our classes apart."""
        return str(super().get_serializer_name(serializer, direction)).removesuffix("Shape")

    def _resolve_path_parameters(self, variables: list[str]) -> Any:
        parameters = super()._resolve_path_parameters(variables)  # type: ignore[no-untyped-call]
        for parameter in parameters:
            words = parameter["schema"].get("pattern", "").strip("^$")
            if WORDS.fullmatch(words):
                parameter["schema"] = {"type": "string", "enum": words.split("|")}
        return parameters

    def _get_response_bodies(self, direction: Any = "response") -> Any:
        error = ResolvedComponent(  # type: ignore[no-untyped-call]
            name="Error", type=ResolvedComponent.SCHEMA, object="foundation.error", schema=ERROR_SHAPE
        )
        self.registry.register_on_missing(error)
        return {
            **super()._get_response_bodies(direction),
            "default": {
                "description": "Any refusal or failure",
                "content": {"application/json": {"schema": error.ref}},
            },
        }


def without_trailing_slash(endpoints: list[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """drf-spectacular's hook: the slash is optional, so the document shows the addresses without."""
    return [(path.rstrip("/"), regex, method, callback) for path, regex, method, callback in endpoints]
