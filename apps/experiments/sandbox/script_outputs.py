"""What a script left: files become artifacts, a model folder the run's model, models it logged are described."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from adapters.tracking.client import OutputLog
from adapters.tracking.models import ModelDescription, describe
from apps.experiments.sandbox.script_contract import Folders
from foundation.tasks import Context, UserError

FILES_AT_MOST = 1000
NAME_LENGTH = 200
EXAMPLE_ROWS = 5
LEFT_OUT_AT_MOST = 20
MODEL_FOLDER = "model"
SAVED = (".joblib", ".pkl", ".pickle")


def keep(
    ctx: Context,
    folders: Folders,
    open_log: Callable[[], OutputLog],
    *,
    failed: bool = False,
    wrap: Callable[[Path], Path | None] = lambda file: None,
) -> dict[str, Any]:
    """Keep the files of the output folder and the model. After a failure only the files, as far as it goes.
    wrap: makes an MLflow model folder of a file, where it can.

    Answers {"files": how many, "left_out": [sentences], "model": description or None, "model_files": whether
    files lie in the model folder that are no MLflow model}.
    """
    left_out: list[str] = []
    files = list(_regular(folders.outputs, left_out))
    is_model = (folders.model / "MLmodel").is_file()
    loose = [] if is_model else list(_regular(folders.model, left_out))
    if len(files) + len(loose) > FILES_AT_MOST:
        said = f"The script left {len(files) + len(loose):,} files; a run keeps {FILES_AT_MOST:,} at most."
        if not failed:
            raise UserError(f"{said} Pack them into one.", code="script.too_many_files")
        ctx.log.warning("%s", said)
        return {}
    if failed:
        if files:
            _after_failure(ctx, folders, files, open_log)
        return {}
    log = open_log()
    _send(log, folders.outputs, files, "")
    _send(log, folders.model, loose, MODEL_FOLDER)
    if is_model:
        _check_folder(folders.model)
        log.keep_model(folders.model)
    elif (file := _saved_model(folders.model, loose)) is not None and not log.logged_models():
        made = wrap(file)
        if made is not None:
            _check_folder(made)
            log.keep_model(made)
    for sentence in left_out[:LEFT_OUT_AT_MOST]:
        ctx.log.warning("%s", sentence)
    if files or loose:
        ctx.log.info("Kept %s.", _count(len(files) + len(loose)))
    model = _model(ctx, log)
    if model is not None:
        ctx.log.info(
            "The model of this run is %s%s.",
            model["id"],
            "" if model.get("signature") else "; it has no signature, so it cannot be deployed",
        )
    return {
        "files": len(files) + len(loose),
        "left_out": left_out[:LEFT_OUT_AT_MOST],
        "model": model,
        "model_files": bool(loose),
    }


def _saved_model(folder: Path, loose: list[Path]) -> Path | None:
    """The one file at the top of the model folder that joblib or pickle may have written."""
    found = [path for path in loose if path.parent == folder and path.suffix in SAVED]
    return found[0] if len(found) == 1 else None


def _count(number: int) -> str:
    return "one file" if number == 1 else f"{number:,} files"


def _after_failure(
    ctx: Context, folders: Folders, files: list[Path], open_log: Callable[[], OutputLog]
) -> None:
    """The reason of the failure is worth more than its files."""
    try:
        _send(open_log(), folders.outputs, files, "")
        ctx.log.info("Kept %s that the script had written.", _count(len(files)))
    except Exception as error:
        ctx.log.warning("The files that the script had written are not kept: %s.", type(error).__name__)


def _regular(folder: Path, left_out: list[str]) -> Iterator[Path]:
    """The regular files below a folder. Links, pipes and unreadable names are left out with a sentence: what
    they lead to is not the script's own."""
    for place, folders, names in os.walk(folder):
        for name in list(folders):
            if os.path.islink(os.path.join(place, name)):
                folders.remove(name)
                left_out.append(f"'{_shown(name)}' is a link and is left out.")
        for name in sorted(names):
            path = Path(place, name)
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode):
                left_out.append(f"'{_shown(name)}' is no regular file and is left out.")
            elif _unusable(str(path.relative_to(folder))):
                left_out.append(f"'{_shown(name)}' has a name that cannot be kept and is left out.")
            else:
                yield path


def _shown(name: str) -> str:
    return name.encode("utf-8", "replace").decode()[:80]


def _unusable(name: str) -> bool:
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return True
    odd = any(ord(c) < 32 or c in "\\%#?\x7f" for c in name)
    return odd or len(encoded) > 800 or any(len(part.encode()) > NAME_LENGTH for part in name.split("/"))


def _send(log: OutputLog, root: Path, files: list[Path], below: str) -> None:
    for path in files:
        inner = path.parent.relative_to(root).as_posix()
        log.file(path, "/".join(part for part in (below, "" if inner == "." else inner) if part))


def _check_folder(folder: Path) -> None:
    """A model folder goes as it is; one with links in it would take along what is not its own."""
    left_out: list[str] = []
    for _ in _regular(folder, left_out):
        pass
    if left_out:
        raise UserError(f"The model folder cannot be kept: {left_out[0]}", code="script.model_folder")


def _model(ctx: Context, log: OutputLog) -> dict[str, Any] | None:
    """What the last model of the run says about itself."""
    known = log.logged_models()
    if not known:
        return None
    scratch = ctx.folder / "described"
    scratch.mkdir()
    try:
        log.fetch_description(known[-1], scratch)
        found = describe(scratch)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        ctx.log.warning("The model cannot be described: %s.", error)
        return {"id": known[-1]}
    return {"id": known[-1], **description(found, scratch)}


def description(found: ModelDescription, folder: Path) -> dict[str, Any]:
    """The fields of a run's model: signature, example, requirements, flavors; what is unknown is absent."""
    needs = folder / "requirements.txt"
    lines = needs.read_text("utf-8", "replace").split("\n")[:100] if needs.is_file() else []
    content: dict[str, Any] = {
        "flavors": [name for name in found.flavors if name != "python_function"],
        "signature": {"inputs": found.columns, "outputs": found.outputs} if found.columns else None,
        "example": found.records()[:EXAMPLE_ROWS],
        "requirements": [line.strip()[:200] for line in lines if line.strip()],
    }
    return {name: value for name, value in content.items() if value}
