"""dataset_check: is this version of a dataset there, and as it should be?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from apps.accounts.access import Actor
from apps.accounts.models import Project
from apps.datasets.access import get_usable_version, get_visible_dataset, get_visible_version
from apps.datasets.models import DatasetVersion, VersionProfile
from apps.datasets.states import VersionState
from apps.lineage.states import NodeKind as LineageKind
from apps.pipelines.nodes.base import (
    Done,
    Field,
    NodeContext,
    NodeKind,
    Output,
    Pending,
    Step,
    Subject,
    is_literal,
)
from apps.pipelines.types import matches
from foundation.errors import Conflict, Invalid

NAMED = 5


class DatasetCheck(NodeKind):
    """Rows, columns, missing values and schema of a version; a version that is still being read is waited for."""

    name = "dataset_check"
    title = "Dataset check"
    help = "Fails unless a dataset version is there and as it should be."
    icon = "dataset"
    fields = {
        "dataset": Field("dataset", 'the dataset, "churn" (its newest version) or "churn@2".', required=True),
        "rows_at_least": Field("integer", "the fewest rows it may have.", low=0),
        "rows_at_most": Field("integer", "the most rows it may have.", low=0),
        "columns": Field("list", "names of columns that must be there."),
        "missing_at_most": Field(
            "any", 'the largest share of missing values, for every column (0.1) or by name ({"age": 0.1}).'
        ),
        "same_schema_as": Field("dataset", "another version whose columns and types it must have."),
    }
    outputs = {
        "dataset": Output("dataset", "the version that was checked, as churn@2"),
        "rows": Output("integer", "its number of rows"),
        "columns": Output("integer", "its number of columns"),
        "missing": Output("number", "the largest share of missing values among its columns"),
    }

    def faults(self, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        least, most = values.get("rows_at_least"), values.get("rows_at_most")
        if isinstance(least, int | float) and isinstance(most, int | float) and least > most:
            yield "rows_at_most", f"No dataset has at least {least} and at most {most} rows."
        columns = values.get("columns")
        if columns is not None and not all(isinstance(name, str) for name in columns):
            yield "columns", 'The columns are a list of names such as ["age", "income"].'
        missing = values.get("missing_at_most")
        if missing is not None and is_literal(missing):
            yield from (("missing_at_most", sentence) for sentence in _share_faults(missing))

    def start(self, ctx: NodeContext) -> Step:
        version = _version(ctx.actor, ctx.project, ctx.values["dataset"])
        if version.state == VersionState.PENDING:
            return Pending(f"Waits until {version.label} has been read.")
        if version.state == VersionState.FAILED:
            raise Conflict("dataset.not_ready", f"{version.label} could not be read: {version.error_message}")
        shares = _missing_shares(version)
        problems = [*_row_problems(version, ctx.values), *_column_problems(version, ctx.values)]
        problems += _missing_problems(shares, ctx.values.get("missing_at_most"))
        if other := ctx.values.get("same_schema_as"):
            problems += _schema_problems(version, get_usable_version(ctx.actor, ctx.project, other))
        if problems:
            raise Invalid("pipeline.check_failed", f"{version.label}: {'; '.join(problems)}.")
        rows, columns = version.rows or 0, version.columns or 0
        return Done(
            outputs={
                "dataset": version.label,
                "rows": rows,
                "columns": columns,
                "missing": max(shares.values(), default=0.0),
            },
            said=f"{version.label} has {rows:,} rows and {columns} columns, and all that was asked for.",
            subject=Subject(
                "dataset_version",
                str(version.pk),
                version.label,
                version.get_absolute_url(),
                reads=(LineageKind.DATASET_VERSION, version.pk),
            ),
        )


def _version(actor: Actor, project: Project, reference: str) -> DatasetVersion:
    """The version, also while it is being read. Raises NotFound, Invalid."""
    name, separator, number = reference.partition("@")
    if separator and number.isascii() and number.isdigit():
        return get_visible_version(actor, project, name, number)
    if not separator:
        dataset = get_visible_dataset(actor, project, name)
        alive = dataset.versions.filter(deleted_at__isnull=True).select_related("dataset", "project")
        newest = (
            alive.filter(state=VersionState.READY).first() or alive.filter(state=VersionState.PENDING).first()
        )
        if newest is not None:
            return newest
    return get_usable_version(actor, project, reference)


def _share_faults(value: Any) -> Iterator[str]:
    shares = value if isinstance(value, dict) else {"": value}
    for name, share in shares.items():
        if not matches(share, "number") or not 0 <= share <= 1:
            where = f" of '{name[:60]}'" if name else ""
            yield f"The share{where} must be a number from 0 to 1."


def _missing_shares(version: DatasetVersion) -> dict[str, float]:
    profile = VersionProfile.objects.filter(pk=version.pk).only("columns").first()
    return {
        str(column["name"]): column["missing"] / column["count"] if column["count"] else 0.0
        for column in (profile.columns if profile else [])
    }


def _row_problems(version: DatasetVersion, values: Mapping[str, Any]) -> Iterator[str]:
    rows, least, most = version.rows or 0, values.get("rows_at_least"), values.get("rows_at_most")
    if least is not None and rows < least:
        yield f"it has {rows:,} rows, at least {least:,} are asked for"
    if most is not None and rows > most:
        yield f"it has {rows:,} rows, at most {most:,} are allowed"


def _column_problems(version: DatasetVersion, values: Mapping[str, Any]) -> Iterator[str]:
    known = {str(column["name"]) for column in version.schema}
    if lacking := [str(name) for name in values.get("columns") or [] if name not in known]:
        yield f"it has no column {_names(lacking)}"


def _missing_problems(shares: Mapping[str, float], wanted: Any) -> Iterator[str]:
    if wanted is None:
        return
    for sentence in _share_faults(wanted):
        raise Invalid("pipeline.input", sentence)
    limits = wanted if isinstance(wanted, dict) else dict.fromkeys(shares, wanted)
    if unknown := [name for name in limits if name not in shares]:
        yield f"it has no column {_names(unknown)}"
    for name, limit in limits.items():
        if name in shares and shares[name] > limit:
            yield f"{shares[name]:.1%} of '{name}' is missing, at most {limit:.1%} may be"


def _schema_problems(version: DatasetVersion, other: DatasetVersion) -> Iterator[str]:
    mine = {str(column["name"]): str(column["type"]) for column in version.schema}
    theirs = {str(column["name"]): str(column["type"]) for column in other.schema}
    if lacking := [name for name in theirs if name not in mine]:
        yield f"unlike {other.label} it has no column {_names(lacking)}"
    if extra := [name for name in mine if name not in theirs]:
        yield f"unlike {other.label} it has a column {_names(extra)}"
    for name, type_ in mine.items():
        if name in theirs and theirs[name] != type_:
            yield f"'{name}' is {type_}, in {other.label} it is {theirs[name]}"


def _names(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:NAMED])
    return f"{shown} and {len(names) - NAMED} more" if len(names) > NAMED else shown


KIND = DatasetCheck()
