"""The code of a run as it is looked at and used again: one script, or the files of an archive or a repository."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from apps.experiments.models import Run
from apps.experiments.scripts.checking import Code, check_code
from apps.experiments.scripts.highlight import highlighted
from apps.experiments.scripts.intake import choose_entry
from apps.experiments.scripts.kept import code_of, list_files, read_file, root_of
from foundation.errors import NotFound

SHOWN_BYTES = 512 * 1024
FILES_SHOWN = 1000


@dataclass(frozen=True)
class Listed:
    """A file in the list of a run's code."""

    path: str
    size: int
    current: bool
    entry: bool


@dataclass(frozen=True)
class CodeTab:
    """The code of a run as its tab shows it: one file at a time. lines: None for what is no text."""

    name: str
    digest: str
    text: str
    lines: list[SafeString] | None
    size: int
    told: str = ""
    source: dict[str, object] = field(default_factory=dict)
    files: list[Listed] = field(default_factory=list)
    total: int = 0
    wanted: str = ""


def code_tab(run: Run, wanted: str = "") -> CodeTab | None:
    """The code of a run with the wanted file, else the one that is run; None when it has none of its own.

    Raises NotFound "run.no_code_file".
    """
    if not run.code_digest:
        return None
    name = wanted if wanted and run.code_source else run.code_name
    try:
        files = list_files(run)
    except NotFound:
        return None
    size = dict(files).get(name, 0)
    text, lines = _shown(name, read_file(run, name)) if size <= SHOWN_BYTES else ("", None)
    files = files if run.code_source else []
    return CodeTab(
        name=name,
        digest=run.code_digest,
        text=text,
        lines=lines,
        size=size,
        told=told_source(run),
        source=run.code_source,
        files=[Listed(path, size, path == name, path == run.code_name) for path, size in files[:FILES_SHOWN]],
        total=len(files),
        wanted=name,
    )


def _shown(name: str, data: bytes) -> tuple[str, list[SafeString] | None]:
    if b"\x00" in data:
        return "", None
    text = data.decode("utf-8-sig", "replace").replace("\r\n", "\n")
    if name.endswith(".py"):
        return text, highlighted(text)
    return text, [mark_safe(escape(line)) for line in text.removesuffix("\n").split("\n")]  # noqa: S308 (escaped)


def told_source(run: Run) -> str:
    """Where an archive or a repository came from, in words; "" for one file."""
    source = run.code_source
    files = int(source.get("files", 0))
    many = "one file" if files == 1 else f"{files:,} files"
    if source.get("kind") == "git":
        inside = f"/{source['folder']}" if source.get("folder") else ""
        named = (
            f" ({source['ref']})"
            if source.get("ref") and not str(source["commit"]).startswith(source["ref"])
            else ""
        )
        return f"{many} of {source['url']}{inside} at {str(source['commit'])[:12]}{named}"
    if source.get("kind") == "archive":
        return f"{many} of {source.get('file') or 'an archive'}"
    return ""


def source_text(run: Run) -> str:
    """The script of a run for a form; "" when it is no single file, or gone."""
    if run.code_source:
        return ""
    try:
        return code_of(run).decode("utf-8-sig", "replace")
    except NotFound:
        return ""


def code_again(run: Run, entry_point: object) -> Code:
    """The code of an earlier run for a new one, with another entry point where one is given.

    Raises NotFound "run.no_code", Invalid "script.no_entry_point".
    """
    data = code_of(run)
    if not run.code_source:
        return check_code(data, run.code_name)
    root = root_of(run)
    names = [root + path for path, _ in list_files(run)]
    entry = choose_entry(names, root, entry_point) if entry_point not in (None, "") else run.code_name
    checked = check_code(read_file(run, entry), entry)
    return Code(entry, data, run.code_digest, checked.text, dict(run.code_source))
