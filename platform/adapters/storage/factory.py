"""Which store this process uses: what `configure` was told, else the environment, else HOME/objects."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from adapters.storage.local import LocalStore
from adapters.storage.protocol import ObjectStore
from foundation.errors import Invalid

_lock = threading.Lock()
_configured: tuple[str, Path] | None = None
_store: ObjectStore | None = None
_address: tuple[str, Path] | None = None


def configure(*, url: str, home: Path) -> None:
    """Tell this process which store and home to use (the composition root does, from the studio's settings)."""
    global _configured
    with _lock:
        _configured = (url, Path(home))


def home_folder() -> Path:
    """The studio's home: as configured, else ATELIER_HOME, else `var` beside manage.py."""
    if _configured is not None:
        return _configured[1]
    named = os.environ.get("ATELIER_HOME", "")
    return Path(named).absolute() if named else Path(__file__).resolve().parents[3] / "var"


def get_store() -> ObjectStore:
    """The store of this process. Opened once, and again when the settings change (tests do that)."""
    global _store, _address
    url = _configured[0] if _configured is not None else os.environ.get("ATELIER_STORAGE_URL", "")
    address = (url, home_folder())
    with _lock:
        if _store is None or _address not in (address, None):
            _store, _address = open_store(address[0], home=address[1]), address
        return _store


def reset_store(store: ObjectStore | None = None) -> None:
    """Use this store from now on whatever the settings say (tests), or, with None, forget all settings."""
    global _configured, _store, _address
    with _lock:
        _store, _address = store, None
        if store is None:
            _configured = None


def open_store(url: str, *, home: Path) -> ObjectStore:
    """The store that a URL names: "" (HOME/objects), a path or file:///folder, or s3://bucket/prefix with
    ?endpoint_url=https://…&region=…; credentials come from the usual AWS variables, never from the URL.

    Raises Invalid "storage.url" with a sentence for anything else.
    """
    if not url:
        return LocalStore(home / "objects")
    parts = urlsplit(url)
    if parts.scheme in ("", "file"):
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise _bad_url(url, "a local store needs an absolute path, as in file:///srv/atelier")
        return LocalStore(Path(unquote(parts.path)))
    if parts.scheme != "s3":
        raise _bad_url(url, "only file:// and s3:// are known")
    if not parts.netloc:
        raise _bad_url(url, "the bucket is missing, as in s3://bucket/prefix")
    if parts.username or parts.password:
        raise _bad_url(url, "credentials belong in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    return _open_s3(url, parts.netloc, parts.path, dict(parse_qsl(parts.query)), home)


def _open_s3(url: str, bucket: str, path: str, options: dict[str, str], home: Path) -> ObjectStore:
    import fsspec

    from adapters.storage.remote import RemoteStore

    unknown = set(options) - {"endpoint_url", "region"}
    if unknown:
        raise _bad_url(url, f"the option {sorted(unknown)[0]!r} is not known")
    client: dict[str, str] = {}
    if "region" in options:
        client["region_name"] = options["region"]
    try:
        filesystem = fsspec.filesystem("s3", endpoint_url=options.get("endpoint_url"), client_kwargs=client)
    except ImportError as error:
        raise _bad_url(url, "s3:// needs the package s3fs, which is not installed") from error
    return RemoteStore(filesystem, f"{bucket}{path.rstrip('/')}", home / "cache" / "store")


def _bad_url(url: str, reason: str) -> Invalid:
    # Neither query nor user part is repeated: they may hold a secret.
    return Invalid(
        "storage.url",
        f"ATELIER_STORAGE_URL is not usable: {reason}.",
        {"url": url.partition("?")[0].rpartition("@")[2]},
    )
