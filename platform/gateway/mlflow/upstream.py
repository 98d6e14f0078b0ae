"""The HTTP client of MLflow's private socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import yarl

from foundation.errors import Unavailable

CONNECTIONS = 64
IDLE_SECONDS = 30.0  # shorter than MLflow's server keeps an idle connection
CONNECT_SECONDS = 5.0
# Counted from the end of the request. The stock client itself waits 120 s; a silent MLflow is said long before.
READ_SECONDS = 30.0
ARTIFACT_SECONDS = 100.0  # a large artifact is stored before the answer comes


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer of MLflow."""

    status: int
    content_type: str
    body: bytes


class Upstream:
    """MLflow behind its unix socket. Opened on first use in the running event loop."""

    def __init__(self, socket_path: str) -> None:
        self.socket_path = socket_path
        self._session: aiohttp.ClientSession | None = None

    def session(self) -> aiohttp.ClientSession:
        """The one client session."""
        if not self.socket_path:
            raise unavailable()
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(
                    path=self.socket_path, limit=CONNECTIONS, keepalive_timeout=IDLE_SECONDS
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def open(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes] | None,
        *,
        artifact: bool = False,
    ) -> Any:
        """An answer to read from, as an async context manager. target: path and query, already quoted.

        Raises aiohttp.ClientError when MLflow cannot be reached (use `unavailable()` then).
        """
        url = yarl.URL(f"http://localhost{target}", encoded=True)
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=ARTIFACT_SECONDS if artifact else READ_SECONDS
        )
        return self.session().request(
            method, url, headers=headers, data=body, allow_redirects=False, timeout=timeout
        )

    async def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        """A complete answer. Raises Unavailable "tracking.down" when MLflow cannot be reached."""
        try:
            async with self.open(method, target, headers, body) as response:
                content = await response.read()
                return Answer(response.status, response.headers.get("Content-Type", ""), content)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unavailable() from error


def unavailable() -> Unavailable:
    """The error while MLflow is down or starting."""
    return Unavailable("tracking.down", "The tracking server is starting or down: try again.", retry_after=3)
