"""Where packages come from: only what the operator's own environment says. uv reads its own variables; those of
pip and its file of settings are translated, as they are for the studio's own installation."""

from __future__ import annotations

import configparser
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: Passed to uv as they are.
OWN = (
    "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX",
    "UV_INDEX_STRATEGY", "UV_INSECURE_HOST", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_HTTP_TIMEOUT", "UV_OFFLINE",
    "UV_EXCLUDE_NEWER", "UV_CONFIG_FILE", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
)  # fmt: skip
#: uv's name <- pip's variable, pip's key in its file.
FROM_PIP = (
    ("UV_DEFAULT_INDEX", "PIP_INDEX_URL", "index-url"),
    ("UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL", "extra-index-url"),
    ("UV_FIND_LINKS", "PIP_FIND_LINKS", "find-links"),
    ("UV_NO_INDEX", "PIP_NO_INDEX", "no-index"),
    ("SSL_CERT_FILE", "PIP_CERT", "cert"),
    ("UV_INSECURE_HOST", "PIP_TRUSTED_HOST", "trusted-host"),
)
#: uv separates find-links with commas, pip with blanks.
COMMAS = frozenset({"UV_FIND_LINKS"})


def index_settings(
    environ: Mapping[str, str] | None = None, *, files: list[Path] | None = None
) -> dict[str, str]:
    """Variables for uv. files: pip's files of settings, the strongest last."""
    env = os.environ if environ is None else environ
    found = {name: env[name] for name in OWN if env.get(name)}
    written = _from_files(_pip_files(env) if files is None else files)
    for theirs, variable, key in FROM_PIP:
        value = env.get(variable) or written.get(key, "")
        if value and theirs not in found and not (theirs == "UV_DEFAULT_INDEX" and "UV_INDEX_URL" in found):
            parts = value.split()
            found[theirs] = ",".join(parts) if theirs in COMMAS else " ".join(parts)
    user = (
        Path(env.get("XDG_CONFIG_HOME") or Path(env.get("HOME") or "/nonexistent") / ".config")
        / "uv"
        / "uv.toml"
    )
    if "UV_CONFIG_FILE" not in found and user.is_file():
        found["UV_CONFIG_FILE"] = str(user)
    return found


def local_folders(settings: Mapping[str, str]) -> list[str]:
    """Folders and files of this machine that these settings name, so that the child may read them. Of an index in
    a folder (…/simple) also the folder around it: its pages lead to files beside it."""
    texts = re.split(r"[,\s]+", " ".join(settings.get(name, "") for name in (
        "UV_FIND_LINKS", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL",
        "UV_CONFIG_FILE", "SSL_CERT_FILE", "SSL_CERT_DIR",
    )))  # fmt: skip
    found: set[str] = set()
    for text in texts:
        path = unquote(urlsplit(text).path).rstrip("/") if text.startswith("file:") else text
        around = os.path.dirname(path)
        found |= {path, around} if text.startswith("file:") and around.count("/") > 1 else {path}
    return sorted(path for path in found if path.startswith("/") and os.path.exists(path))


def without_passwords(text: str) -> str:
    """Addresses without what stands before their @."""
    return re.sub(r"(?<=://)[^/@\s]+@", "****@", text)


def _pip_files(env: Mapping[str, str]) -> list[Path]:
    if env.get("PIP_CONFIG_FILE") == os.devnull:
        return []
    home = Path(env.get("HOME") or "/nonexistent")
    named = [Path(env["PIP_CONFIG_FILE"])] if env.get("PIP_CONFIG_FILE") else []
    config = Path(env.get("XDG_CONFIG_HOME") or home / ".config")
    return [
        Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf"), home / ".pip" / "pip.conf",
        config / "pip" / "pip.conf", Path(sys.prefix) / "pip.conf", *named,
    ]  # fmt: skip


def _from_files(files: list[Path]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                found |= dict(parser.items(section))
    if found.get("no-index", "").lower() in ("0", "false", "no", "off"):
        found.pop("no-index")
    return found
