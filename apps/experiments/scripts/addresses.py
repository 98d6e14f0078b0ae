"""Which git addresses may be fetched from: public hosts over https, and what the operator has named.

A name is resolved once, every address it has is checked, and git is told to connect to these and to no other: what
the name means a second later changes nothing.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from foundation.errors import Invalid

SETTING = "ATELIER_GIT_ALLOW"
URL_LENGTH = 500
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True)
class Address:
    """A repository that may be fetched from. shown: for people and for keeping; pins: see sandbox.cloning."""

    url: str
    pins: tuple[str, ...] = ()
    plain: bool = False
    local: bool = False

    @property
    def shown(self) -> str:
        """As it is stored and shown; it never holds a credential."""
        return f"file://{self.url}" if self.local else self.url


def refuse(code: str, sentence: str, field: str = "git.url", **detail: Any) -> Invalid:
    """The error for an address that is not taken."""
    return Invalid(f"git.{code}", sentence, {"field": field, **detail})


def check_address(url: object, environment: Mapping[str, str] = os.environ) -> Address:
    """The address of a repository. Raises Invalid "git.url", "git.credentials", "git.inside" or "git.unreachable"."""
    if not isinstance(url, str) or not url.strip():
        raise refuse("url", "Give the https address of a git repository.")
    text = url.strip()
    if len(text) > URL_LENGTH or any(ord(c) < 33 or ord(c) > 126 or c in "\"'\\<>`" for c in text):
        raise refuse("url", "The address of the repository has characters that no address has, or too many.")
    hosts, folders = allowed(environment)
    if text.startswith(("/", "file://")):
        return _folder(text, folders)
    if re.fullmatch(r"[\w.-]+@[\w.-]+:.*", text) or text.startswith("ssh://"):
        raise refuse("url", "Repositories are fetched over https, not ssh: https://host/owner/name.")
    try:
        parts = urlsplit(text)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise refuse("url", "This is no address of a git repository.") from None
    if parts.username is not None or parts.password is not None:
        raise refuse(
            "credentials",
            "The address holds a user or a password, which would be kept with the run. Give it without, and the "
            "token apart: it is used once and kept nowhere.",
        )
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise refuse("url", "A repository has an https address, such as https://host/owner/name.")
    if parts.query or parts.fragment:
        raise refuse("url", "The address of a repository ends with its name: without ? and #.")
    named = parts.hostname in hosts or f"{parts.hostname}:{port}" in hosts
    if parts.scheme == "http" and not named:
        raise refuse("url", "A repository is fetched over https; this address begins with http.")
    return _resolved(text, parts, port, named=named)


def allowed(environment: Mapping[str, str]) -> tuple[frozenset[str], tuple[str, ...]]:
    """(hosts, folders) that the operator has named: hosts that may be inside, folders with repositories."""
    entries = [entry.strip() for entry in environment.get(SETTING, "").split(",") if entry.strip()]
    folders = tuple(os.path.realpath(entry) for entry in entries if entry.startswith("/"))
    return frozenset(entry.lower() for entry in entries if not entry.startswith("/")), folders


def _folder(text: str, folders: tuple[str, ...]) -> Address:
    path = os.path.realpath(text.removeprefix("file://"))
    if not any(path == folder or path.startswith(f"{folder.rstrip('/')}/") for folder in folders):
        raise refuse(
            "inside",
            "Folders of the studio's own machine are not fetched from, unless the operator has named them "
            f"({SETTING}).",
        )
    if not os.path.isdir(path):
        raise refuse("unreachable", "There is no repository at this path.")
    return Address(path, local=True)


def _resolved(text: str, parts: SplitResult, port: int, *, named: bool) -> Address:
    host = parts.hostname or ""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise refuse("unreachable", f"The host {host[:120]} cannot be found.") from None
    addresses = list(dict.fromkeys(str(one[4][0]).partition("%")[0] for one in found))
    if not named and not all(is_public(address) for address in addresses):
        raise refuse(
            "inside",
            f"{host} is an address inside the studio's own network, which is not fetched from. The operator can "
            f"allow this host ({SETTING}).",
        )
    pinned = ",".join(f"[{one}]" if ":" in one else one for one in addresses[:8])
    return Address(text, (f"{host}:{port}:{pinned}",), plain=parts.scheme == "http")


def is_public(text: str) -> bool:
    """Whether an address belongs to the internet, also the one that another form of it leads to."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address in _TRANSLATED:
            return is_public(str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)))
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return is_public(str(inner))
        if address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved
