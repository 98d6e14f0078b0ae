"""No GPL-family code in the lock: every package's licence is read from its own metadata."""

from __future__ import annotations

import importlib.metadata
import re

import pytest

from tests.architecture.sources import ROOT

FORBIDDEN = re.compile(r"(?<![A-Za-z])(A?GPL|GNU (Affero )?General Public)", re.IGNORECASE)
# LGPL is used as a library, unmodified. text-unidecode and the like offer a choice with a permissive licence.
LIBRARY = re.compile(r"LGPL|Lesser", re.IGNORECASE)
PERMISSIVE = re.compile(r"MIT|BSD|Apache|Artistic|PSF|Python Software Foundation|ISC|MPL|Zlib", re.IGNORECASE)

# Distributions whose metadata name no licence; read in their sources.
SILENT = {"huey": "MIT"}


def locked() -> list[str]:
    """Names in requirements.txt."""
    return re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)


def licence_of(name: str) -> str:
    """What a distribution says of its licence: expression, short field and classifiers, in one line."""
    data = importlib.metadata.metadata(name)
    field = (data.get("License") or "").strip()
    classifiers = [c for c in data.get_all("Classifier") or [] if c.startswith("License")]
    short = field if len(field) < 120 else field[:60]
    return " | ".join(filter(None, [data.get("License-Expression") or "", short, *classifiers]))


def installed(name: str) -> bool:
    """Markers leave some packages out on this platform."""
    try:
        importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def test_the_lock_is_read() -> None:
    assert len(locked()) > 100
    assert sum(map(installed, locked())) > 100


@pytest.mark.parametrize("name", [name for name in locked() if installed(name)])
def test_the_licence_is_not_of_the_gpl_family(name: str) -> None:
    text = licence_of(name) or SILENT.get(name, "")
    assert text, f"{name} says nothing of its licence: read it, and name it in SILENT"
    offending = FORBIDDEN.search(LIBRARY.sub("", text).replace("GNU  General Public", ""))
    if LIBRARY.search(text):
        return
    assert offending is None or PERMISSIVE.search(text), f"{name}: {text}"
