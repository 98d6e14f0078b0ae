"""Static files, compressed once: Plotly crosses the wire as 1.5 MB instead of 4.8 MB.

There is no build step. The web process keeps a gzipped copy of every script, stylesheet and drawing in
HOME/cache/static and makes it anew when the original's time of change differs; WhiteNoise picks the copy for
clients that accept it, and says Vary: Accept-Encoding. The folder can be deleted at any time.
"""

from __future__ import annotations

import gzip
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any
from wsgiref.headers import Headers

from django.conf import settings
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile

logger = logging.getLogger(__name__)

COMPRESSIBLE = frozenset({".css", ".js", ".svg"})
#: bytes; below this a smaller body saves no packet
SMALLEST = 1400


class CompressedStaticMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]  # WhiteNoise has no types
    """WhiteNoise over the finders, with the gzipped copies beside them."""

    def __init__(self, get_response: Any = None) -> None:
        self.copies = Path(settings.CONFIG.home) / "cache" / "static"
        super().__init__(get_response)

    def get_static_file(self, path: str, url: str, stat_cache: Any = None) -> Any:
        """WhiteNoise's hook for one file: its headers, and the encodings it is kept in."""
        if stat_cache is None:  # autorefresh: files change under our hands
            return super().get_static_file(path, url)
        found = stat_cache[path]
        headers = Headers([])
        self.add_mime_headers(headers, path, url)
        self.add_cache_headers(headers, path, url)
        # One tag for both forms has to be a weak one (RFC 9110, 8.8.1).
        headers["ETag"] = f'W/"{found.st_mtime_ns:x}-{found.st_size:x}"'
        files, encodings = {path: found}, {}
        if Path(path).suffix in COMPRESSIBLE and found.st_size >= SMALLEST:
            copy = self.copies / f"{url.removeprefix(self.static_prefix)}.gz"
            try:
                files[str(copy)] = kept_copy(path, found, copy)
                encodings["gzip"] = str(copy)
            except OSError as error:
                logger.warning("%s is served uncompressed: %s", url, error)
        return StaticFile(path, headers.items(), encodings=encodings, stat_cache=files)


def kept_copy(source: str, found: os.stat_result, copy: Path) -> os.stat_result:
    """The stat of an up-to-date gzipped copy, made when it is absent or older. Raises OSError."""
    try:
        kept = copy.stat()
        if kept.st_mtime_ns == found.st_mtime_ns:
            return kept
    except FileNotFoundError:
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(dir=copy.parent, prefix=f".{copy.name}.")
    try:
        with (
            open(source, "rb") as original,
            os.fdopen(handle, "wb") as target,
            gzip.GzipFile(fileobj=target, mode="wb", filename="", mtime=0) as packed,
        ):
            shutil.copyfileobj(original, packed, 1 << 18)
        os.utime(unfinished, ns=(found.st_mtime_ns, found.st_mtime_ns))
        os.replace(unfinished, copy)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
    return copy.stat()
