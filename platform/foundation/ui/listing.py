"""List pages: sort, filter and page live in the URL; the work is done in the database.

Pages are cut by keyset (the order's value and the primary key of the last row), so page 2,000 is as quick as
page 1, and rows that arrive meanwhile do not shift what one reads.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import F, Model, Q, QuerySet
from django.http import HttpRequest

PAGE_SIZE = 50
#: parameters of the URL that are not filters
_FRAME = frozenset({"order_by", "cursor", "columns"})


@dataclass(frozen=True)
class Listing:
    """One page of rows and the links around it.

    ``order_by`` is the order in force (``name`` or ``-name``); ``filtered`` says whether any filter is set, so
    that an empty page knows whether to say "nothing yet" or "nothing matches"; ``total`` is filled only where
    the caller counted.
    """

    rows: Sequence[Any]
    order_by: str
    filtered: bool
    next_url: str | None
    first_url: str | None
    clear_url: str
    total: int | None = None

    def __len__(self) -> int:
        return len(self.rows)


def url_with(request: HttpRequest, **changes: Any) -> str:
    """The request's own URL with some parameters replaced; ``None`` removes one.

    In a part that refreshed itself it leads to the whole page, unless ``fragment`` is among the changes.
    """
    parameters = request.GET.copy()
    parameters.pop("fragment", None)
    for key, value in changes.items():
        if value is None or value == "":
            parameters.pop(key, None)
        else:
            parameters[key] = str(value)
    query = parameters.urlencode()
    return f"{request.path}?{query}" if query else request.path


def list_page(
    request: HttpRequest,
    rows: QuerySet[Any],
    *,
    orders: Mapping[str, str],
    default: str,
    limit: int = PAGE_SIZE,
    total: int | None = None,
) -> Listing:
    """Cut one page of ``rows`` in the order that the URL asks for.

    ``orders`` maps the word in the URL to a field or annotation (``{"name": "name", "age": "created_at"}``);
    ``default`` is such a word, with ``-`` for descending. An unknown order or a damaged cursor falls back to
    the default order and the first page: an old bookmark must not be an error page. Nulls come last.
    """
    wanted = request.GET.get("order_by", default)
    if wanted.lstrip("-") not in orders:
        wanted = default
    descending = wanted.startswith("-")
    field = orders[wanted.lstrip("-")]
    # NULLS LAST keeps PostgreSQL from walking a plain descending index: only where there may be nulls.
    last = True if _may_be_null(rows.model, field) else None
    ordering = F(field).desc(nulls_last=last) if descending else F(field).asc(nulls_last=last)
    page = rows.order_by(ordering, "-pk" if descending else "pk")
    cursor = _decode(request.GET.get("cursor", ""))
    if cursor is not None:
        page = page.filter(_after(field, cursor[0], cursor[1], descending, nulls=last is not None))
    found: list[Any] = list(page[: limit + 1])
    more = len(found) > limit
    found = found[:limit]
    next_url = url_with(request, cursor=_encode(_value(found[-1], field), found[-1])) if more else None
    return Listing(
        rows=found,
        order_by=wanted,
        filtered=any(value for key, value in request.GET.items() if key not in _FRAME),
        next_url=next_url,
        first_url=url_with(request, cursor=None) if cursor is not None else None,
        clear_url=request.path,
        total=total,
    )


def _may_be_null(model: type[Model], field: str) -> bool:
    """Whether an order can meet nulls; annotations and fields of relations are taken to."""
    try:
        found = model._meta.get_field(field)
    except FieldDoesNotExist:
        return True
    return bool(getattr(found, "null", True))


def _after(field: str, value: Any, key: str, descending: bool, *, nulls: bool) -> Q:
    """Rows behind (value, key). The first condition is implied by the others: an index can begin there."""
    step = "lt" if descending else "gt"
    if value is None:
        return Q(**{f"{field}__isnull": True, f"pk__{step}": key})
    behind = Q(**{f"{field}__{step}e": value}) & (
        Q(**{f"{field}__{step}": value}) | Q(**{field: value, f"pk__{step}": key})
    )
    return behind | Q(**{f"{field}__isnull": True}) if nulls else behind


def _value(row: Any, field: str) -> Any:
    for part in field.split("__"):
        row = row[part] if isinstance(row, dict) else getattr(row, part, None)
    return row


def _encode(value: Any, row: Any) -> str:
    if isinstance(value, (datetime, date)):
        value = value.isoformat()
    elif value is not None and not isinstance(value, (str, int, float)):
        value = str(value)
    key = str(row.pk if isinstance(row, Model) else row["pk"])
    return base64.urlsafe_b64encode(json.dumps([value, key]).encode()).decode().rstrip("=")


def _decode(cursor: str) -> tuple[Any, str] | None:
    if not cursor:
        return None
    try:
        value, key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError):
        return None
    if not isinstance(key, str) or isinstance(value, (dict, list)):
        return None
    return value, key
