"""The script program without a studio: what a script leaves is laid out in a folder of the person who ran it.

Payload and inputs as in sandbox.script; channels of the format "files" hold what was given, under its own names.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from apps.experiments.sandbox.script import run
from apps.experiments.sandbox.script_contract import Folders
from foundation.tasks import Context

MODEL = "model"
FILES = "outputs"
RUNS = "mlruns"


class FolderLog:
    """The twin of MLflow's log of a run for files: it copies them below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def file(self, local: Path, folder: str = "") -> None:
        """Keep one file; those of the model folder lie in a folder of their own."""
        inside = folder == MODEL or folder.startswith(f"{MODEL}/")
        target = self.root / folder if inside else self.root / FILES / folder
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(local, target / local.name)

    def keep_model(self, folder: Path) -> str:
        """Keep a model folder as it is."""
        shutil.copytree(folder, self.root / MODEL, symlinks=True, dirs_exist_ok=True)
        return ""

    def logged_models(self) -> list[str]:
        """What was logged lies in the runs' own folder."""
        return []

    def fetch_description(self, model_id: str, into: Path) -> None:
        """Nothing is described here."""


def main(ctx: Context) -> dict[str, Any]:
    """Run the script; the checkpoints and the logged runs are kept also when it failed."""
    folders = Folders(ctx.folder)
    try:
        return run(ctx, lambda: FolderLog(ctx.outputs))
    finally:
        for source, name in ((folders.checkpoints, "checkpoints"), (ctx.folder / RUNS, RUNS)):
            if source.is_dir() and any(source.iterdir()):
                shutil.copytree(source, ctx.outputs / name, symlinks=True, dirs_exist_ok=True)
