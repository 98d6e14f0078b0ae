"""What the pages of studies show: contexts that a page shares with its live fragments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db.models import F
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.safestring import SafeString

from apps.accounts.models import Project
from apps.accounts.trash import name_trashers
from apps.experiments import algorithms
from apps.experiments.metric_catalogue import title
from apps.experiments.models import Run
from apps.lineage import queries as lineage
from apps.lineage.states import NodeKind
from apps.tuning import charts, queries
from apps.tuning.drawing import draw_parallel
from apps.tuning.importances import FEWEST_TRIALS, METHOD, Importances
from apps.tuning.models import Study
from apps.tuning.parallel import HUE_WORDS, Parallel, parallel_of, show
from apps.tuning.reading import Point, best_of, complete, dimensions_of, importances_in, points_of
from apps.tuning.space import Dimension
from apps.tuning.states import TOLD, StudyState, TrialState
from foundation.clock import now
from foundation.ui.listing import Listing, list_page, url_with

ORDERS = {"name": "name", "state": "state", "created": "created_at", "trials": "n_told"}
#: Trials whose pace tells how long the others will take.
PACE_OF = 20


@dataclass(frozen=True)
class StudiesPage:
    """The list."""

    listing: Listing
    q: str
    state: str
    trashed: bool
    snippet: str
    states: Sequence[tuple[str, str]] = field(default_factory=lambda: list(StudyState.choices))

    @property
    def live(self) -> bool:
        """Whether a shown study is still at work."""
        return not self.trashed and any(study.is_live for study in self.listing.rows)

    @property
    def key(self) -> str:
        """What changes when anything in the table does."""
        return repr([(s.pk, s.name, s.state, s.n_told, s.n_trials, s.best) for s in self.listing.rows])

    @property
    def since(self) -> datetime:
        """When the newest of them began."""
        newest: datetime = max(study.created_at for study in self.listing.rows)
        return newest

    @property
    def empty(self) -> bool:
        """Nothing there at all, as opposed to nothing that matches."""
        return not self.listing.rows and not self.listing.filtered and not self.trashed

    @classmethod
    def build(cls, request: HttpRequest, project: Project) -> StudiesPage:
        """From the URL's q, state, trashed, order_by and cursor."""
        q, state = request.GET.get("q", "").strip()[:63], request.GET.get("state", "")
        trashed = request.GET.get("trashed") == "1"
        state = state if state in StudyState.values else ""
        told = F("n_complete") + F("n_pruned") + F("n_failed")
        rows = queries.studies_of(project, q=q, state=state, trashed=trashed).annotate(n_told=told)
        listing = list_page(request, rows, orders=ORDERS, default="-created")
        if trashed:
            name_trashers(project, listing.rows, "study.trash")
        for study in listing.rows:
            study.best = study.highest if study.maximizes else study.lowest
            study.share = study.n_told / study.n_trials if study.n_trials else None
            study.metric_title = title(study.metric)
            study.algorithm_title = algorithm_title(study.algorithm)
        return cls(listing, q, state, trashed, _snippet(request, project))


def _snippet(request: HttpRequest, project: Project) -> str:
    api = request.build_absolute_uri(f"/api/v1/projects/{project.slug}/studies")
    return (
        'curl -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\\n'
        """  -d '{"name": "first", "dataset": "NAME", "target": "COLUMN", "algorithm": "random_forest",\n"""
        """       "search_space": {"max_depth": {"low": 2, "high": 24}, "max_features": {}},\n"""
        """       "objectives": [{"metric": "accuracy"}], "n_trials": 20}' \\\n  """ + api
    )


@dataclass(frozen=True)
class StudyPage:
    """One study on one of its tabs; points: all trials."""

    study: Study
    tab: str
    points: list[Point]
    line: list[dict[str, Any]]
    poll_url: str

    @classmethod
    def build(cls, request: HttpRequest, study: Study, tab: str) -> StudyPage:
        """Reads the trials once for everything on the page."""
        again = url_with(request, fragment="1")
        live_only = "fragment" in request.GET
        return cls(study, tab, points_of(study), [] if live_only else line_nodes(study), again)

    @cached_property
    def key(self) -> str:
        """What changes when anything on the page does."""
        study = self.study
        seen = [(p.number, p.state, p.value, len(p.intermediate)) for p in self.points]
        return repr((study.state, study.updated_at, study.n_trials, study.final_run_id, seen))

    @cached_property
    def counts(self) -> dict[str, int]:
        """Trials by state, and "told": how many are over."""
        found = Counter(point.state for point in self.points)
        states = {str(state): found[str(state)] for state in TrialState}
        return states | {"told": sum(found[str(state)] for state in TOLD)}

    @property
    def algorithm_title(self) -> str:
        """The algorithm in words."""
        return algorithm_title(self.study.algorithm)

    @property
    def proposed_more(self) -> int:
        """How many more trials the dialog of "resume" proposes: those that are missing, else half as many again."""
        missing = self.study.n_trials - self.counts["told"]
        return missing if missing > 0 else max(5, self.study.n_trials // 2)

    @property
    def progress_message(self) -> str:
        """What stands beside the bar."""
        at_work = self.counts[TrialState.RUNNING]
        if self.study.state == StudyState.STOPPING:
            return f"stopping, {at_work} at work" if at_work else "stopping"
        return f"{at_work} at work" if at_work else ""

    @property
    def metric_title(self) -> str:
        """The objective's metric in words."""
        return title(self.study.metric)

    @cached_property
    def best(self) -> Point | None:
        """The trial with the best value."""
        return best_of(self.points, maximize=self.study.maximizes)

    @cached_property
    def best_run(self) -> Run | None:
        """The run of the best trial."""
        best = self.best
        return Run.objects.with_relations().filter(pk=best.run).first() if best else None

    @cached_property
    def dimensions(self) -> list[Dimension]:
        """The searched parameters in their order."""
        return dimensions_of(self.study)

    @property
    def best_parameters(self) -> list[tuple[str, str, str]]:
        """[(name, value, the range it was searched in)] of the best trial, all in words."""
        best = self.best
        if best is None:
            return []
        return [(d.name, show(best.parameters.get(d.name)), range_text(d)) for d in self.dimensions]

    @property
    def space(self) -> list[tuple[str, str]]:
        """[(name, range)] of the search space in words."""
        return [(d.name, range_text(d)) for d in self.dimensions]

    @property
    def fixed(self) -> list[tuple[str, str]]:
        """[(name, value)] of the parameters that all trials share."""
        return [(name, show(value)) for name, value in sorted(self.study.fixed.items())]

    @property
    def elapsed(self) -> float | None:
        """Seconds since it began to work, up to its end."""
        study = self.study
        if study.started_at is None:
            return None
        return float(((study.finished_at or now()) - study.started_at).total_seconds())

    @property
    def left(self) -> float | None:
        """Seconds that the rest will take at the pace of the newest trials, or up to the time limit."""
        study = self.study
        if study.state != StudyState.RUNNING:
            return None
        told = sorted((p for p in self.points if p.told is not None), key=lambda p: p.told or p.began)[
            -PACE_OF:
        ]
        if len(told) < 2:
            return None
        span = (max(p.told or p.began for p in told) - min(p.began for p in told)).total_seconds()
        rest = study.n_trials - self.counts["told"]
        left = rest * span / len(told)
        if study.deadline is not None:
            left = min(left, (study.deadline - now()).total_seconds())
        return left if left >= 1 else None

    @property
    def window_title(self) -> str:
        """What the window's title says while it works."""
        if not self.study.is_live or not self.study.n_trials:
            return ""
        return f"● {100 * self.counts['told'] // self.study.n_trials} % {self.study.name}"

    @property
    def has_values(self) -> bool:
        """Whether any trial has said how good it is: without one there is nothing to draw."""
        return any(point.latest is not None for point in self.points)

    @property
    def history(self) -> charts.Figure:
        """The value of every trial, with the best so far."""
        return charts.history(self.points, metric=self.study.metric, maximize=self.study.maximizes)

    @cached_property
    def importances(self) -> Importances | None:
        """How much each parameter decided."""
        return importances_in(self.study, self.points)

    @property
    def importance_chart(self) -> charts.Figure | None:
        """As bars; None with too few trials."""
        found = self.importances
        return charts.importances(found) if found else None

    @property
    def importance_title(self) -> str:
        """By which method, and out of how many trials."""
        found = self.importances
        return f"{METHOD} over {found.trials} complete trials" if found else ""

    @property
    def importance_note(self) -> str:
        """Why there are no importances yet, or how they come about."""
        done = len(complete(self.points))
        if done < FEWEST_TRIALS:
            return (
                f"Shown from {FEWEST_TRIALS} complete trials on; {done} {'is' if done == 1 else 'are'} there."
            )
        if self.importances is None:
            return "All complete trials are alike, so nothing made a difference."
        return "By how much the best tenth of the trials lies elsewhere than all of them, per parameter."

    @property
    def register_url(self) -> str:
        """Where the model of the final run, or else of the best trial, is registered; empty when there is none."""
        for run in (self.study.final_run, self.best_run):
            if run is not None and run.model and run.is_terminal and not run.deleted_at:
                try:
                    return f"{reverse('registry:register', kwargs={'project': self.study.project.slug})}?run={run.hex}"
                except NoReverseMatch:
                    return ""
        return ""

    @cached_property
    def picture(self) -> Parallel:
        """The parallel view."""
        return parallel_of(self.study, self.points)

    @property
    def hues(self) -> list[tuple[int, str]]:
        """[(hue, words)] of the lines, worst first."""
        return list(enumerate(HUE_WORDS))

    @property
    def drawing(self) -> SafeString:
        """The parallel view as SVG."""
        return draw_parallel(self.picture, self.study.project.slug)


def range_text(dimension: Dimension) -> str:
    """What is searched, in words: "0.01 to 0.3, log scale" or "relu, tanh"."""
    when = [f"{c.name} {_when(c.as_json())}" for c in dimension.when]
    if dimension.type == "categorical":
        text = ", ".join(show(choice) for choice in dimension.choices)
    else:
        text = f"{show(dimension.low)} to {show(dimension.high)}"
        text += ", log scale" if dimension.log else ""
        text += f", by {show(dimension.step)}" if dimension.step else ""
    return f"{text} (only with {' and '.join(when)})" if when else text


def _when(wanted: Any) -> str:
    if isinstance(wanted, dict):
        return " ".join(f"{'≥' if key == 'low' else '≤'} {show(value)}" for key, value in wanted.items())
    return " or ".join(show(value) for value in wanted)


def line_nodes(study: Study) -> list[dict[str, Any]]:
    """The line dataset version → study → runs → model version …, for components/lineage.html."""
    return [
        {
            "kind": stop.kind,
            "title": f"{stop.first.title} and {stop.more} more" if stop.more else stop.first.title,
            "url": stop.first.url,
            "state": stop.first.state,
            "current": stop.first.focus,
        }
        for stop in lineage.line(kind=NodeKind.STUDY, key=study.pk)
    ]


def algorithm_title(name: str) -> str:
    """An algorithm in words; one that is gone keeps its name."""
    known = algorithms.every().get(name)
    return known.title if known else name
