"""Keyset pagination for lists: stable under inserts, as quick on page 1,000 as on page 1.

One implementation (REST framework's cursor) serves the API ({"results": [...], "next": URL or null}) and the
HTML lists (Page with next and previous links).
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qs

from django.core.exceptions import ValidationError
from django.db import DataError
from django.db.models import QuerySet
from django.http import HttpRequest
from rest_framework.exceptions import NotFound as DRFNotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from foundation.errors import Invalid

MAX_LIMIT = 500
Item = TypeVar("Item")


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


def limit_of(request: Any, default: int = 50) -> int:
    """?limit= of a REST request. Raises Invalid "list.limit"."""
    raw = request.query_params.get("limit")
    if raw is None:
        return default
    if not raw.isascii() or not raw.isdigit() or len(raw) > 4 or not 1 <= int(raw) <= MAX_LIMIT:
        raise Invalid("list.limit", f"limit is a whole number from 1 to {MAX_LIMIT}.", {"limit": raw[:40]})
    return int(raw)


def bad_cursor() -> Invalid:
    """The error for a cursor that no list has given out."""
    return Invalid("list.cursor", "This cursor is not one that the list has given out.")


def link_to(request: Any, cursor: str) -> str:
    """The request's own address with another cursor."""
    again = request._request.GET.copy()
    again["cursor"] = cursor
    return str(request.build_absolute_uri(f"{request.path}?{again.urlencode()}"))


class KeysetPagination(CursorPagination):
    """?limit= (1 to 500), ?cursor=, ?order_by= as the view's `order_fields` allow."""

    page_size = 50
    page_size_query_param = "limit"
    max_page_size = MAX_LIMIT
    ordering = ("-created_at",)

    def get_page_size(self, request: Any) -> int | None:
        return limit_of(request, self.page_size)

    def get_ordering(self, request: Any, queryset: QuerySet[Any], view: Any) -> tuple[str, ...]:
        allowed = tuple(getattr(view, "order_fields", ("created_at",)))
        default = tuple(getattr(view, "default_order", ("-created_at",)))
        return ordering_of(request.query_params.get("order_by", ""), allowed, default)

    def decode_cursor(self, request: Any) -> Any:
        """REST framework's cursor, but only one that it has made: its own decoder skips what is no base64."""
        given = request.query_params.get(self.cursor_query_param, "")
        try:
            parts = parse_qs(b64decode(given, validate=True).decode("ascii"), keep_blank_values=True)
        except ValueError as error:
            raise bad_cursor() from error
        if given and not parts.keys() & {"p", "o"}:
            raise bad_cursor()
        return super().decode_cursor(request) if given else None

    def paginate_queryset(self, queryset: Any, request: Any, view: Any = None) -> list[Any] | None:
        try:
            return super().paginate_queryset(queryset, request, view)
        except (DRFNotFound, ValidationError, DataError, ValueError) as error:
            if "cursor" not in request.query_params:
                raise
            raise bad_cursor() from error  # also a position that does not fit the column

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"results": data, "next": self.get_next_link()})

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """?limit=, ?cursor= and, where the view's `order_fields` offer any, ?order_by= for OpenAPI."""
        names = [f"{sign}{name}" for name in getattr(view, "order_fields", ()) for sign in ("", "-")]
        limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": self.page_size}
        described = [
            ("limit", limit, "How many at most"),
            ("cursor", {"type": "string"}, "From the answer's next"),
        ]
        if names:
            by = {"type": "string", "enum": names}
            described.append(("order_by", by, "'-' for descending"))
        return [
            {"name": name, "in": "query", "schema": schema, "description": text, "required": False}
            for name, schema, text in described
        ]

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
class Listing(Generic[Item]):
    """A list that is no table (files, plug-ins), in pages by the same manners. `key` is a unique text."""

    items: Sequence[Item]
    key: Callable[[Item], str]

    def answer(self, request: Request, show: Callable[[Item], Any]) -> Response:
        """The page that ?limit= and ?cursor= ask for. Raises Invalid."""
        limit, first, cursor = limit_of(request), 0, request.query_params.get("cursor")
        if cursor:
            keys = [self.key(item) for item in self.items]
            if cursor not in keys:
                raise bad_cursor()
            first = keys.index(cursor) + 1
        shown = self.items[first : first + limit]
        more = first + limit < len(self.items)
        following = link_to(request, self.key(shown[-1])) if more else None
        return Response({"results": [show(item) for item in shown], "next": following})


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
