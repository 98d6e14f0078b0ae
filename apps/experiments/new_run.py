"""The page of a new run: what the URL or an earlier run fills in, what was entered, what was wrong."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, QueryDict

from apps.accounts.access import Actor
from apps.accounts.models import Project
from apps.datasets.access import get_usable_version
from apps.datasets.models import DatasetVersion
from apps.datasets.states import VersionState
from apps.experiments import actions, algorithms
from apps.experiments.access import get_visible_run
from apps.experiments.forms import (
    PREFIX,
    ParametersForm,
    RunForm,
    default_algorithm,
    initial_of,
    likely_target,
    task_of_target,
)
from apps.experiments.models import Run
from apps.experiments.rules.form import RuleRows
from apps.experiments.spec import parse_spec
from apps.jobs.placement_form import FIELDS as PLACEMENT
from apps.jobs.placement_form import form_field
from foundation.errors import AtelierError

VERSIONS_AT_MOST = 200
ERRORS_AT_MOST = 20
#: fields of a run that may be left out, so that what is wrong behind them is found too
OPTIONAL = ("task", "features", "seed", "name", "description", "test_size", "folds", "queue", "priority")


class NewRun:
    """The two halves of the form (the run, its parameters) with everything around them.

    Values come from the POST, else from the URL (dataset, target, algorithm, experiment …), else from the run
    named by ?from=, else from good defaults.
    """

    def __init__(
        self,
        project: Project,
        actor: Actor,
        entered: QueryDict | None,
        given: dict[str, Any],
        origin: Run | None,
    ) -> None:
        self.project = project
        self.actor = actor
        self.origin = origin
        self.problem: AtelierError | None = None
        self.versions = ready_versions(project)
        self.algorithms = algorithms.available()
        self.unavailable = algorithms.unavailable()
        source: Any = entered if entered is not None else given
        self.version = self._version(str(source.get("dataset") or ""))
        names = {a.name for a in self.algorithms}
        wanted = str(source.get("algorithm") or "")
        self.algorithm = algorithms.get(wanted if wanted in names else default_algorithm())
        self.wrong_algorithm = wanted if wanted and wanted not in names else ""
        target = str(source.get("target") or "") or (likely_target(self.version) if self.version else "")
        if self.version and target not in {c["name"] for c in self.version.schema} and entered is None:
            target = likely_target(self.version)
        task = str(source.get("task") or "") or (
            task_of_target(self.version, target) if self.version else None
        )
        initial = {"experiment": "Default", **given, "target": target}
        if self.version:
            initial["dataset"] = self.version.label
        self.form = RunForm(project, self.version, self.versions, entered, initial=initial)
        self.rules = RuleRows.build(entered, origin)
        self.parameters = ParametersForm(self.algorithm, task or None, entered, initial=given)

    @classmethod
    def build(cls, request: HttpRequest, project: Project) -> NewRun:
        """From the request; an unknown ?from= is an error like any other unknown run."""
        actor: Actor = request.actor  # type: ignore[attr-defined]
        origin = None
        given: dict[str, Any] = {}
        if key := request.GET.get("from"):
            origin = get_visible_run(actor, project, key)
            given = initial_of(origin)
        known = (
            "dataset",
            "target",
            "algorithm",
            "experiment",
            "task",
            "split",
            "test_size",
            "folds",
            "seed",
            *PLACEMENT,
        )
        given |= {name: request.GET[name] for name in known if request.GET.get(name)}
        given |= {name: value for name, value in request.GET.items() if name.startswith(PREFIX)}
        return cls(project, actor, request.POST if request.method == "POST" else None, given, origin)

    def _version(self, label: str) -> DatasetVersion | None:
        wanted = (
            label
            if label in self.versions
            else next(
                (v for v in self.versions if v.rpartition("@")[0] == label),
                self.versions[0] if self.versions else "",
            )
        )
        return get_usable_version(self.actor, self.project, wanted) if wanted else None

    @property
    def advanced_open(self) -> bool:
        """Whether something folded away is wrong, or was filled in from an earlier run."""
        return any(name in self.form.errors for name in self.form.advanced) if self.problem else False

    def start(self, actor: Actor) -> Run | None:
        """Start the run, or keep all that was wrong for the page (at its field where there is one)."""
        chosen = self.wrong_algorithm or self.algorithm.name
        body = {**self.form.spec(chosen, self.parameters.values()), "rules": self.rules.body()}
        try:
            spec = parse_spec(body, actor=actor, project=self.project)
            return actions.start_run(actor=actor, project=self.project, spec=spec)
        except AtelierError as error:
            self.problem = error
            self.form.is_valid()
            self.parameters.is_valid()
            self.form.errors.clear()
            self.parameters.errors.clear()
            self._place(error)
            self._look_further(actor, body, error)
            return None

    def _look_further(self, actor: Actor, body: dict[str, Any], error: AtelierError) -> None:
        """What else is wrong: read again without the field that was, while it may be left out."""
        for _ in range(ERRORS_AT_MOST):
            field = str(error.detail.get("field", ""))
            name = field.removeprefix("parameters.")
            holder = body["parameters"] if name != field else body
            if name not in holder or (holder is body and name not in OPTIONAL):
                return
            del holder[name]
            try:
                parse_spec(body, actor=actor, project=self.project)
                return
            except AtelierError as another:
                error = another
                self._place(error)

    def _place(self, error: AtelierError) -> None:
        """Say it beside the field that it is about."""
        field = str(error.detail.get("field", ""))
        if (
            field.startswith("parameters.")
            and PREFIX + field.removeprefix("parameters.") in self.parameters.fields
        ):
            self.parameters.add_error(PREFIX + field.removeprefix("parameters."), error.message)
        elif form_field(field) in self.form.fields:
            self.form.add_error(form_field(field), error.message)
        elif error.code.startswith("dataset."):
            self.form.add_error("dataset", error.message)
        elif not self.rules.place(error):
            self.form.add_error(None, error.message)


def ready_versions(project: Project) -> list[str]:
    """The versions that can be trained on, newest datasets first, as name@number."""
    found = (
        DatasetVersion.objects.alive()
        .filter(project=project, state=VersionState.READY, dataset__deleted_at__isnull=True)
        .select_related("dataset")
        .order_by("-created_at")
    )
    return [v.label for v in found[:VERSIONS_AT_MOST]]
