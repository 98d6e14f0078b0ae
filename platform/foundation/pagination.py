"""Keyset pagination for lists: stable under inserts, as quick on page 1,000 as on page 1.

One implementation (REST framework's cursor) serves the API ({"results": [...], "next": URL or null}) and the
HTML lists (Page with next and previous links).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from rest_framework.exceptions import NotFound as DRFNotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from foundation.errors import Invalid

MAX_LIMIT = 500


def ordering_of(raw: str, allowed: Sequence[str], default: Sequence[str]) -> tuple[str, ...]:
    """Translate ?order_by=name or -created_at into an ordering, ending in the primary key for ties.

    Raises Invalid "list.order_by" for a field that is not offered.
    """
    chosen = [part.strip() for part in raw.split(",") if part.strip()] if raw else list(default)
    for part in chosen:
        if part.lstrip("-") not in allowed and part not in default:
            raise Invalid(
                "list.order_by",
                f"Lists here can be ordered by {', '.join(allowed)}; '{part.lstrip('-')}' is not one of them.",
                {"allowed": list(allowed)},
            )
    if not any(part.lstrip("-") in {"pk", "id"} for part in chosen):
        chosen.append("-pk" if chosen and chosen[0].startswith("-") else "pk")
    return tuple(chosen)


class KeysetPagination(CursorPagination):
    """?limit= (1 to 500), ?cursor=, ?order_by= as the view's `order_fields` allow."""

    page_size = 50
    page_size_query_param = "limit"
    max_page_size = MAX_LIMIT
    ordering = ("-created_at",)

    def get_page_size(self, request: Any) -> int | None:
        raw = request.query_params.get("limit")
        if raw is None:
            return self.page_size
        if not raw.isascii() or not raw.isdigit() or not 1 <= int(raw) <= MAX_LIMIT:
            raise Invalid(
                "list.limit", f"limit is a whole number from 1 to {MAX_LIMIT}.", {"limit": raw[:40]}
            )
        return int(raw)

    def get_ordering(self, request: Any, queryset: QuerySet[Any], view: Any) -> tuple[str, ...]:
        allowed = tuple(getattr(view, "order_fields", ("created_at",)))
        default = tuple(getattr(view, "default_order", ("-created_at",)))
        return ordering_of(request.query_params.get("order_by", ""), allowed, default)

    def paginate_queryset(self, queryset: Any, request: Any, view: Any = None) -> list[Any] | None:
        try:
            return super().paginate_queryset(queryset, request, view)
        except DRFNotFound as error:
            raise Invalid("list.cursor", "This cursor is not one that the list has given out.") from error

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"results": data, "next": self.get_next_link()})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["results", "next"],
            "properties": {
                "results": schema,
                "next": {"type": ["string", "null"], "format": "uri", "description": "URL of the next page"},
            },
        }


@dataclass(frozen=True)
class Page:
    """One page of an HTML list. next_url and previous_url are None at the ends."""

    items: list[Any]
    next_url: str | None
    previous_url: str | None


@dataclass(frozen=True)
class _Ordered:
    order_fields: tuple[str, ...]
    default_order: tuple[str, ...]


def page_of(
    queryset: QuerySet[Any],
    request: HttpRequest,
    *,
    order_fields: Sequence[str] = ("created_at",),
    default_order: Sequence[str] = ("-created_at",),
    limit: int = 50,
) -> Page:
    """The page of `queryset` that the request's ?cursor= and ?order_by= ask for (an unknown order falls back)."""
    paginator = KeysetPagination()
    paginator.page_size = limit
    view = _Ordered(tuple(order_fields), tuple(default_order))
    try:
        items = paginator.paginate_queryset(queryset, Request(request), view=view)
    except Invalid:
        kept = request.GET.copy()
        for key in ("cursor", "order_by", "limit"):
            kept.pop(key, None)
        request.GET = kept  # type: ignore[assignment]  # Django leaves it assignable
        paginator = KeysetPagination()
        paginator.page_size = limit
        items = paginator.paginate_queryset(queryset, Request(request), view=view)
    return Page(list(items or []), paginator.get_next_link(), paginator.get_previous_link())
