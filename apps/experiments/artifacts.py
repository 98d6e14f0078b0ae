"""A run's artifacts: listing, reading small ones for pages, streaming any for download."""

from __future__ import annotations

import json
import mimetypes
from dataclasses import dataclass
from typing import Any

from django.http import FileResponse, HttpResponseBase

from adapters.storage import get_store
from adapters.tracking import Artifact, get_tracking
from apps.experiments.models import Run
from foundation.errors import NotFound

#: Larger files are offered for download instead of being shown.
PREVIEW_BYTES = 200_000
FIGURES_AT_MOST = 24
_TEXTUAL = (".txt", ".json", ".yaml", ".yml", ".md", ".csv", ".log", ".py", ".toml", ".cfg", ".ini")
_NAMES = ("MLmodel",)


@dataclass(frozen=True)
class Preview:
    """A text artifact as a page shows it; text is None when it is not text or too large."""

    path: str
    size: int
    text: str | None


def list_artifacts(run: Run, path: str = "") -> list[Artifact]:
    """What lies directly in a folder of the run: folders first; the folder "model" is the model it logged.

    Raises NotFound for a path that leaves the run.
    """
    found = _list(get_tracking().artifact_key(run.hex, path), path)
    has_model = bool(run.model and run.model.get("id"))
    if not path and has_model and not any(a.path == "model" for a in found):
        found = [Artifact("model", is_folder=True), *found]
    if not found and path.split("/")[0] == "model" and (folder := _model_folder(run)):
        inner = path.removeprefix("model").strip("/")
        found = _list(f"{folder}/{inner}".rstrip("/"), path)
    return found


def _model_folder(run: Run) -> str:
    """The key of the folder of the run's model, which MLflow 3 keeps beside its runs; "" without one."""
    wanted = (run.model or {}).get("id")
    data = get_tracking().runs([run.hex], project_id=run.project_id).get(run.hex)
    return next((m.key for m in data.models if m.id == wanted), "") if data else ""


def _list(folder: str, shown: str) -> list[Artifact]:
    """The folders and files directly below a key, under the path that is shown for it."""
    store = get_store()
    folders: set[str] = set()
    files: dict[str, int] = {}
    for key in store.list(folder):
        name, slash, _ = key.removeprefix(f"{folder}/").partition("/")
        if slash:
            folders.add(name)
        else:
            files[name] = store.size(key)
    where = f"{shown.strip('/')}/" if shown.strip("/") else ""
    return [Artifact(where + n, True) for n in sorted(folders)] + [
        Artifact(where + n, False, size) for n, size in sorted(files.items())
    ]


def artifact_key(run: Run, path: str) -> str:
    """The object-store key of an artifact that exists. Raises NotFound "run.no_artifact"."""
    store = get_store()
    key = get_tracking().artifact_key(run.hex, path)
    if not store.exists(key) and path.startswith("model/") and (folder := _model_folder(run)):
        inner = path.removeprefix("model/")
        if ".." not in inner.split("/"):
            key = f"{folder}/{inner}"
    if not path.strip("/") or not store.exists(key):
        raise NotFound(
            "run.no_artifact",
            f"The run has no file '{path[:120]}' among its artifacts.",
            {"path": path[:120]},
        )
    return key


def download(run: Run, path: str) -> HttpResponseBase:
    """The artifact as an attachment: what a run logged is never rendered under the studio's own origin."""
    key = artifact_key(run, path)
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    response = FileResponse(
        get_store().open(key), as_attachment=True, filename=path.rsplit("/", 1)[-1], content_type=kind
    )
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def preview(run: Run, path: str) -> Preview:
    """The artifact's text, when it is small and textual. Raises NotFound."""
    key = artifact_key(run, path)
    size = get_store().size(key)
    name = path.rsplit("/", 1)[-1]
    if size > PREVIEW_BYTES or not (name.endswith(_TEXTUAL) or name in _NAMES):
        return Preview(path, size, None)
    with get_store().open(key) as file:
        text = file.read().decode("utf-8", errors="replace")
    if name.endswith(".json"):
        try:
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
        except ValueError:
            return Preview(path, size, text)
    return Preview(path, size, text)


def read_json(run: Run, path: str) -> Any:
    """A JSON artifact, or None when it is absent, broken or too large."""
    try:
        key = artifact_key(run, path)
    except NotFound:
        return None
    if get_store().size(key) > 5_000_000:
        return None
    try:
        with get_store().open(key) as file:
            return json.load(file)
    except ValueError:
        return None


def figures_of(run: Run) -> list[tuple[str, dict[str, Any]]]:
    """The run's figures (figures/*.json with data and layout): [(title, figure)], built-in ones first."""
    paths = [a.path for a in list_artifacts(run, "figures") if not a.is_folder and a.path.endswith(".json")]
    order = {f"figures/{name}.json": n for n, name in enumerate(run.details.get("figures", []))}
    paths.sort(key=lambda p: (order.get(p, len(order)), p))
    found = []
    for path in paths[:FIGURES_AT_MOST]:
        figure = read_json(run, path)
        if isinstance(figure, dict) and isinstance(figure.get("data"), list):
            name = path.removeprefix("figures/").removesuffix(".json").replace("_", " ")
            layout = dict(figure.get("layout") or {})
            title = layout.pop("title", None)
            text = title.get("text") if isinstance(title, dict) else title
            found.append((str(text or name.capitalize()), {"data": figure["data"], "layout": layout}))
    return found
