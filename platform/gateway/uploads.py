"""Receiving files: authenticate first, then stream the file into staging, then call Django with the rest.

Django never sees the file's bytes. It gets a small urlencoded body with the other fields (the CSRF token among
them) and three of ours, file_name, file_size and file_sha256 (so that equal bodies mean equal files), and the
file itself as scope["atelier.staged"] = {"file": StagedFile}. What no action has claimed (moved) when Django has
answered is removed; a request that is cut, too large or refused leaves nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import parse_qsl, quote, unquote, urlencode
from uuid import UUID

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from foundation.errors import AtelierError, Invalid, Malformed, TooLarge
from gateway.http import (
    AsgiApp,
    ClientGone,
    Message,
    Receive,
    Scope,
    Send,
    declared_length,
    header,
    read_credentials,
    send_bytes,
    send_error,
)
from gateway.ports import Authenticate, Caller, ProjectRef, ResolveProject
from gateway.upload_routes import UploadRoute, UploadSettings

FLUSH_BYTES = 1024 * 1024
# A body is a little larger than its file: boundaries, headers, other fields.
ENVELOPE_BYTES = 2 * 1024 * 1024
# So much of a refused body is still taken, so that a client that only listens when it has spoken hears why.
LINGER_BYTES = 64 * 1024 * 1024
LINGER_SECONDS = 5.0
FORM = b"application/x-www-form-urlencoded"
_FILENAME = re.compile(r"filename\*?=(?:UTF-8'')?(\"[^\"]*\"|[^;]+)", re.IGNORECASE)

# What a page says when a form was sent back with ?problem=CODE.
PROBLEMS = {
    "upload.too_large": "The file is larger than one upload may be, so it was not kept.",
    "upload.no_file": "Choose a file first.",
    "upload.malformed": "The upload arrived damaged; send it again.",
    "upload.one_file": "Send one file at a time.",
    "upload.fields": "The form's fields are too large.",
    "storage.full": "The studio's disk is full, so the file was not kept. Free some space and try again.",
    "role.too_small": "Your role in this project may look, but not upload. An owner of the team can change it.",
    "token.read_only": "This token may only read.",
}


class StagedFile(Protocol):
    """A completely received file, as the staging area hands it out (adapters.storage.staging.StagedFile)."""

    @property
    def filename(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def sha256(self) -> str: ...

    def discard(self) -> None: ...


class StagingWriter(Protocol):
    """Receives one file; see adapters.storage.staging.StagingWriter. All methods may block."""

    def reserve(self, expected: int) -> None: ...

    def write(self, chunk: bytes) -> None: ...

    def finish(self, *, filename: str, project_id: UUID, user_id: UUID | None) -> StagedFile: ...

    def abort(self) -> None: ...


class StagingArea(Protocol):
    """Where received files lie until an action claims them; see adapters.storage.staging.StagingArea."""

    def open(self, *, limit: int, quota: int | None = None) -> StagingWriter: ...

    def sweep(self) -> int: ...


class UploadPorts(Protocol):
    """The part of gateway.ports.Ports that uploads need."""

    @property
    def authenticate(self) -> Authenticate: ...

    @property
    def resolve_project(self) -> ResolveProject: ...


class UploadStage:
    """The gateway's part for uploads. settings.routes says which requests are its own."""

    def __init__(
        self,
        inner_app: AsgiApp,
        ports: UploadPorts,
        staging: StagingArea,
        settings: UploadSettings | None = None,
    ) -> None:
        self.inner_app = inner_app
        self.ports = ports
        self.staging = staging
        self.settings = settings or UploadSettings()

    async def startup(self) -> None:
        """Remove what the requests of a dead process left behind."""
        await asyncio.to_thread(self.staging.sweep)

    async def shutdown(self) -> None:
        """Nothing is held."""

    def matches(self, scope: Scope) -> bool:
        """Whether the request carries a file to one of the routes."""
        return scope["method"] == "POST" and self._route(scope) is not None and _carries_file(scope)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Receive the file, then let Django answer. Raises ClientGone when the connection is cut."""
        route = self._route(scope)
        if route is None:
            raise LookupError("not an upload: ask matches() first")
        try:
            caller, project = await self._admit(route, scope)
            body = _Incoming(receive)
            try:
                received = await self._receive(route, scope, body, caller, project)
            except AtelierError:
                await _linger(scope, body)
                raise
        except AtelierError as error:
            await _refuse(route, scope, send, error)
            return
        if received.staged is None:
            await self.inner_app(*_rewritten(scope, receive, received), send)
            return
        try:
            await self.inner_app(*_rewritten(scope, receive, received), send)
        finally:
            await asyncio.to_thread(received.staged.discard)

    def _route(self, scope: Scope) -> UploadRoute | None:
        path: str = scope["path"]
        return next((route for route in self.settings.routes if route.pattern.fullmatch(path)), None)

    async def _admit(self, route: UploadRoute, scope: Scope) -> tuple[Caller, ProjectRef]:
        """Nobody sends a byte before we know who it is and that the project takes it."""
        match = route.pattern.fullmatch(scope["path"])
        assert match is not None
        caller = await self.ports.authenticate(read_credentials(scope, self.settings.session_cookie))
        project = await self.ports.resolve_project(caller, match["project"], write=True)
        declared = declared_length(scope)
        if declared is not None and declared > route.limit + ENVELOPE_BYTES:
            raise _too_large(route.limit)
        return caller, project

    async def _receive(
        self, route: UploadRoute, scope: Scope, receive: Receive, caller: Caller, project: ProjectRef
    ) -> _Received:
        writer = await asyncio.to_thread(
            lambda: self.staging.open(limit=route.limit, quota=self.settings.quota)
        )
        try:
            await asyncio.to_thread(writer.reserve, max(0, (declared_length(scope) or 0) - ENVELOPE_BYTES))
            body = _Multipart(scope, route, self.settings) if _is_multipart(scope) else _Raw(scope, route)
            total = 0
            while True:
                message = await self._next(receive)
                chunk: bytes = message.get("body", b"")
                total += len(chunk)
                if total > route.limit + ENVELOPE_BYTES:
                    raise _too_large(route.limit)
                body.feed(chunk)
                if len(body.pending) >= FLUSH_BYTES:
                    await _flush(body, writer)
                if not message.get("more_body", False):
                    break
            await _flush(body, writer)
            filename = body.finish()
            if filename is None:
                writer.abort()
                return _Received(body.fields, None)
            staged = await asyncio.to_thread(
                lambda: writer.finish(filename=filename, project_id=project.id, user_id=caller.user_id)
            )
            return _Received(body.fields, staged)
        except BaseException:
            # Also when the task is cancelled because the server stops: nothing stays.
            writer.abort()
            raise

    async def _next(self, receive: Receive) -> Message:
        try:
            message = await asyncio.wait_for(receive(), self.settings.idle_seconds)
        except TimeoutError as error:
            raise ClientGone from error
        if message["type"] == "http.disconnect":
            raise ClientGone
        return message


class _Received:
    """A complete request: its other fields, and the file if there was one."""

    def __init__(self, fields: list[tuple[str, str]], staged: StagedFile | None) -> None:
        self.fields = fields
        self.staged = staged

    def body(self) -> bytes:
        """The small body that Django reads."""
        fields = [(name, value) for name, value in self.fields if not name.startswith("file_")]
        if self.staged is not None:
            fields += [
                ("file_name", self.staged.filename),
                ("file_size", str(self.staged.size)),
                ("file_sha256", self.staged.sha256),
            ]
        return urlencode(fields).encode()


class _Raw:
    """A body that is the file itself; the other fields come from the query string."""

    def __init__(self, scope: Scope, route: UploadRoute) -> None:
        self.pending = bytearray()
        self.fields = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        self._filename = _filename_header(scope) or "upload"

    def feed(self, chunk: bytes) -> None:
        self.pending += chunk

    def finish(self) -> str | None:
        return self._filename


class _Multipart:
    """multipart/form-data, parsed as it comes: the file's bytes into `pending`, the rest into `fields`."""

    def __init__(self, scope: Scope, route: UploadRoute, settings: UploadSettings) -> None:
        _, options = parse_options_header(header(scope, b"content-type"))
        boundary = options.get(b"boundary", b"")
        if not boundary or len(boundary) > 200:
            raise Malformed("upload.malformed", "The multipart body has no boundary.")
        self.pending = bytearray()
        self.fields: list[tuple[str, str]] = []
        self._route = route
        self._settings = settings
        self._filename: str | None = None
        self._complete = False
        self._field_bytes = 0
        self._name, self._value = bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._part = ""
        self._is_file = False
        callbacks: dict[str, Callable[..., Any]] = {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }
        self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]

    def feed(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise Malformed("upload.malformed", "The multipart body cannot be read.") from error

    def finish(self) -> str | None:
        if not self._complete:
            raise Malformed("upload.malformed", "The multipart body ends before its last boundary.")
        if self._filename is None and not self._route.optional:
            raise Invalid(
                "upload.no_file",
                f"Send the file as the part '{self._route.file_field}' of the form.",
                {"field": self._route.file_field},
            )
        return self._filename

    def _begin(self) -> None:
        self._headers = {}
        self._value = bytearray()
        self._name = bytearray()

    def _header_end(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name, self._value = bytearray(), bytearray()

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._part = options.get(b"name", b"").decode("utf-8", "replace")
        filename = options.get(b"filename")
        # A browser sends an empty filename for a file input that was left empty.
        self._is_file = bool(filename)
        self._value = bytearray()
        if filename:
            if self._part != self._route.file_field or self._filename is not None:
                raise Invalid(
                    "upload.one_file",
                    f"Send exactly one file, as the part '{self._route.file_field}'.",
                    {"field": self._part[:80]},
                )
            self._filename = filename.decode("utf-8", "replace")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self.pending += memoryview(data)[start:end]
            return
        self._field_bytes += end - start
        if self._field_bytes > self._settings.field_bytes:
            raise TooLarge(
                "upload.fields",
                f"The form's other fields are larger than the {self._settings.field_bytes:,} bytes allowed.",
                {"limit": self._settings.field_bytes},
            )
        self._value += data[start:end]

    def _part_end(self) -> None:
        if self._is_file or self._part == self._route.file_field:
            return
        if len(self.fields) >= self._settings.fields:
            raise TooLarge("upload.fields", f"The form has more than {self._settings.fields} fields.")
        self.fields.append((self._part, self._value.decode("utf-8", "replace")))

    def _end(self) -> None:
        self._complete = True


async def _flush(body: _Raw | _Multipart, writer: StagingWriter) -> None:
    if body.pending:
        chunk = bytes(body.pending)
        body.pending.clear()
        await asyncio.to_thread(writer.write, chunk)


def _is_multipart(scope: Scope) -> bool:
    return header(scope, b"content-type").lower().startswith("multipart/form-data")


def _carries_file(scope: Scope) -> bool:
    if _is_multipart(scope):
        return True
    kind = header(scope, b"content-type").lower()
    return bool(_filename_header(scope)) and not kind.startswith(("application/json", FORM.decode()))


def _filename_header(scope: Scope) -> str:
    """The name of a raw body's file: X-Filename, or the filename of Content-Disposition."""
    plain = header(scope, b"x-filename")
    if plain:
        return unquote(plain)
    found = _FILENAME.search(header(scope, b"content-disposition"))
    return unquote(found.group(1).strip('" ')) if found else ""


def _rewritten(scope: Scope, receive: Receive, received: _Received) -> tuple[Scope, Receive]:
    """The scope and receive that Django gets: the small body in place of the large one."""
    body = received.body()
    dropped = {b"content-type", b"content-length", b"transfer-encoding", b"content-encoding", b"expect"}
    headers = [pair for pair in scope["headers"] if pair[0] not in dropped]
    headers += [(b"content-type", FORM), (b"content-length", str(len(body)).encode())]
    staged = {"file": received.staged} if received.staged is not None else {}
    sent = False

    async def small() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return {**scope, "headers": headers, "atelier.staged": staged}, small


async def _refuse(route: UploadRoute, scope: Scope, send: Send, error: AtelierError) -> None:
    """The error shape for programs; for a browser the form's own page, which Django then answers in its way (with
    the problem in words, the login page, or its page for what is not there)."""
    if not route.page or header(scope, b"accept").startswith("application/json"):
        await send_error(send, scope, error)
        return
    target = f"{quote(scope['path'])}?{urlencode({'problem': error.code})}"
    await send_bytes(send, 303, b"", b"text/plain", [(b"location", target.encode())])


class _Incoming:
    """The messages of a request, and whether there are more."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.over = False

    async def __call__(self) -> Message:
        message = await self._receive()
        self.over = message["type"] == "http.disconnect" or not message.get("more_body", False)
        return message


async def _linger(scope: Scope, receive: _Incoming) -> None:
    """Take and forget what is still on its way. Answering at once would reset the connection of a client that is
    still sending, and the sentence with it. Who asked first (Expect: 100-continue) is told at once."""
    if header(scope, b"expect"):
        return
    left = LINGER_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while left > 0 and not receive.over:
                left -= len((await receive()).get("body", b""))


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        "upload.too_large",
        f"The file is larger than the {limit:,} bytes allowed for one upload.",
        {"limit": limit},
    )
