"""What the pages show: context objects that a page and its live fragment share."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from apps.accounts.models import Project
from apps.accounts.trash import name_trashers
from apps.datasets import charts, queries
from apps.datasets.models import Dataset, DatasetVersion
from apps.datasets.queries import DatasetSummary
from apps.datasets.states import VersionState
from apps.jobs.queries import Progress, progress_of
from apps.lineage import queries as lineage
from apps.lineage.states import NodeKind
from foundation.ui.listing import Listing, list_page
from foundation.ui.values import number, percent

ORDERS = {"name": "name", "updated": "updated_at", "created": "created_at"}
VERSION_ORDERS = {"number": "number", "rows": "rows", "size": "bytes", "created": "created_at"}
#: what keeps a page under 100 kB of HTML: a column costs 4 kB with its histogram, a cell of the preview 35 bytes
COLUMNS_PER_PAGE = 20
CELLS = 1_500
# What to do about a failure, by its code.
ADVICE = {
    "dataset.no_header": "Say below whether the file has a header, and read it again.",
    "dataset.unreadable": "Mend the file and upload it as the next version, or read this one again with other settings.",
    "dataset.too_large": "Split the table, or upload it as Parquet.",
    "dataset.no_rows": "Upload a file with at least one row below its header.",
    "job.memory_limit": "Split the table, or upload it as Parquet, which needs less memory to read.",
    "job.cancelled": "Read it again whenever you like: the upload is kept.",
}


def name_version_trashers(project: Project, versions: Iterable[DatasetVersion]) -> None:
    """Who moved each of these versions to the trash."""
    name_trashers(
        project,
        versions,
        "dataset.trash_version",
        subject=lambda version: version.dataset_id,
        version=lambda version: int(version.number),
    )


@dataclass(frozen=True)
class ListPage:
    """The list of a project's datasets, or of its trash."""

    listing: Listing
    rows: list[DatasetSummary]
    trashed: bool
    live: bool
    snippet: str

    @classmethod
    def build(cls, request: HttpRequest, project: Project, *, trashed: bool = False) -> ListPage:
        """From the URL's q and order."""
        found = queries.datasets_of(project, q=request.GET.get("q", ""), trashed=trashed)
        total = queries.datasets_of(project, trashed=trashed).count()
        listing = list_page(request, found, orders=ORDERS, default="-updated", total=total)
        if trashed:
            name_trashers(project, listing.rows, "dataset.trash")
        rows = queries.summaries(listing.rows)
        live = any(row.latest is not None and row.latest.state == VersionState.PENDING for row in rows)
        return cls(listing, rows, trashed, live, _snippet(request, project))


@dataclass(frozen=True)
class DatasetPage:
    """One dataset with its versions."""

    summary: DatasetSummary
    listing: Listing
    stops: list[dict[str, Any]]
    trashed_versions: int
    live: bool

    @classmethod
    def build(cls, request: HttpRequest, dataset: Dataset) -> DatasetPage:
        """The versions as the URL orders them; `?trashed=1` shows those in the trash."""
        trashed = request.GET.get("trashed") == "1"
        versions = queries.versions_of(dataset, trashed=trashed)
        listing = list_page(request, versions, orders=VERSION_ORDERS, default="-number")
        if trashed:
            name_version_trashers(dataset.project, listing.rows)
        summary = queries.summary_of(dataset)
        return cls(
            summary=summary,
            listing=listing,
            stops=line_of(summary.ready or summary.latest),
            trashed_versions=queries.versions_of(dataset, trashed=True).count(),
            live=any(version.state == VersionState.PENDING for version in listing.rows),
        )


@dataclass(frozen=True)
class ColumnRow:
    """One column of a version's overview."""

    index: int
    profile: dict[str, Any]
    missing: float
    counts: list[int]
    labels: list[str]
    common: str
    low: str
    mean: str
    high: str

    @property
    def missing_words(self) -> str:
        """The share that is missing; "< 0.1 %" rather than a rounded zero."""
        return "< 0.1\u202f%" if 0 < self.missing < 0.0005 else percent(self.missing)

    @classmethod
    def of(cls, index: int, profile: dict[str, Any]) -> ColumnRow:
        """From a column's profile."""
        histogram = profile.get("histogram") or {}
        counts, edges = list(histogram.get("counts", [])), list(histogram.get("edges", []))
        labels = [f"{_edge(a)} to {_edge(b)}" for a, b in itertools.pairwise(edges)]
        if not counts:
            # Without the rest: a bar of "all others" would flatten the shape of what is frequent.
            frequent = [pair for pair in charts.frequent(profile) if pair[0] != charts.REST]
            counts, labels = [count for _, count in frequent], [label for label, _ in frequent]
        top = profile.get("top") or []
        common = charts.word_of(top[0]["value"]) if top and profile["type"] in ("string", "boolean") else ""
        low, mean, high = (_short(profile.get(key)) for key in ("min", "mean", "max"))
        missing = profile["missing"] / max(1, profile["count"])
        return cls(index, profile, missing, counts, labels, common, low, mean, high)


@dataclass(frozen=True)
class VersionPage:
    """One version on one of its tabs."""

    version: DatasetVersion
    tab: str
    stops: list[dict[str, Any]]
    progress: Progress | None = None
    advice: str = ""
    columns: list[ColumnRow] = field(default_factory=list)
    column_total: int = 0
    next_columns: int | None = None
    previous_columns: int | None = None
    preview: dict[str, Any] = field(default_factory=dict)
    chosen: dict[str, Any] | None = None
    figure: dict[str, Any] | None = None
    graph: Any = None

    @property
    def live(self) -> bool:
        """Whether the version is still being read."""
        return self.version.state == VersionState.PENDING

    @property
    def title(self) -> str:
        """What the browser's title shows while the file is read."""
        if not self.live:
            return ""
        percent = self.progress.percent if self.progress is not None else None
        return f"● {percent or 0} %"

    @property
    def run_url(self) -> str:
        """The form of a new run on this version; empty where runs are not installed."""
        try:
            base = reverse("experiments:new-run", args=[self.version.project.slug])
        except NoReverseMatch:
            return ""
        return f"{base}?{urlencode({'dataset': self.version.label})}"

    @property
    def show_next_step(self) -> bool:
        """Whether the version was just made: nothing has used it."""
        return bool(self.run_url) and len(self.stops) <= 1

    @property
    def failure_tone(self) -> str:
        """Red when the file is at fault, purple when we are."""
        return "red" if self.version.error_code.startswith("dataset.") else "purple"

    @property
    def layout(self) -> str:
        """How the file was read, in words: "CSV, gzipped, UTF-8"."""
        return ", ".join(_layout_words(self.version.source))

    @property
    def preview_rows(self) -> list[list[tuple[Any, bool]]]:
        """The first rows as (text, whether it is a number) for each cell; None is missing."""
        numeric = [column["type"] in ("integer", "float") for column in self.preview.get("columns", [])]
        return [
            [
                (None if cell is None else charts.word_of(cell), right)
                for cell, right in zip(row, numeric, strict=True)
            ]
            for row in self.preview.get("rows", [])
        ]

    @property
    def frequent(self) -> list[tuple[str, int, float]]:
        """The most frequent values of the chosen column: value, rows, share of the values there are."""
        chosen = self.chosen or {"top": []}
        known = max(1, chosen.get("count", 0) - chosen.get("missing", 0))
        return [
            (charts.word_of(item["value"]), item["count"], item["count"] / known) for item in chosen["top"]
        ]

    @property
    def chosen_facts(self) -> list[tuple[str, str]]:
        """The numbers of the chosen column, in words."""
        return column_facts(self.chosen) if self.chosen else []

    @property
    def poll_url(self) -> str:
        """Where the live part comes from."""
        version = self.version
        return reverse(
            "datasets:version-live", args=[version.project.slug, version.dataset.name, version.number]
        )

    @property
    def actions_url(self) -> str:
        """Where the buttons above it come from: a version that becomes ready can be downloaded and used."""
        return f"{self.poll_url}?fragment=actions"

    @classmethod
    def build(cls, request: HttpRequest, version: DatasetVersion, tab: str) -> VersionPage:
        """What the tab needs and no more."""
        known: dict[str, Any] = {"stops": line_of(version), "advice": ADVICE.get(version.error_code, "")}
        if version.job is not None and version.state == VersionState.PENDING:
            known["progress"] = progress_of(version.job)
        profile = queries.profile_of(version) if version.is_ready else None
        if tab == "lineage":
            known["graph"] = graph_of(version)
        elif profile is not None and tab == "overview":
            start = _page_of(request, len(profile.columns))
            shown = profile.columns[start : start + COLUMNS_PER_PAGE]
            known["columns"] = [ColumnRow.of(start + index, column) for index, column in enumerate(shown)]
            known["column_total"] = len(profile.columns)
            known["next_columns"] = (
                start + COLUMNS_PER_PAGE if start + COLUMNS_PER_PAGE < len(profile.columns) else None
            )
            known["previous_columns"] = max(0, start - COLUMNS_PER_PAGE) if start else None
        elif profile is not None and tab == "preview":
            rows = max(10, CELLS // max(1, len(profile.columns)))
            known["preview"] = {**profile.preview, "rows": profile.preview.get("rows", [])[:rows]}
        elif profile is not None and tab == "columns":
            wanted = request.GET.get("column", "")
            chosen = next((c for c in profile.columns if c["name"] == wanted), profile.columns[0])
            known["chosen"], known["figure"] = chosen, charts.column_figure(chosen)
            known["columns"] = [ColumnRow.of(index, column) for index, column in enumerate(profile.columns)]
        return cls(version=version, tab=tab, **known)


def column_facts(column: dict[str, Any]) -> list[tuple[str, str]]:
    """(label, value) of everything a column's profile says in one number."""
    facts = [
        ("Type", column["type"]),
        ("Rows", number(column["count"])),
        ("Missing", f"{number(column['missing'])} ({percent(column['missing'] / max(1, column['count']))})"),
        ("Distinct", ("" if column["distinct_exact"] else "≈ ") + number(column["distinct"])),
    ]
    named = (
        ("min", "Minimum"), ("max", "Maximum"), ("mean", "Mean"), ("std", "Standard deviation"), ("zeros", "Zeros"),
        ("negatives", "Negative"), ("infinite", "Infinite"), ("true", "True"), ("false", "False"),
    )  # fmt: skip
    facts += [(label, _short(column[key])) for key, label in named if column.get(key) is not None]
    facts += [(f"{point} % below", _short(value)) for point, value in (column.get("quantiles") or {}).items()]
    lengths = column.get("lengths") or {}
    facts += [
        (f"{word} length", _short(lengths[key]))
        for key, word in (("min", "Least"), ("mean", "Mean"), ("max", "Greatest"))
        if key in lengths
    ]
    return facts


def line_of(version: DatasetVersion | None) -> list[dict[str, Any]]:
    """The lineage line of a version, for components/lineage.html."""
    if version is None:
        return []
    stops = lineage.line(kind=NodeKind.DATASET_VERSION, key=version.pk)
    return [
        {
            "kind": stop.kind, "title": stop.first.title, "url": stop.first.url, "state": stop.first.state,
            "current": stop.first.focus, "more": stop.more,
        }
        for stop in stops
    ]  # fmt: skip


def graph_of(version: DatasetVersion) -> Any:
    """The whole graph around a version, None when it has no node."""
    from apps.lineage.models import Node

    start = Node.objects.filter(kind=NodeKind.DATASET_VERSION, key=str(version.pk)).first()
    return lineage.graph(version.project, start=start) if start is not None else None


def _page_of(request: HttpRequest, total: int) -> int:
    text = request.GET.get("from", "")
    start = int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0
    return start if start < total else 0


def _edge(value: Any) -> str:
    return value[:10] if isinstance(value, str) else charts.word_of(value)


def _short(value: Any) -> str:
    """A number for a person; a moment without an empty time of day; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.removesuffix("T00:00:00").replace("T", " ")[:19]
    return number(value)


def _layout_words(source: dict[str, Any]) -> list[str]:
    kinds = {"parquet": "Parquet", "excel": "Excel", "jsonlines": "JSON lines", "delimited": "CSV"}
    if not source:
        return []
    words = [kinds.get(source.get("kind", ""), "")]
    if source.get("separator") == "tab":
        words[0] = "TSV"
    elif source.get("separator", "comma") != "comma":
        words.append(f"split by {source['separator']}")
    if source.get("compression"):
        words.append("gzipped")
    words += [str(source[key]) for key in ("encoding",) if source.get(key)]
    if source.get("sheet"):
        words.append(f"worksheet {source['sheet']}")
    if source.get("header") is False:
        words.append("without header")
    return words


def _snippet(request: HttpRequest, project: Project) -> str:
    address = request.build_absolute_uri(f"/api/v1/projects/{project.slug}/datasets")
    return f'curl -H "Authorization: Bearer $ATELIER_TOKEN" \\\n  -F name=churn -F file=@churn.csv \\\n  {address}'
