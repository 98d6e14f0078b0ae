"""Is the process alive, and is every component usable?"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from foundation.api import json_error
from foundation.errors import AtelierError, NotFound

ANSWER_WITHIN = 2.0  # seconds
UNKNOWN = "unknown while the database is away"


def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers: nothing else is asked."""
    return HttpResponse("ok\n", content_type="text/plain")


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    return "ready"


def _broker() -> str:
    import redis

    client = redis.Redis.from_url(settings.CONFIG.redis_url, socket_timeout=1, socket_connect_timeout=1)
    try:
        client.ping()
    finally:
        client.close()
    return "ready"


def _socket(name: str) -> str:
    path = settings.CONFIG.sockets.get(name)
    if not path:
        return "not started"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(ANSWER_WITHIN)
        probe.connect(path)
        probe.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = probe.recv(12)  # a process that hangs accepts connections, but answers nothing
    return "ready" if answer.endswith(b" 200") else "answers with an error"


def _tracking() -> str:
    """MLflow answers, and its tables are those that our SQL knows."""
    from adapters.tracking import get_tracking

    state = _socket("tracking")
    if state == "ready":
        get_tracking().check_revision()
    return state


def _beating(kind: str) -> str:
    from apps.jobs.queries import process_state

    return process_state(kind)


def component_states() -> dict[str, str]:
    """Component → "ready", or a word that says what is missing. Never raises. What only the database knows is not
    asked of one that is away: each question would wait for it anew."""
    states = {"database": _asked(_database), "broker": _asked(_broker)}
    known = states["database"] == "ready"
    states["tracking"] = _asked(_tracking if known else partial(_socket, "tracking"))
    for kind in ("worker", "scheduler", "serving"):
        states[kind] = _asked(partial(_beating, kind)) if known else UNKNOWN
    return states


def _asked(probe: Callable[[], str]) -> str:
    try:
        return probe()
    except AtelierError as error:
        return error.message
    except Exception as error:
        return f"unreachable ({type(error).__name__})"


def readyz(request: HttpRequest) -> HttpResponse:
    """200 only when every component is usable; always the JSON component → state."""
    states = component_states()
    ready = all(state == "ready" for state in states.values())
    response = JsonResponse(
        {"state": "ready" if ready else "starting", "components": states}, status=200 if ready else 503
    )
    if not ready:
        response.headers["Retry-After"] = "2"
        # Expected while starting, so not an error in the log (read by django.utils.log.log_response).
        response._has_been_logged = True  # type: ignore[attr-defined]
    return response


@csrf_exempt
def api_not_found(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    """Every unknown address under /api."""
    return json_error(request, NotFound("not_found", "There is no such address in this API; see /api/docs."))
