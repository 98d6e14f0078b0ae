"""The code that a request carries: its bytes and the name of its file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from apps.experiments.scripts.checking import CODE_BYTES
from foundation.api import check_fields
from foundation.errors import Invalid

PART = "code"
#: What the gateway tells about a file that it has received, beside the client's own fields.
_OF_GATEWAY = ("file_name", "file_size", "file_sha256")
_OF_SCRIPT = frozenset({"spec", "entry_point", "inputs", PART})


@dataclass(frozen=True)
class Received:
    """A file as it came, or text that was pasted. path: where the gateway has staged it; head: its first bytes, one
    more than a script may have, so that a file too large is told from one that fits."""

    filename: str
    head: bytes
    path: Path | None = None
    upload: Any = None

    def script(self) -> bytes:
        """The file as one script."""
        return self.head

    @contextmanager
    def stream(self) -> Iterator[IO[bytes]]:
        """The whole file, with a descriptor that another process can be given."""
        if self.path is not None:
            with self.path.open("rb") as file:
                yield file
            return
        with TemporaryFile() as copy:
            if self.upload is None:
                copy.write(self.head)
            else:
                self.upload.seek(0)
                for piece in self.upload.chunks():
                    copy.write(piece)
            copy.seek(0)
            yield copy


def pasted(text: str) -> Received:
    """What was typed into a page."""
    source = text.replace("\r\n", "\n")
    return Received("", source.encode("utf-8", "surrogatepass") if source.strip() else b"")


def received_code(request: Any) -> Received | None:
    """The part "code", from the gateway's staging area or, without a gateway, from Django; None when there is none."""
    inner = getattr(request, "_request", request)
    staged = (getattr(inner, "scope", None) or {}).get("atelier.staged", {}).get("file")
    if staged is not None:
        with staged.path.open("rb") as file:
            return Received(staged.filename, file.read(CODE_BYTES + 1), path=staged.path)
    uploaded = inner.FILES.get(PART)
    return (
        None
        if uploaded is None
        else Received(uploaded.name or "", uploaded.read(CODE_BYTES + 1), upload=uploaded)
    )


def is_script(request: Any) -> bool:
    """Whether a POST to /runs is about code of one's own (a form with a file, or JSON that names a repository) rather
    than about an algorithm.

    Raises Invalid "script.multipart" for JSON that means a file.
    """
    form = not str(request.content_type or "").startswith("application/json")
    if form:
        check_fields(request.data, ["spec", PART, *_OF_GATEWAY])
        return True
    if not isinstance(request.data, Mapping):
        return False
    if request.data.get("git") is not None or request.data.get("code_of") is not None:
        return True
    if _OF_SCRIPT & set(request.data):
        raise Invalid(
            "script.multipart",
            "A script or an archive is sent as multipart/form-data: the JSON in the field 'spec', the file in the "
            "field 'code'. Only a git repository needs no file: send it as 'git'.",
            {"field": "code"},
        )
    return False


def body_of(request: Any) -> object:
    """What is asked for: the field `spec` of a form (its text), or the JSON itself."""
    form = not str(request.content_type or "").startswith("application/json")
    return request.data.get("spec") if form else dict(request.data)
