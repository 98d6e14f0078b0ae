"""What the pages show: context objects that a page shares with its live fragment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from apps.accounts.models import Project
from apps.accounts.trash import name_trashers
from apps.experiments import artifacts, charts
from apps.experiments.compare import Comparison, compare, comparison_charts
from apps.experiments.loading import load_code
from apps.experiments.metric_catalogue import METRICS, TELLING, direction, title
from apps.experiments.models import Experiment, Run, RunInput
from apps.experiments.queries import (
    ExperimentSummary,
    RunRow,
    curves_of,
    experiments_of,
    find_runs,
    row_of,
    split_parameters,
)
from apps.experiments.scripts.browser import CodeTab, code_tab
from apps.experiments.scripts.page import frames_of
from apps.experiments.scripts.resuming import checkpoint_of
from apps.experiments.state_filter import STATES
from apps.experiments.states import NOT_CHOSEN
from apps.jobs.models import JobAttempt
from apps.lineage import queries as lineage
from apps.lineage.states import NodeKind
from foundation.errors import AtelierError
from foundation.ui.listing import Listing, url_with
from foundation.ui.series import series_colour, series_index

TABS = (
    "overview",
    "code",
    "curves",
    "figures",
    "artifacts",
    "logs",
    "resources",
    "model",
    "environment",
    "lineage",
)
LIVE_TABS = frozenset({"overview", "curves", "resources"})
#: So many metrics fit beside the other columns at 1280 px; the list of all runs also names the experiment.
METRIC_COLUMNS_AT_MOST = 4
METRIC_COLUMNS_OF_ALL = 2
#: Columns of the run itself that are there to be chosen.
RUN_COLUMNS = {"by": "Started by", "id": "Id", "reason": "How it ended"}
CURVES_AT_MOST = 40
FILTER_EXAMPLES = (
    "metrics.accuracy > 0.9",
    "params.algorithm = 'random_forest'",
    "metrics.rmse < 5 AND params.seed = '42'",
    "tags.team = 'risk'",
    "attributes.run_name LIKE 'rf%'",
    "datasets.name = 'churn'",
)


def _registry_url(project: Project) -> str:
    return reverse("registry:register", kwargs={"project": project.slug})


@dataclass(frozen=True)
class ExperimentsPage:
    """The list of experiments."""

    summaries: list[ExperimentSummary]
    q: str
    trashed: bool
    clear_url: str
    total: int

    @classmethod
    def build(cls, request: HttpRequest, project: Project) -> ExperimentsPage:
        """From the URL's q and trashed."""
        q, trashed = request.GET.get("q", ""), request.GET.get("trashed") == "1"
        found = experiments_of(project, q=q, trashed=trashed)
        total = len(found) if not q else len(experiments_of(project, trashed=trashed))
        if trashed:
            name_trashers(project, [row.experiment for row in found], "experiment.trash")
        return cls(found, q, trashed, url_with(request, q=None), total)

    @property
    def rows(self) -> list[ExperimentSummary]:
        """For components/no_match.html, which counts rows."""
        return self.summaries


@dataclass(frozen=True)
class TableColumn:
    """A chosen column of the run table: "metrics.accuracy"; numeric ones are set to the right."""

    key: str
    title: str
    numeric: bool
    best_first: bool = False

    @property
    def order(self) -> str:
        """The word that sorts by it; empty where MLflow's search cannot."""
        return "" if self.key.startswith("run.") else self.key


@dataclass(frozen=True)
class TableRow:
    """One row with the values of the chosen columns."""

    row: RunRow
    values: list[tuple[TableColumn, Any]]


@dataclass(frozen=True)
class RunTable:
    """Runs of one experiment, or of all, as the URL filters, orders and cuts them."""

    project: Project
    experiment: Experiment | None
    listing: Listing
    columns: list[TableColumn]
    offered: list[tuple[str, list[tuple[str, str, bool]]]]
    filter: str
    q: str
    state: str
    trashed: bool
    problem: str = ""
    snippet: str = ""
    poll_url: str = ""
    since: datetime | None = None
    states: Sequence[str] = field(default_factory=lambda: list(STATES))
    examples: Sequence[str] = FILTER_EXAMPLES

    @property
    def live(self) -> bool:
        """Whether a shown run is still at work."""
        return any(not r.row.run.is_terminal for r in self.listing.rows)

    @property
    def empty(self) -> bool:
        """Nothing there at all, as opposed to nothing that matches."""
        return not self.listing.rows and not self.listing.filtered and not self.problem

    @classmethod
    def build(cls, request: HttpRequest, project: Project, experiment: Experiment | None) -> RunTable:
        """A filter that cannot be read becomes a sentence above an empty table, not an error page."""
        asked = request.GET
        order = asked.get("order_by") or "-created_at"
        words = {"filter": asked.get("filter", ""), "q": asked.get("q", ""), "state": asked.get("state", "")}
        trashed, problem = asked.get("trashed") == "1", ""
        try:
            page = find_runs(
                project,
                experiment=experiment,
                filter=words["filter"],
                q=words["q"],
                state=words["state"],
                order_by=order,
                cursor=asked.get("cursor") or None,
                trashed=trashed,
            )
            rows, following = page.rows, page.next
        except AtelierError as error:
            rows, following, problem = [], None, error.message
        most = METRIC_COLUMNS_AT_MOST if experiment else METRIC_COLUMNS_OF_ALL
        columns = [] if trashed else _chosen(asked.get("columns"), rows, most)
        if trashed:
            name_trashers(project, [row.run for row in rows], "run.trash", subject=lambda run: run.hex)
        table = [TableRow(row, [(c, row.value(c.key)) for c in columns]) for row in rows]
        oldest = [r.run.created_at for r in rows if not r.run.is_terminal]
        return cls(
            project=project,
            experiment=experiment,
            listing=Listing(
                rows=table,
                order_by=order,
                filtered=any(words.values()),
                next_url=url_with(request, cursor=following, fragment=None) if following else None,
                first_url=url_with(request, cursor=None, fragment=None) if asked.get("cursor") else None,
                clear_url=url_with(request, filter=None, q=None, state=None, cursor=None, fragment=None),
            ),
            columns=columns,
            offered=_offered(rows, columns),
            trashed=trashed,
            problem=problem,
            snippet=_client_code(request, project, experiment),
            poll_url=url_with(request, fragment="1"),
            since=max(oldest) if oldest else None,
            **words,
        )


def _client_code(request: HttpRequest, project: Project, experiment: Experiment | None) -> str:
    """Python that logs a run with the stock client."""
    uri = request.build_absolute_uri(f"/p/{project.slug}/mlflow")
    choose = f'mlflow.set_experiment("{experiment.name}")\n' if experiment else ""
    return (
        "import mlflow  # MLFLOW_TRACKING_TOKEN=atl_… in the environment\n"
        f'mlflow.set_tracking_uri("{uri}")\n{choose}'
        "with mlflow.start_run():\n"
        '    mlflow.log_param("depth", 8)\n'
        '    mlflow.log_metric("accuracy", 0.93)'
    )


def _chosen(text: str | None, rows: Sequence[RunRow], most: int) -> list[TableColumn]:
    """The columns that the URL names, else the `most` metrics that matter for the runs on this page."""
    if text is not None:
        keys = [k for k in dict.fromkeys(text.split(",")) if _is_column(k)]
        return [_column(k) for k in keys[:20]]
    present = {name for row in rows for name in row.metrics}
    known = [name for name in TELLING if name in present]
    regressed = [name for name in known if METRICS[name].task == "regression"]
    if 0 < len(regressed) < len(known):  # both tasks side by side: two columns for each
        known = [name for name in known if name not in regressed][: most // 2] + regressed[: most // 2]
    others = [n for n in sorted(present) if n not in METRICS and not n.startswith(("fold_", "train_"))]
    others = [n for n in others if not n.endswith(("_std", "_seconds"))]
    return [_column(f"metrics.{name}") for name in (known or others)[:most]]


def _is_column(key: str) -> bool:
    kind, _, name = key.partition(".")
    return kind in ("metrics", "params", "tags") or (kind == "run" and name in RUN_COLUMNS)


def _column(key: str) -> TableColumn:
    kind, _, name = key.partition(".")
    heading = title(name) if kind == "metrics" else RUN_COLUMNS[name] if kind == "run" else name
    return TableColumn(key, heading, kind == "metrics", kind == "metrics" and direction(name) != "min")


def _offered(
    rows: Sequence[RunRow], columns: Sequence[TableColumn]
) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    """Columns to choose from: [(group, [(key, title, chosen)])], from the runs on this page."""
    chosen = {c.key for c in columns}
    groups: dict[str, set[str]] = {"metrics": set(), "params": set(), "tags": set(), "run": set(RUN_COLUMNS)}
    for row in rows:
        groups["metrics"] |= {m for m in row.metrics if not m.startswith("fold_")}
        groups["params"] |= set(row.data.params if row.data else row.parameters)
        groups["tags"] |= set(row.tags)
    for key in chosen:
        kind, _, name = key.partition(".")
        groups[kind].add(name)
    names = {"metrics": "Metrics", "params": "Parameters", "tags": "Tags", "run": "Run"}
    order = {name: n for n, name in enumerate(METRICS)}
    return [
        (
            names[kind],
            [
                (f"{kind}.{n}", _column(f"{kind}.{n}").title, f"{kind}.{n}" in chosen)
                for n in sorted(found, key=lambda n: (order.get(n, 99), n))
            ],
        )
        for kind, found in groups.items()
        if found
    ]


@dataclass(frozen=True)
class RunView:
    """One run on one of its tabs."""

    row: RunRow
    tab: str
    settings: dict[str, Any]
    parameters: dict[str, Any]
    metrics: list[tuple[str, str, float]]
    line: list[dict[str, Any]]
    charts: list[tuple[str, str, charts.Figure]] = field(default_factory=list)
    files: list[Any] = field(default_factory=list)
    crumbs: list[tuple[str, str]] = field(default_factory=list)
    preview: artifacts.Preview | None = None
    graph: Any = None
    children: list[Run] = field(default_factory=list)
    poll_url: str = ""
    actions_url: str = ""
    load_code: str = ""
    code: CodeTab | None = None
    channels: list[RunInput] = field(default_factory=list)
    frames: list[dict[str, Any]] = field(default_factory=list)
    attempt: JobAttempt | None = None
    checkpoint: Any = None

    @property
    def run(self) -> Run:
        """The run itself."""
        return self.row.run

    @property
    def live(self) -> bool:
        """Whether the page keeps asking."""
        return self.tab in LIVE_TABS and not self.run.is_terminal

    @property
    def left_out(self) -> list[tuple[str, str]]:
        """(column, reason) of what the training did not use; what was not chosen is one entry, the last."""
        found: dict[str, str] = (self.run.details.get("features") or {}).get("left_out", {})
        reasons = [(name, why) for name, why in found.items() if why != NOT_CHOSEN]
        rest = [name for name, why in found.items() if why == NOT_CHOSEN]
        return [*reasons, *([(NOT_CHOSEN, ", ".join(rest))] if rest else [])]

    @property
    def source_tags(self) -> dict[str, str]:
        """What an MLflow client told about where its run came from."""
        tags = self.row.data.tags if self.row.data else {}
        return {k: v for k, v in tags.items() if k.startswith(("mlflow.source.", "mlflow.user"))}

    @property
    def register_url(self) -> str:
        """Where the run's model is registered; empty when it has none or that page does not exist."""
        if not self.run.model or self.run.deleted_at or not self.run.is_terminal:
            return ""
        try:
            return f"{_registry_url(self.run.project)}?run={self.run.hex}"
        except NoReverseMatch:
            return ""

    @property
    def progress(self) -> str:
        """What the window's title says while it works."""
        job = self.run.job
        data = (job.progress or {}) if job else {}
        step, total = data.get("step") or 0, data.get("total")
        if self.run.is_terminal or not total:
            return ""
        return f"● {int(100 * step / total)} % {self.run.name}"

    @classmethod
    def build(cls, request: HttpRequest, run: Run, tab: str) -> RunView:
        """Only what the tab shows is read."""
        row = row_of(run)
        settings, parameters = split_parameters(row)
        shared: dict[str, Any] = {
            "row": row,
            "tab": tab,
            "settings": settings,
            "parameters": parameters,
            "metrics": _metrics(row),
            "line": line_nodes(run),
            "poll_url": f"{request.path}?fragment=1",
            "actions_url": f"{request.path}?fragment=actions",
        }
        return cls(**shared, **_TAB_READERS.get(tab, lambda _request, _row: {})(request, row))


def _metrics(row: RunRow) -> list[tuple[str, str, float]]:
    """[(name, title, value)]: those of the catalogue first, folds left to the curves."""
    order = {name: n for n, name in enumerate(METRICS)}
    names = sorted(
        (n for n in row.metrics if not n.startswith("fold_")), key=lambda n: (order.get(n, len(order)), n)
    )
    return [(n, title(n), row.metrics[n]) for n in names]


def _overview(request: HttpRequest, row: RunRow) -> dict[str, Any]:
    found: dict[str, Any] = {"children": list(row.run.children.alive().order_by("created_at")[:50])}
    if row.run.code_digest:
        found["channels"] = list(row.run.inputs.select_related("dataset_version__dataset__project"))
        found["frames"] = frames_of(row.run)
        found["checkpoint"] = checkpoint_of(row.run)
    if row.run.is_terminal and row.run.details.get("figures"):
        shown = artifacts.figures_of(row.run)[:1]
        found["charts"] = [("overview-figure", name, figure) for name, figure in shown]
    return found


def _code(request: HttpRequest, row: RunRow) -> dict[str, Any]:
    return {"code": code_tab(row.run, request.GET.get("file", "").strip("/"))}


def _curves(request: HttpRequest, row: RunRow) -> dict[str, Any]:
    found = curves_of(row.run, sorted(row.metrics)[:200])
    colour = series_colour(series_index(row.run.hex))
    return {
        "charts": [
            (f"curve-{n}", title(key), _curve(title(key), row.run.name, colour, points))
            for n, (key, points) in enumerate(list(found.items())[:CURVES_AT_MOST])
        ]
    }


def _curve(key: str, name: str, colour: str, points: Sequence[Any]) -> charts.Figure:
    series = {
        "name": name,
        "colour": colour,
        "steps": [p.step for p in points],
        "values": [p.value for p in points],
    }
    return charts.metric_history(key, [series])


def _resources(request: HttpRequest, row: RunRow) -> dict[str, Any]:
    job = row.run.job
    return {"attempt": job.attempts.order_by("-number").first() if job else None}


def _figures(request: HttpRequest, row: RunRow) -> dict[str, Any]:
    found = artifacts.figures_of(row.run)
    return {"charts": [(f"figure-{n}", name, figure) for n, (name, figure) in enumerate(found)]}


def _artifacts(request: HttpRequest, row: RunRow) -> dict[str, Any]:
    path = request.GET.get("path", "").strip("/")
    shown = request.GET.get("file", "").strip("/")
    parts = path.split("/") if path else []
    return {
        "files": artifacts.list_artifacts(row.run, path),
        "crumbs": [(part, "/".join(parts[: n + 1])) for n, part in enumerate(parts)],
        "preview": artifacts.preview(row.run, shown) if shown else None,
    }


def _model(request: HttpRequest, row: RunRow) -> dict[str, Any]:
    model = row.run.model
    if not model:
        return {}
    tracking = request.build_absolute_uri(f"/p/{row.run.project.slug}/mlflow")
    sklearn = "sklearn" in model.get("flavors", ()) or bool(row.run.algorithm)
    return {"load_code": load_code(model, tracking, own=sklearn)}


def _lineage(request: HttpRequest, row: RunRow) -> dict[str, Any]:
    node = lineage.find_node(row.run.project, f"{NodeKind.RUN}:{row.run.hex}")
    return {"graph": lineage.graph(row.run.project, start=node)}


_TAB_READERS = {
    "overview": _overview,
    "code": _code,
    "curves": _curves,
    "figures": _figures,
    "artifacts": _artifacts,
    "model": _model,
    "lineage": _lineage,
    "resources": _resources,
}


def line_nodes(run: Run) -> list[dict[str, Any]]:
    """The line dataset version → run → model version → … for components/lineage.html."""
    found = []
    for stop in lineage.line(kind=NodeKind.RUN, key=run.hex):
        first, more = stop.first, stop.more
        found.append(
            {
                "kind": stop.kind,
                "title": f"{first.title} and {more} more" if more else first.title,
                "url": first.url,
                "state": first.state,
                "current": stop.kind == NodeKind.RUN and first.id == run.hex,
            }
        )
    return found


@dataclass(frozen=True)
class ComparePage:
    """Runs side by side with their overlaid curves."""

    comparison: Comparison
    charts: list[tuple[str, str, charts.Figure]]
    toggle_url: str

    @classmethod
    def build(cls, request: HttpRequest, project: Project) -> ComparePage:
        """From the URL's run=…&run=… and all=1."""
        everything = request.GET.get("all") == "1"
        comparison = compare(project, request.GET.getlist("run"), differences_only=not everything)
        parameters = request.GET.copy()
        parameters.pop("all", None)
        if not everything:
            parameters["all"] = "1"
        found = comparison_charts(comparison)
        return cls(
            comparison=comparison,
            charts=[(f"compare-{n}", name, figure) for n, (name, figure) in enumerate(found)],
            toggle_url=f"{request.path}?{parameters.urlencode()}",
        )
