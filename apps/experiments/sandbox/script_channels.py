"""The folders of a script's input channels: copies of the Parquet parts, or one CSV file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from apps.experiments.sandbox.script_contract import Folders
from foundation.tasks import Context, UserError

BATCH_ROWS = 50_000


def lay_out(ctx: Context, folders: Folders, channels: Mapping[str, str], bare: Collection[str] = ()) -> None:
    """Fill the folder of every channel. Copies, not links: a script that writes into its input does not change
    the dataset. bare: channels whose CSV has no line of names. Raises UserError "input.not_csv" for a column that CSV cannot hold."""
    for channel, kind in channels.items():
        folder = folders.channel(channel)
        folder.mkdir()
        names = sorted(name for name in ctx.inputs if name.partition("/")[0] == channel)
        parts = [ctx.inputs[name] for name in names]
        if kind == "csv":
            write_csv(parts, folder / f"{channel}.csv", channel, header=channel not in bare)
        elif kind == "files":
            copy_as_they_are(parts, [name.removeprefix(f"{channel}/") for name in names], folder)
        else:
            for name, part in zip(names, parts, strict=True):
                shutil.copyfile(part, folder / f"{name.rpartition('/')[2]}.parquet")
        laid = [file for file in folder.rglob("*") if file.is_file()]
        for file in laid:
            os.chmod(file, 0o400)
        size = sum(file.stat().st_size for file in laid)
        ctx.log.info(
            "Channel '%s': %s, %s bytes.", channel, kind.upper() if kind == "csv" else kind, f"{size:,}"
        )


def copy_as_they_are(parts: Sequence[Path], names: Sequence[str], folder: Path) -> None:
    """What somebody has given from their own disk keeps its name."""
    for part, name in zip(parts, names, strict=True):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(part, target)


def restore(ctx: Context, folders: Folders) -> None:
    """Lay out the checkpoint that this attempt goes on from. It appears in one step: whoever keeps the folder never
    sees a part of it."""
    places = ctx.payload.get("checkpoint") or []
    if not places:
        return
    made = folders.root / ".restoring"
    for place in places:
        path = made / str(place["path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ctx.inputs[str(place["input"])], path)
    os.replace(made, folders.checkpoints)
    ctx.log.info("%s", ctx.payload.get("checkpoint_told") or "Goes on from a checkpoint.")


def write_csv(parts: Sequence[Path], path: Path, channel: str, *, header: bool = True) -> None:
    """All rows of the parts as one CSV file, with a line of names unless header is false."""
    import pyarrow as pa
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    writer: Any = None
    schema: Any = None
    try:
        for part in parts:
            file = pq.ParquetFile(part)
            for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
                table = _plain(pa.Table.from_batches([batch]))
                if writer is None:
                    schema = table.schema
                    writer = csv.CSVWriter(
                        path, schema, write_options=csv.WriteOptions(include_header=header)
                    )
                writer.write_table(table.cast(schema))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise UserError(
            f"The channel '{channel}' cannot be written as CSV: {error}. Take it as Parquet.",
            code="input.not_csv",
        ) from error
    finally:
        if writer is not None:
            writer.close()


def _plain(table: Any) -> Any:
    """Categories as the values they stand for."""
    import pyarrow as pa

    for n, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(n, field.name, table.column(n).cast(field.type.value_type))
    return table
