"""Which addresses receive files. Data only: another app joins by adding its row."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

API = r"/api/v1/projects/(?P<project>[^/]+)"
PAGE = r"/p/(?P<project>[^/]+)"
MEGABYTE = 1024**2
GIGABYTE = 1024**3


@dataclass(frozen=True)
class UploadRoute:
    """POSTs to addresses that match `pattern` (its group `project` is the slug) carry a file.

    page: a browser's form: errors lead back to it with ?problem=CODE. limit: bytes of one file. file_field: the
    name of the file's part. optional: a request without a file goes to Django as it is (its own fields decide).
    """

    pattern: re.Pattern[str]
    page: bool = False
    limit: int = 5 * GIGABYTE
    file_field: str = "file"
    optional: bool = False


@dataclass(frozen=True)
class UploadSettings:
    """Limits of the upload stage. field_bytes: of all other fields together. idle_seconds: how long a client may
    be silent. quota: bytes that the staging area may hold (None: the disk decides)."""

    routes: tuple[UploadRoute, ...] = field(default_factory=lambda: ROUTES)
    field_bytes: int = 1024 * 1024
    fields: int = 200
    idle_seconds: float = 120.0
    quota: int | None = None
    session_cookie: str = "sessionid"


def _api(path: str, **options: int) -> UploadRoute:
    return UploadRoute(re.compile(f"{API}/{path}/?"), page=False, **options)  # type: ignore[arg-type]


def _page(path: str, **options: int) -> UploadRoute:
    return UploadRoute(re.compile(f"{PAGE}/{path}/?"), page=True, **options)  # type: ignore[arg-type]


ROUTES: tuple[UploadRoute, ...] = (
    _api("datasets"),
    _api("datasets/[^/]+/versions"),
    _page("datasets/new"),
    _page("datasets/[^/]+/versions/new"),
    _api("deployments/[^/]+/events"),
    _page("deployments/[^/]+/events"),
    UploadRoute(re.compile(f"{API}/runs/?"), limit=50 * MEGABYTE, file_field="code", optional=True),
    UploadRoute(
        re.compile(f"{PAGE}/experiments/new/script/?"),
        page=True,
        limit=50 * MEGABYTE,
        file_field="code",
        optional=True,
    ),
)
