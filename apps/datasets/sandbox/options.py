"""What a person may ask of the reader. Plain Python, so that forms and the REST API share it with the sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foundation.tasks import UserError

HEADERS = ("auto", "yes", "no")
SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
# The word in forms -> Python's codec.
ENCODINGS = {"utf-8": "utf-8", "utf-16": "utf-16-le", "windows-1252": "cp1252", "latin-1": "latin-1"}
OFFERED: Mapping[str, tuple[str, ...]] = {
    "header": HEADERS,
    "separator": ("auto", *SEPARATORS),
    "encoding": ("auto", *ENCODINGS),
}
SHEET_LENGTH = 31


def checked_options(given: Mapping[str, Any]) -> dict[str, str]:
    """header (auto, yes, no), separator (auto, comma, semicolon, tab, pipe), encoding (auto, utf-8, utf-16,
    windows-1252, latin-1) and sheet (a worksheet's name, "" for the first filled one); other keys are ignored.

    Raises UserError "dataset.options" for a value that is not offered.
    """
    found: dict[str, str] = {}
    for name, values in OFFERED.items():
        value = given.get(name) or "auto"
        if value not in values:
            raise UserError(
                f"The option {name} is one of {', '.join(values)}.",
                code="dataset.options",
                detail={"field": name},
            )
        found[name] = str(value)
    sheet = str(given.get("sheet") or "")
    if len(sheet) > SHEET_LENGTH or "\x00" in sheet:
        raise UserError(
            f"The name of a worksheet has at most {SHEET_LENGTH} characters.",
            code="dataset.options",
            detail={"field": "sheet"},
        )
    return {**found, "sheet": sheet}
