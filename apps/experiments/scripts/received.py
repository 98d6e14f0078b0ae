"""The script that a request carries: its bytes and the name of its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.experiments.scripts.checking import CODE_BYTES
from foundation.api import check_fields
from foundation.errors import Invalid

PART = "code"
#: What the gateway tells about a file that it has received, beside the client's own fields.
_OF_GATEWAY = ("file_name", "file_size", "file_sha256")
_OF_SCRIPT = frozenset({"spec", "entry_point", "inputs", PART})


def received_code(request: Any) -> tuple[bytes | None, str]:
    """(bytes, file name) of the part "code", from the gateway's staging area or, without a gateway, from Django;
    (None, "") when there is none. One byte too many is read, so that a file too large is told from one that fits."""
    inner = getattr(request, "_request", request)
    staged = (getattr(inner, "scope", None) or {}).get("atelier.staged", {}).get("file")
    if staged is not None:
        with staged.path.open("rb") as file:
            return file.read(CODE_BYTES + 1), staged.filename
    uploaded = inner.FILES.get(PART)
    return (None, "") if uploaded is None else (uploaded.read(CODE_BYTES + 1), uploaded.name or "")


def is_script(request: Any) -> bool:
    """Whether a POST to /runs is a form with a script rather than JSON about an algorithm.

    Raises Invalid "script.multipart" for JSON that means a script.
    """
    form = not str(request.content_type or "").startswith("application/json")
    if form:
        check_fields(request.data, ["spec", PART, *_OF_GATEWAY])
    elif isinstance(request.data, Mapping) and _OF_SCRIPT & set(request.data):
        raise Invalid(
            "script.multipart",
            "A script is sent as multipart/form-data: the JSON in the field 'spec', the file in the field 'code'.",
            {"field": "code"},
        )
    return form
