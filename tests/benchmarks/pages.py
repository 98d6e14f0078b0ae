"""How quickly the list pages answer: p50 and p95 over HTTP, signed in, on whatever the project holds.

    python3 manage.py bench pages --url http://127.0.0.1:8000 --project tour

needs a running studio and its admin password (ATELIER_ADMIN_PASSWORD, or HOME/admin-password).
"""

from __future__ import annotations

import argparse
import http.cookiejar
import os
import re
import statistics
import time
import urllib.parse
import urllib.request
from pathlib import Path

PAGES = ("", "datasets", "experiments", "models", "deployments", "monitors", "jobs")
GOAL_MS = 200.0


def password() -> str:
    """The admin's password, from the environment or the home."""
    given = os.environ.get("ATELIER_ADMIN_PASSWORD")
    if given:
        return given
    home = Path(os.environ.get("ATELIER_HOME") or "var")
    return (home / "admin-password").read_text().strip()


def sign_in(url: str) -> urllib.request.OpenerDirector:
    """A browser-like opener with a session."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    page = opener.open(f"{url}/login").read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    if token is None:
        raise SystemExit(f"{url}/login shows no form: is the studio ready?")
    form = {"username": "admin", "password": password(), "csrfmiddlewaretoken": token.group(1)}
    request = urllib.request.Request(
        f"{url}/login", urllib.parse.urlencode(form).encode(), {"Referer": f"{url}/login"}
    )
    if opener.open(request).geturl().rstrip("/").endswith("/login"):
        raise SystemExit("the sign-in was refused")
    return opener


def main(argv: list[str]) -> int:
    """Print a line per page; the exit status is 0 even when a page is slow: this is a measurement."""
    parser = argparse.ArgumentParser(prog="bench pages", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--project", default="tour")
    parser.add_argument("--requests", type=int, default=60)
    options = parser.parse_args(argv)
    opener = sign_in(options.url)
    everything: list[float] = []
    print(f"{'page':<24}{'p50 ms':>9}{'p95 ms':>9}{'kB':>8}")
    for page in PAGES:
        address = f"{options.url}/p/{options.project}/{page}{'/' if page else ''}"
        times, size = [], 0
        for _ in range(options.requests):
            began = time.perf_counter()
            size = len(opener.open(address).read())
            times.append((time.perf_counter() - began) * 1000)
        everything += times
        p95 = statistics.quantiles(times, n=20)[-1]
        print(f"{'/' + page:<24}{statistics.median(times):>9.1f}{p95:>9.1f}{size / 1000:>8.1f}")
    p95 = statistics.quantiles(everything, n=20)[-1]
    print(f"all pages: p95 {p95:.1f} ms, goal {GOAL_MS:.0f} ms: ratio {p95 / GOAL_MS:.2f}")
    return 0
