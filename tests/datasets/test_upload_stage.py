"""Receiving files at the gateway: who may, how much, and that nothing stays of what was refused or cut."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID, uuid4

import pytest

from adapters.storage.staging import StagingArea
from foundation.errors import Forbidden, NotFound, Unauthenticated
from gateway import uploads
from gateway.http import ClientGone, header
from gateway.ports import Caller, Credentials, ProjectRef
from gateway.upload_routes import ROUTES, UploadRoute, UploadSettings
from gateway.uploads import UploadStage

PROJECT = ProjectRef(id=uuid4(), slug="bank", team_id=uuid4(), editable=True)
USER = uuid4()
BOUNDARY = "xYzZy"
API = "/api/v1/projects/bank/datasets"
FORM = "/p/bank/datasets/new"


class Django:
    """Stands for the app behind: remembers what it was given, and whether the file was there."""

    def __init__(self, *, claim: Path | None = None) -> None:
        self.calls: list[dict[str, Any]] = []
        self.claim = claim

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        staged = scope["atelier.staged"].get("file")
        self.calls.append(
            {
                "fields": {key: values[0] for key, values in parse_qs(message["body"].decode()).items()},
                "length": header(scope, b"content-length"),
                "size": len(message["body"]),
                "staged": staged,
                "bytes": staged.path.read_bytes() if staged else None,
            }
        )
        if staged and self.claim:
            os.replace(staged.path, self.claim)
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body", "body": b"made"})


async def _authenticate(credentials: Credentials) -> Caller:
    if credentials.token == "atl_reader":
        return Caller(user_id=USER, username="reader", scope="read")
    if credentials.token == "atl_good":
        return Caller(user_id=USER, username="ann", scope="write")
    raise Unauthenticated("auth.required", "Sign in or send a token.")


async def _resolve(caller: Caller, slug: str, *, write: bool) -> ProjectRef:
    if slug != "bank":
        raise NotFound("project.not_found", "There is no such project.")
    if write and caller.scope == "read":
        raise Forbidden("token.read_only", "This token may only read.")
    return PROJECT


PORTS: Any = SimpleNamespace(authenticate=_authenticate, resolve_project=_resolve)


def multipart(content: bytes, *, filename: str = "table.csv", fields: dict[str, str] | None = None) -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in (fields or {}).items()
    ]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
    parts.append(head.encode() + b"Content-Type: text/csv\r\n\r\n" + content + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


class Answer:
    """What a request came to: status, headers, body, and how many bytes the stage had read by then."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.read = 0

    @property
    def error(self) -> dict[str, Any]:
        return dict(json.loads(self.body)["error"])


def request(
    stage: UploadStage,
    body: bytes,
    *,
    path: str = API,
    token: str = "atl_good",
    content_type: str = f"multipart/form-data; boundary={BOUNDARY}",
    length: int | None = -1,
    cut_at: int | None = None,
    query: str = "",
    headers: Iterable[tuple[str, str]] = (),
    chunk: int = 64 * 1024,
) -> Answer:
    """One request through the stage. length: the Content-Length sent (-1: the true one, None: chunked).
    cut_at: bytes after which the client disappears."""
    answer = Answer()
    sent_headers = [("authorization", f"Bearer {token}"), ("content-type", content_type), *headers]
    if length is not None:
        sent_headers.append(("content-length", str(len(body) if length == -1 else length)))
    else:
        sent_headers.append(("transfer-encoding", "chunked"))
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": query.encode(),
        "headers": [(key.encode(), value.encode()) for key, value in sent_headers],
    }
    position = 0

    async def receive() -> dict[str, Any]:
        nonlocal position
        end = len(body) if cut_at is None else cut_at
        if cut_at is not None and position >= end:
            return {"type": "http.disconnect"}
        piece = body[position : min(position + chunk, end)]
        position += len(piece)
        answer.read = position
        more = position < len(body) if cut_at is None else True
        return {"type": "http.request", "body": piece, "more_body": more}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {key.decode(): value.decode() for key, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    assert stage.matches(scope)
    asyncio.run(stage(scope, receive, send))
    return answer


def left(home: Path) -> list[str]:
    folder = home / "staging"
    return os.listdir(folder) if folder.exists() else []


def _limited(**limits: Any) -> UploadSettings:
    limit = limits.pop("limit", None)
    routes = ROUTES if limit is None else tuple(UploadRoute(r.pattern, r.page, limit) for r in ROUTES)
    return UploadSettings(routes=routes, **limits)


def test_django_gets_the_fields_and_the_file_is_staged(home: Path, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    django = Django(claim=tmp_path / "kept")
    body = multipart(
        content, fields={"name": "churn ü", "csrfmiddlewaretoken": "secret", "file_sha256": "forged"}
    )
    answer = request(UploadStage(django, PORTS, StagingArea()), body)
    assert (answer.status, answer.body) == (201, b"made")
    (call,) = django.calls
    digest = hashlib.sha256(content).hexdigest()
    assert call["bytes"] == content
    assert (call["staged"].sha256, call["staged"].size, call["staged"].filename) == (
        digest,
        len(content),
        "table.csv",
    )
    assert (call["staged"].project_id, call["staged"].user_id) == (PROJECT.id, USER)
    assert call["fields"] == {
        "name": "churn ü", "csrfmiddlewaretoken": "secret", "file_name": "table.csv", "file_size": "3000000",
        "file_sha256": digest,
    }  # fmt: skip
    assert call["length"] == str(call["size"])
    assert (tmp_path / "kept").read_bytes() == content
    assert left(home) == []


def test_what_no_action_claims_is_removed(home: Path) -> None:
    django = Django()
    request(UploadStage(django, PORTS, StagingArea()), multipart(b"a,b\n1,2\n"))
    assert django.calls[0]["bytes"] == b"a,b\n1,2\n"
    assert left(home) == []


def test_what_django_fails_on_is_removed(home: Path) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        request(UploadStage(broken, PORTS, StagingArea()), multipart(b"a"))
    assert left(home) == []


def test_a_raw_body_with_a_filename_is_a_file_too(home: Path) -> None:
    for extra in (
        ("x-filename", "my%20table.csv"),
        ("content-disposition", 'attachment; filename="my table.csv"'),
    ):
        django = Django()
        request(
            UploadStage(django, PORTS, StagingArea()),
            b"a,b\n1,2\n",
            content_type="text/csv",
            query="name=churn",
            headers=[extra],
            length=None,
        )
        (call,) = django.calls
        assert call["fields"]["name"] == "churn"
        assert call["staged"].filename == "my table.csv"
        assert call["bytes"] == b"a,b\n1,2\n"


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("path", [API, FORM])
def test_a_cut_connection_leaves_nothing(home: Path, path: str, share: float) -> None:
    body = multipart(os.urandom(4_000_000))
    django = Django()
    with pytest.raises(ClientGone):
        request(UploadStage(django, PORTS, StagingArea()), body, path=path, cut_at=int(len(body) * share))
    assert django.calls == []
    assert left(home) == []


def test_a_silent_client_is_given_up(home: Path) -> None:
    async def never() -> Any:
        await asyncio.sleep(60)

    stage = UploadStage(Django(), PORTS, StagingArea(), _limited(idle_seconds=0.05))
    scope = {
        "type": "http", "method": "POST", "path": API, "query_string": b"",
        "headers": [(b"authorization", b"Bearer atl_good"), (b"content-type", b"multipart/form-data; boundary=x")],
    }  # fmt: skip

    async def nothing(message: Any) -> None:
        raise AssertionError("nobody is there to answer")

    with pytest.raises(ClientGone):
        asyncio.run(stage(scope, never, nothing))
    assert left(home) == []


@pytest.mark.parametrize(("token", "status"), [("", 401), ("atl_unknown", 401), ("atl_reader", 403)])
def test_nobody_sends_bytes_before_we_know_that_they_may(home: Path, token: str, status: int) -> None:
    django = Django()
    answer = request(UploadStage(django, PORTS, StagingArea()), multipart(os.urandom(500_000)), token=token)
    assert answer.status == status
    assert answer.read == 0
    assert django.calls == []
    assert left(home) == []


def test_a_strangers_project_is_not_found(home: Path) -> None:
    answer = request(
        UploadStage(Django(), PORTS, StagingArea()), multipart(b"x"), path="/api/v1/projects/other/datasets"
    )
    assert (answer.status, answer.error["code"], answer.read) == (404, "project.not_found", 0)


def test_a_declared_size_beyond_the_limit_is_refused_unread(home: Path) -> None:
    answer = request(
        UploadStage(Django(), PORTS, StagingArea(), _limited(limit=1_000)), b"", length=10_000_000
    )
    assert (answer.status, answer.error["code"], answer.read) == (413, "upload.too_large", 0)


def test_the_limit_holds_without_a_declared_size(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = multipart(os.urandom(9_000_000))
    stage = UploadStage(Django(), PORTS, StagingArea(), _limited(limit=2_000_000))
    answer = request(stage, body, length=None, headers=[("expect", "100-continue")])
    assert answer.status == 413
    assert answer.read < len(body)
    assert left(home) == []
    # A client that only listens when it has spoken is heard out (and its bytes are forgotten), within limits.
    assert request(stage, body, length=None).read == len(body)
    monkeypatch.setattr(uploads, "LINGER_BYTES", 1_000_000)
    assert request(stage, body, length=None).read < len(body)
    assert left(home) == []


def test_a_wrong_declared_size_does_not_help(home: Path) -> None:
    answer = request(
        UploadStage(Django(), PORTS, StagingArea(), _limited(limit=1_000)),
        multipart(b"x" * 5_000),
        length=500,
    )
    assert answer.status == 413
    assert left(home) == []


def test_a_full_staging_area_is_a_clear_sentence(home: Path) -> None:
    answer = request(
        UploadStage(Django(), PORTS, StagingArea(), _limited(quota=1_000)),
        multipart(b"x" * 5_000),
        length=None,
    )
    assert (answer.status, answer.error["code"]) == (503, "storage.full")
    assert "disk is full" in answer.error["message"]
    assert left(home) == []


BROKEN = {
    "no boundary": (b"x", "multipart/form-data", 400, "upload.malformed"),
    "not multipart": (b"nonsense", f"multipart/form-data; boundary={BOUNDARY}", 400, "upload.malformed"),
    "no end": (multipart(b"a,b")[:-12], f"multipart/form-data; boundary={BOUNDARY}", 400, "upload.malformed"),
    "no file": (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="name"\r\n\r\nx\r\n--{BOUNDARY}--\r\n'.encode(),
        f"multipart/form-data; boundary={BOUNDARY}", 422, "upload.no_file",
    ),
    "an input left empty": (multipart(b"", filename=""), f"multipart/form-data; boundary={BOUNDARY}", 422, "upload.no_file"),
    "two files": (
        multipart(b"a").removesuffix(f"--{BOUNDARY}--\r\n".encode()) + multipart(b"b"),
        f"multipart/form-data; boundary={BOUNDARY}", 422, "upload.one_file",
    ),
    "another part": (
        multipart(b"a").replace(b'name="file"', b'name="other"'),
        f"multipart/form-data; boundary={BOUNDARY}", 422, "upload.one_file",
    ),
    "a field without end": (
        multipart(b"a", fields={"description": "x" * 2_000_000}), f"multipart/form-data; boundary={BOUNDARY}", 413, "upload.fields",
    ),
    "fields without number": (
        multipart(b"a", fields={f"f{n}": "" for n in range(300)}), f"multipart/form-data; boundary={BOUNDARY}", 413, "upload.fields",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_form_is_refused_in_the_error_shape(home: Path, name: str) -> None:
    body, content_type, status, code = BROKEN[name]
    django = Django()
    answer = request(UploadStage(django, PORTS, StagingArea()), body, content_type=content_type)
    assert (answer.status, answer.error["code"]) == (status, code)
    assert django.calls == []
    assert left(home) == []


def test_a_browsers_form_comes_back_with_the_problem(home: Path) -> None:
    stage = UploadStage(Django(), PORTS, StagingArea(), _limited(limit=1_000))
    answer = request(stage, multipart(b"x" * 5_000), path=FORM, headers=[("accept", "text/html")])
    assert (answer.status, answer.headers["location"]) == (303, f"{FORM}?problem=upload.too_large")
    lost = request(stage, multipart(b"x"), path="/p/other/datasets/new")
    assert (lost.status, lost.headers["location"]) == (303, "/p/other/datasets/new?problem=project.not_found")
    scripted = request(stage, multipart(b"x" * 5_000), path=FORM, headers=[("accept", "application/json")])
    assert (scripted.status, scripted.error["code"]) == (413, "upload.too_large")
    assert left(home) == []


@pytest.mark.parametrize(
    ("method", "path", "kind", "expected"),
    [
        ("POST", "/api/v1/projects/bank/datasets", "multipart/form-data; boundary=x", True),
        ("POST", "/api/v1/projects/bank/datasets/", "multipart/form-data; boundary=x", True),
        ("POST", "/api/v1/projects/bank/datasets/churn/versions", "multipart/form-data; boundary=x", True),
        ("POST", "/p/bank/datasets/churn/versions/new", "multipart/form-data; boundary=x", True),
        ("POST", "/api/v1/projects/bank/deployments/d/events", "multipart/form-data; boundary=x", True),
        ("GET", "/api/v1/projects/bank/datasets", "", False),
        ("POST", "/api/v1/projects/bank/datasets", "application/json", False),
        ("POST", "/api/v1/projects/bank/datasets", "text/csv", False),
        ("POST", "/api/v1/projects/bank/datasets/churn/restore", "multipart/form-data; boundary=x", False),
        ("POST", "/p/bank/datasets/churn/versions/2/retry", "application/x-www-form-urlencoded", False),
    ],
)
def test_only_files_on_upload_routes_are_taken(method: str, path: str, kind: str, expected: bool) -> None:
    scope = {"type": "http", "method": method, "path": path, "headers": [(b"content-type", kind.encode())]}
    assert UploadStage(Django(), PORTS, StagingArea()).matches(scope) is expected


def test_the_boundary_may_fall_anywhere(home: Path) -> None:
    content = b"a,b\r\n--not the boundary\r\n--xYzZ\r\n" * 50
    body = multipart(content, fields={"name": "n"})
    for chunk in (1, 7, 61, 1_000):
        django = Django()
        request(UploadStage(django, PORTS, StagingArea()), body, chunk=chunk)
        assert django.calls[0]["bytes"] == content
        assert django.calls[0]["fields"]["name"] == "n"


def test_leftovers_of_a_dead_process_go_when_the_stage_starts(home: Path) -> None:
    folder = home / "staging"
    folder.mkdir()
    (folder / f"{UUID(int=1).hex}.upload").write_bytes(b"x")
    os.utime(folder / f"{UUID(int=1).hex}.upload", (0, 0))
    asyncio.run(UploadStage(Django(), PORTS, StagingArea()).startup())
    assert left(home) == []
