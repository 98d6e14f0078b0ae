"""On a whole studio: somebody joins by a link that is in no log, and loses all access within five seconds."""

from __future__ import annotations

import http.cookiejar
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.studio import Studio

pytestmark = pytest.mark.engine
LIMIT = 5.0
PASSWORD = "correct horse battery"


class Browser:
    """Cookies and forms, without following redirects."""

    def __init__(self, studio: Studio) -> None:
        self.url = studio.url
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar), _Stay())

    def get(self, path: str) -> tuple[int, str]:
        return self._ask(urllib.request.Request(self.url + path))

    def post(self, path: str, **fields: str) -> tuple[int, str]:
        token = re.search(r'csrfmiddlewaretoken" value="([^"]+)"', self.get(path)[1])
        assert token is not None, path
        data = urllib.parse.urlencode({**fields, "csrfmiddlewaretoken": token.group(1)}).encode()
        headers = {"Origin": self.url, "Referer": self.url + path}
        return self._ask(urllib.request.Request(self.url + path, data, headers))

    def _ask(self, request: urllib.request.Request) -> tuple[int, str]:
        try:
            with self.opener.open(request, timeout=30) as answer:
                return answer.status, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def probe(asks: dict[str, Callable[[], int]], allowed: set[int], began: float) -> dict[str, float]:
    """Seconds after `began` from which on each way was closed; all are asked at once, again and again."""
    closed: dict[str, float] = {}

    def watch(name: str, ask: Callable[[], int]) -> None:
        while time.monotonic() < began + 2 * LIMIT:
            sent = time.monotonic()
            if ask() not in allowed:
                closed[name] = sent - began
                return
            time.sleep(0.1)

    threads = [threading.Thread(target=watch, args=item) for item in asks.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return closed


def join(studio: Studio, admin: str, name: str) -> tuple[Browser, str]:
    """Somebody new who joins by a link; the browser, and the link's secret."""
    wanted = {"role": "contributor", "note": name}
    made = studio.call("POST", "/api/v1/teams/leavers/invitations", wanted, token=admin)[1]
    browser = Browser(studio)
    assert browser.post("/join", code=made["code"])[0] == 302
    joined = browser.post("/join", username=name, password=PASSWORD, again=PASSWORD)
    assert joined[0] == 302, joined[1][:2000]
    return browser, made["code"]


def ways(studio: Studio, browser: Browser, token: str, name: str) -> dict[str, Callable[[], int]]:
    """Every way in that a member has; each answers 200 while it is open."""
    mlflow = "/p/leaving/mlflow/api/2.0/mlflow/experiments/search?max_results=5"
    return {
        f"{name}: page": lambda: browser.get("/p/leaving/")[0],
        f"{name}: live page": lambda: browser.get("/p/leaving/live")[0],
        f"{name}: team": lambda: browser.get("/teams/leavers/")[0],
        f"{name}: REST": lambda: studio.call("GET", "/api/v1/projects/leaving", token=token)[0],
        f"{name}: MLflow": lambda: studio.call("GET", mlflow, token=token)[0],
        f"{name}: prediction": lambda: _reaches(studio, token),
    }


def test_who_leaves_is_out_within_five_seconds(studio: Studio) -> None:
    """nina leaves her last team; otto stays in another one, so that his session and token live on."""
    admin = studio.token()
    for slug in ("leavers", "stayers"):
        assert studio.call("POST", "/api/v1/teams", {"slug": slug}, token=admin)[0] in (201, 409)
    body = {"slug": "leaving", "team": "leavers"}
    assert studio.call("POST", "/api/v1/projects", body, token=admin)[0] in (201, 409)
    asks: dict[str, Callable[[], int]] = {}
    secrets = []
    for name in ("nina", "otto"):
        browser, secret = join(studio, admin, name)
        secrets.append(secret)
        asks |= ways(studio, browser, studio.token(name), name)
    body = {"username": "otto", "role": "viewer"}
    assert studio.call("POST", "/api/v1/teams/stayers/members", body, token=admin)[0] == 201

    before = {way: ask() for way, ask in asks.items()}
    assert set(before.values()) == {200}, before
    began = time.monotonic()
    for name in ("nina", "otto"):
        assert studio.call("DELETE", f"/api/v1/teams/leavers/members/{name}", token=admin)[0] == 204
    closed = probe(asks, {200}, began)
    assert set(closed) == set(asks), f"still open: {set(asks) - set(closed)}"
    assert max(closed.values()) < LIMIT, closed
    print({way: round(seconds, 2) for way, seconds in closed.items()})

    for log in (studio.home / "logs").glob("*.log"):
        text = log.read_text(encoding="utf-8", errors="replace")
        assert not [secret for secret in secrets if secret in text], log


def _reaches(studio: Studio, token: str) -> int:
    """200 while the caller is let through to the project's deployments (there is none of this name)."""
    status, answer = studio.call("POST", "/serve/leaving/none/predict", {"records": [{}]}, token=token)
    return 200 if status == 404 and answer["error"]["code"] == "deployment.not_found" else status
