"""Model folders put together again from single input files."""

from __future__ import annotations

import shutil
from pathlib import Path

from foundation.tasks import Context


def rebuild(ctx: Context, files: dict[str, str], name: str) -> Path:
    """The folder ctx.folder/name with every input file at its place below it."""
    folder = ctx.folder / name
    for key, relative in files.items():
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ctx.inputs[key], target)
    return folder
