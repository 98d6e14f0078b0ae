"""The REST API's manners: one error shape, optional trailing slash, ETag and If-Match."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, TooManyFieldsSent
from django.db import DatabaseError, DataError, InterfaceError, OperationalError, transaction
from django.http import Http404, HttpRequest, JsonResponse
from django.urls import URLPattern, re_path
from rest_framework import exceptions as drf
from rest_framework.parsers import JSONParser
from rest_framework.response import Response

from foundation import errors

logger = logging.getLogger(__name__)


def api_path(route: str, view: Callable[..., Any], *, name: str) -> URLPattern:
    """A path whose trailing slash is optional. `route` is a regular expression without anchors,
    e.g. r"datasets/(?P<name>[^/]+)/versions"."""
    return re_path(rf"^{route}/?$", view, name=name)


def read_fields(request: Any, allowed: tuple[str, ...], required: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of a JSON body that was parsed already, those of `allowed` that are there.

    Raises Invalid "request.invalid" when it is no object, "request.unknown_field" for a name that is not
    `allowed`, "request.missing_field" when a `required` one is absent, null or empty.
    """
    data = request.data
    if not isinstance(data, dict):
        raise errors.Invalid("request.invalid", "The body must be a JSON object.", {"field": "body"})
    check_fields(data, allowed)
    for name in required:
        if data.get(name) in (None, ""):
            raise errors.Invalid("request.missing_field", f"The field '{name}' is missing.", {"field": name})
    return {name: data[name] for name in allowed if name in data}


def check_fields(names: Iterable[Any], allowed: Sequence[str]) -> None:
    """Raises Invalid "request.unknown_field" for the first name that is not `allowed`."""
    for name in names:
        if name not in allowed:
            shown = str(name)[:60]
            raise errors.Invalid(
                "request.unknown_field",
                f"There is no field '{shown}' here; there are: {', '.join(allowed)}.",
                {"field": shown},
            )


def _flatten(detail: Any, path: str = "") -> dict[str, Any]:
    """REST framework's nested validation messages as {"field.path": ["sentence", ...]}."""
    if isinstance(detail, dict):
        out: dict[str, Any] = {}
        for key, value in detail.items():
            out.update(_flatten(value, f"{path}.{key}" if path else str(key)))
        return out
    if isinstance(detail, list):
        if all(not isinstance(item, dict | list) for item in detail):
            return {path or "body": [str(item) for item in detail]}
        out = {}
        for index, item in enumerate(detail):
            if item:
                out.update(_flatten(item, f"{path}.{index}" if path else str(index)))
        return out
    return {path or "body": [str(detail)]}


def as_atelier_error(error: Exception) -> errors.AtelierError | None:
    """The typed error that stands for an exception of Django or REST framework, or None (our bug)."""
    if isinstance(error, errors.AtelierError):
        return error
    if isinstance(error, drf.ValidationError):
        fields = _flatten(error.detail)
        field, messages = next(iter(fields.items()))
        sentence = messages[0] if field in ("body", "non_field_errors") else f"{field}: {messages[0]}"
        return errors.Invalid("request.invalid", sentence, {"fields": fields})
    if isinstance(error, drf.ParseError):
        return errors.Malformed(
            "request.malformed", f"The body cannot be read: {str(error.detail).rstrip('.')}."
        )
    if isinstance(error, drf.NotAuthenticated | drf.AuthenticationFailed):
        return errors.Unauthenticated("auth.required", str(error.detail))
    if isinstance(error, Http404 | drf.NotFound):
        return errors.NotFound("not_found", "There is nothing at this address, or it is not yours.")
    if isinstance(error, PermissionDenied | drf.PermissionDenied):
        return errors.Forbidden("forbidden", "You may see this, but not do that.")
    if isinstance(error, drf.MethodNotAllowed):
        found = errors.AtelierError("method.not_allowed", str(error.detail))
        found.status = 405
        return found
    if isinstance(error, drf.UnsupportedMediaType):
        found = errors.AtelierError("request.media_type", str(error.detail))
        found.status = 415
        return found
    if isinstance(error, drf.NotAcceptable):
        found = errors.AtelierError("request.not_acceptable", str(error.detail))
        found.status = 406
        return found
    if isinstance(error, drf.Throttled):
        wait = int(getattr(error, "wait", None) or 60)
        return errors.TooMany("rate.limited", f"Too many requests; try again in {wait} s.", retry_after=wait)
    if isinstance(error, RequestDataTooBig | TooManyFieldsSent):
        return errors.TooLarge("request.too_large", "The request body is larger than this address accepts.")
    if isinstance(error, OperationalError | InterfaceError):
        return errors.Unavailable(
            "database.unavailable", "The database does not answer right now; try again in a moment."
        )
    if isinstance(error, DatabaseError | ValueError) and "NUL" in str(error):
        return errors.Invalid("text.invalid", "The request contains a NUL character, which cannot be stored.")
    if isinstance(error, UnicodeEncodeError) or (isinstance(error, DataError) and "Unicode" in str(error)):
        return errors.Invalid(
            "text.invalid", "The request contains half a character, which cannot be stored."
        )
    return None


class JsonParser(JSONParser):
    """REST framework's, with a sentence for a body that is nested beyond all reason."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError as error:
            raise drf.ParseError("it is nested too deeply") from error


def request_id_of(request: Any) -> str:
    """The id under which this request is found in the logs."""
    return str(
        getattr(request, "request_id", "") or getattr(getattr(request, "_request", None), "request_id", "")
    )


def error_headers(error: errors.AtelierError) -> dict[str, str]:
    """Headers that go with an error: Retry-After for 429 and 503, WWW-Authenticate for 401."""
    headers: dict[str, str] = {}
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="atelier"'
    return headers


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """REST framework's handler: every failure leaves in the one error shape; a bug is logged with its id."""
    request = context.get("request")
    request_id = request_id_of(request)
    found = as_atelier_error(error)
    if found is None:
        logger.exception("request %s failed", request_id, exc_info=error)
        found = errors.AtelierError(
            "internal", "Something went wrong on our side; the reference id finds it in the logs."
        )
    for connection in _open_connections():
        if connection.in_atomic_block and connection.settings_dict["ATOMIC_REQUESTS"]:
            transaction.set_rollback(True, using=connection.alias)
    return Response(found.as_dict(request_id), status=found.status, headers=error_headers(found))


def _open_connections() -> list[Any]:
    from django.db import connections

    return list(connections.all(initialized_only=True))


def json_error(request: HttpRequest, error: errors.AtelierError) -> JsonResponse:
    """The error shape for code outside REST framework."""
    return JsonResponse(
        error.as_dict(request_id_of(request)), status=error.status, headers=error_headers(error)
    )


def etag_of(*parts: object) -> str:
    """A strong ETag over the parts (typically id and updated_at)."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:24]
    return f'"{digest}"'


def check_if_match(request: Any, etag: str) -> None:
    """Raises Conflict "stale" when the request carries an If-Match that is neither * nor the present ETag."""
    header = request.headers.get("If-Match")
    if header is None or header.strip() == "*":
        return
    wanted = {part.strip().removeprefix("W/") for part in header.split(",")}
    if etag not in wanted:
        raise errors.Conflict(
            "stale",
            "This object has changed since you read it; fetch it again and repeat the change.",
            {"etag": etag},
        )


@contextmanager
def unchanged(request: Any, row: Any, etag: Callable[[Any], str]) -> Iterator[None]:
    """Lock a model's row for a change, and read it anew: of two changes with the same If-Match one is stale.

    `etag` makes the row's ETag. Raises Conflict "stale".
    """
    with transaction.atomic():
        row.refresh_from_db(from_queryset=type(row)._base_manager.select_for_update())
        check_if_match(request, etag(row))
        yield
