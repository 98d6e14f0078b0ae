"""Messages at the foot of the page that carry a way back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages

MARK = "undo:"


@dataclass(frozen=True)
class Undo:
    """The form of an "Undo" button: where it posts, and its hidden fields."""

    url: str
    fields: list[tuple[str, str]]


def say_with_undo(request: Any, sentence: str, undo_url: str, fields: Iterable[tuple[str, str]] = ()) -> None:
    """A green toast with the button "Undo", which posts `fields` to `undo_url`."""
    tags = MARK + json.dumps({"url": undo_url, "fields": list(fields)})
    messages.success(request, sentence, extra_tags=tags)


def undo_of(message: Any) -> Undo | None:
    """The way back that a message carries, if any."""
    tags = getattr(message, "extra_tags", "") or ""
    if not tags.startswith(MARK):
        return None
    found = json.loads(tags.removeprefix(MARK))
    return Undo(found["url"], [(name, value) for name, value in found["fields"]])
