"""Errors in MLflow's own shape: {"error_code": …, "message": …}, with the studio's statuses."""

from __future__ import annotations

import json
import re

from foundation.errors import AtelierError
from gateway.http import Send, send_bytes

_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    409: "RESOURCE_CONFLICT",
    413: "BAD_REQUEST",
    422: "INVALID_PARAMETER_VALUE",
    429: "REQUEST_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE",
}
# Words of the database driver and of stack traces: never for a client.
_INTERNALS = re.compile(r"psycopg|sqlalchemy|\[SQL:|Traceback|site-packages|File \"/", re.IGNORECASE)
_DRIVER = re.compile(r"\s*Error: \((?:psycopg|sqlite|raised).*", re.DOTALL)
GENERIC = (
    "MLflow could not do this: a value is too long or out of range, or a text holds a character (NUL) that"
    " cannot be stored."
)


class UnknownRoute(AtelierError):
    """No such route in MLflow, or none that the studio knows (404)."""

    status = 404


def body_of(error: AtelierError) -> bytes:
    """The JSON that MLflow's clients turn into an MlflowException."""
    code = (
        "ENDPOINT_NOT_FOUND"
        if isinstance(error, UnknownRoute)
        else _CODES.get(error.status, "INTERNAL_ERROR")
    )
    return json.dumps({"error_code": code, "message": error.message}).encode()


async def send_mlflow_error(send: Send, error: AtelierError) -> None:
    """Answer with an error. 401 names the scheme, 429 and 503 say when to come back."""
    headers: list[tuple[bytes, bytes]] = []
    if error.status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="atelier", Basic realm="atelier"'))
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        headers.append((b"retry-after", str(int(retry_after)).encode()))
    status = 400 if error.status == 422 else error.status
    await send_bytes(send, status, body_of(error), b"application/json", headers)


def clean(status: int, body: bytes) -> bytes:
    """An error body of MLflow without SQL, paths or stack traces, always in MLflow's JSON shape."""
    try:
        content = json.loads(body)
        code = str(content["error_code"])
        message = _DRIVER.sub("", str(content.get("message") or ""))
    except (ValueError, TypeError, KeyError):
        code = _CODES.get(status, "INTERNAL_ERROR" if status >= 500 else "BAD_REQUEST")
        code = "ENDPOINT_NOT_FOUND" if status in (404, 405) else code
        message = "There is no such route in MLflow." if status in (404, 405) else ""
    if _INTERNALS.search(message) or not message:
        message = GENERIC
    return json.dumps({"error_code": code, "message": message}).encode()
