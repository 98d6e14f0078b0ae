"""What people write as requirements: checked line by line before anything is resolved.

Only names with versions, extras and markers are taken, and hashes. Options would choose another index, paths
would read files of the worker, addresses would make the studio fetch whatever they name.
"""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from foundation.errors import Invalid

LENGTH_AT_MOST = 64 * 1024
LINES_AT_MOST = 500
_HASH = re.compile(r"\s--hash[= ]sha256:([0-9a-f]{64})(?=\s|$)")
#: Makes other digests when what is built from the same lock changes.
LAYOUT = "1"


@dataclass(frozen=True)
class Requirements:
    """Checked requirements. lines: normalised, in the order they were written; hashes: name -> allowed SHA-256."""

    lines: tuple[str, ...]
    hashes: dict[str, tuple[str, ...]]

    @property
    def text(self) -> str:
        """As a file."""
        return "".join(f"{line}\n" for line in self.lines)


def python_version() -> str:
    """The Python for which environments are resolved: that of the studio, such as "3.12"."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def request_digest(requirements: Requirements) -> str:
    """The same lines for the same Python are the same request, whatever their order."""
    parts = [LAYOUT, python_version(), *sorted(requirements.lines)]
    parts += [f"{name} {' '.join(sorted(found))}" for name, found in sorted(requirements.hashes.items())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def lock_digest(lock: str) -> str:
    """The name of the folder of a lock: its packages, the Python and the kind of machine."""
    lines = sorted(line.strip() for line in lock.splitlines() if line.strip())
    parts = [LAYOUT, python_version(), sys.platform, platform.machine(), *lines]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def parse_requirements(text: object) -> Requirements:
    """Check a requirements file.

    Raises Invalid "environment.empty", "environment.too_long", "environment.bad_line" with the line's number.
    """
    if not isinstance(text, str):
        raise Invalid(
            "environment.empty", "The requirements must be text, one package a line.", _at("requirements")
        )
    if len(text) > LENGTH_AT_MOST:
        raise Invalid(
            "environment.too_long",
            f"The requirements have {len(text):,} characters; {LENGTH_AT_MOST:,} are allowed.",
            _at("requirements"),
        )
    lines: list[str] = []
    hashes: dict[str, tuple[str, ...]] = {}
    for number, line in _logical(text):
        requirement, allowed = _parse(line, number)
        shown = str(requirement)
        if shown not in lines:
            lines.append(shown)
        if allowed:
            hashes[canonicalize_name(requirement.name)] = allowed
    if not lines:
        raise Invalid(
            "environment.empty",
            "Name at least one package, one a line, for instance: xgboost>=2.",
            _at("requirements"),
        )
    if len(lines) > LINES_AT_MOST:
        raise Invalid(
            "environment.too_long",
            f"There are {len(lines):,} requirements; {LINES_AT_MOST} are allowed.",
            _at("requirements"),
        )
    return Requirements(tuple(lines), hashes)


def _at(field: str, **more: object) -> dict[str, object]:
    return {"field": field, **more}


def _logical(text: str) -> list[tuple[int, str]]:
    """(number of the first line, line) without comments, continued lines joined."""
    found: list[tuple[int, str]] = []
    begun, held = 0, ""
    for number, raw in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        line = re.sub(r"(^|\s)#.*$", "", raw).rstrip()
        begun = begun or number
        if line.endswith("\\"):
            held += line[:-1] + " "
            continue
        whole = (held + line).strip()
        if whole:
            found.append((begun, whole))
        begun, held = 0, ""
    if held.strip():
        found.append((begun, held.strip()))
    return found


def _parse(line: str, number: int) -> tuple[Requirement, tuple[str, ...]]:
    if line.startswith("-"):
        raise _bad(
            number,
            line,
            f"'{line.split()[0].split('=')[0][:40]}' is an option. Only packages stand here; which package index "
            "is asked, the administrator decides for the whole studio.",
        )
    allowed = tuple(_HASH.findall(line))
    plain = _HASH.sub("", line).strip()
    try:
        requirement = Requirement(plain)
    except InvalidRequirement:
        if re.search(r"://|^[./~]|\.(whl|zip|tar\.gz)$|^[A-Za-z]:\\", plain):
            raise _bad(number, line, "Packages are named, not fetched from an address or a path.") from None
        raise _bad(
            number, line, f"'{plain[:80]}' names no package. Write for instance: pandas>=2,<3."
        ) from None
    if requirement.url:
        raise _bad(number, line, f"{requirement.name} comes from an address; name a version of it instead.")
    if "--" in plain:
        raise _bad(number, line, "Of options only --hash=sha256:… is understood.")
    return requirement, allowed


def _bad(number: int, line: str, said: str) -> Invalid:
    return Invalid(
        "environment.bad_line",
        f"Line {number} of the requirements: {said}",
        _at("requirements", line=number, text=line[:200]),
    )
