"""Answers that are made while they are sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from django.db import connections
from django.http import HttpRequest, StreamingHttpResponse


def stream(
    request: HttpRequest, chunks: Iterator[bytes], *, content_type: str, filename: str
) -> StreamingHttpResponse:
    """A download of chunks. Under ASGI Django would first collect a synchronous iterator whole, so that each chunk
    is made in a thread there."""
    content: object = in_threads(chunks) if hasattr(request, "scope") else chunks
    response = StreamingHttpResponse(content, content_type=content_type)  # type: ignore[arg-type]
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


async def in_threads(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks, each made in a thread that keeps no connection to the database."""

    def following() -> bytes | None:
        try:
            return next(chunks, None)
        finally:
            connections.close_all()

    while (chunk := await asyncio.to_thread(following)) is not None:
        yield chunk
