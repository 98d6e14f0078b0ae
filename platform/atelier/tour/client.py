"""A small REST client on the standard library: what the tour uses in place of a browser or curl."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

TIMEOUT = 60.0
PATIENCE = 170.0
PAUSE = 0.4


class TourError(Exception):
    """The tour cannot go on; the text is a sentence for the person at the terminal."""


@dataclass(frozen=True)
class Missing:
    """What `find` answers when there is nothing."""

    def __bool__(self) -> bool:
        return False


@dataclass
class Client:
    """Calls one studio with one token. `api` paths are below the project unless they begin with a slash."""

    url: str
    token: str
    project: str

    def page(self, path: str) -> str:
        """The address of a page of the project."""
        return f"{self.url}/p/{self.project}/{path}"

    def address(self, path: str) -> str:
        """The address of a REST path."""
        return (
            f"{self.url}{path}"
            if path.startswith("/")
            else f"{self.url}/api/v1/projects/{self.project}/{path}"
        )

    def get(self, path: str) -> Any:
        """GET; raises TourError for anything but success."""
        return self._checked("GET", path, None)

    def post(self, path: str, body: Any = None) -> Any:
        """POST a JSON body; raises TourError for anything but success."""
        return self._checked("POST", path, body if body is not None else {})

    def find(self, path: str) -> Any:
        """GET; None when there is nothing at that address (404)."""
        status, answer = self._call("GET", path, None)
        return None if status == 404 else self._accept("GET", path, status, answer)

    def listed(self, path: str) -> list[Any]:
        """All results of a list, page by page."""
        found: list[Any] = []
        following: str | None = self.address(path)
        while following:
            answer = self._checked("GET", following, None)
            if isinstance(answer, list):
                return answer
            found += answer["results"]
            following = answer.get("next")
        return found

    def upload(self, path: str, file: Path, **fields: str) -> Any:
        """POST a multipart form with the fields and the file, as a browser does."""
        boundary = uuid.uuid4().hex
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields.items()
        ]
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n\r\n'
        body = b"".join([*parts, head.encode(), file.read_bytes(), f"\r\n--{boundary}--\r\n".encode()])
        kind = f"multipart/form-data; boundary={boundary}"
        status, answer = self._send("POST", path, body, kind)
        return self._accept("POST", path, status, answer)

    def wait(
        self, what: str, look: Callable[[], Any], done: Callable[[Any], bool], *, patience: float = PATIENCE
    ) -> Any:
        """Look until `done`; raises TourError when it takes longer than `patience` seconds."""
        deadline = time.monotonic() + patience
        while True:
            found = look()
            if done(found):
                return found
            if time.monotonic() > deadline:
                state = found.get("state", "unknown") if isinstance(found, dict) else "unknown"
                raise TourError(f"{what} is still {state} after {patience:.0f} s. Is the worker running?")
            time.sleep(PAUSE)

    def _checked(self, method: str, path: str, body: Any) -> Any:
        status, answer = self._call(method, path, body)
        return self._accept(method, path, status, answer)

    def _accept(self, method: str, path: str, status: int, answer: Any) -> Any:
        if 200 <= status < 300:
            return answer
        error = answer.get("error", {}) if isinstance(answer, dict) else {}
        said = error.get("message") or str(answer)[:300] or "no answer"
        raise TourError(f"{method} {path.removeprefix(self.url)} was answered with {status}: {said}")

    def _call(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        return self._send(method, path, data, "application/json")

    def _send(self, method: str, path: str, data: bytes | None, kind: str) -> tuple[int, Any]:
        address = path if path.startswith("http") else self.address(path)
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        if data is not None:
            headers["Content-Type"] = kind
        request = urllib.request.Request(address, data=data, headers=headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
                status, raw = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, raw = error.code, error.read()
        except OSError as error:
            raise TourError(f"The studio at {self.url} does not answer: {error}") from error
        text = raw.decode("utf-8", errors="replace")
        try:
            return status, json.loads(text) if text else None
        except ValueError:
            return status, text


def segment(text: str) -> str:
    """A name as one segment of a path."""
    return quote(text, safe="")
