"""The page of a new study: two halves of a form, filled from the address, a run, an earlier study, or good defaults."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, QueryDict

from apps.accounts.access import Actor
from apps.accounts.models import Project
from apps.datasets.access import get_usable_version
from apps.datasets.models import DatasetVersion
from apps.experiments import algorithms
from apps.experiments.access import get_visible_run
from apps.experiments.forms import default_algorithm, initial_of, likely_target, task_of_target
from apps.experiments.metric_catalogue import PRIMARY
from apps.experiments.models import Run
from apps.experiments.new_run import ready_versions
from apps.jobs.placement_form import FIELDS as PLACEMENT
from apps.jobs.placement_form import form_field
from apps.tuning.access import get_study
from apps.tuning.forms import FORM_FIELDS, StudyForm, initial_of_study
from apps.tuning.models import Study
from apps.tuning.space_form import SpaceForm
from apps.tuning.spec import likely_task
from foundation.errors import AtelierError

#: What an address may fill in.
KNOWN = (
    "dataset",
    "target",
    "algorithm",
    "experiment",
    "task",
    "split",
    "test_size",
    "folds",
    "seed",
    "metric",
    "n_trials",
    *PLACEMENT,
)


class NewStudy:
    """The form with everything around it. origin_run, origin_study: what it was filled in from.

    suggested: a free name for what is chosen; with `follow` a name that is still the suggested one follows.
    """

    def __init__(
        self,
        project: Project,
        actor: Actor,
        *,
        entered: QueryDict | None = None,
        given: dict[str, Any] | None = None,
        run: Run | None = None,
        study: Study | None = None,
        follow: bool = False,
    ) -> None:
        self.project, self.actor = project, actor
        self.origin_run, self.origin_study = run, study
        self.problem: AtelierError | None = None
        given = dict(given or {})
        source: Any = entered if entered is not None else given
        self.versions = ready_versions(project)
        self.algorithms = algorithms.available()
        self.unavailable = algorithms.unavailable()
        self.version = self._version(str(source.get("dataset") or ""))
        names = {a.name for a in self.algorithms}
        wanted = str(source.get("algorithm") or "")
        self.algorithm = algorithms.get(wanted if wanted in names else default_algorithm())
        self.wrong_algorithm = wanted if wanted and wanted not in names else ""
        target = self._target(str(source.get("target") or ""))
        self.task = str(source.get("task") or "") or self._likely_task(target)
        self.suggested = self._free_name()
        if entered is None:
            given |= {"target": target, "dataset": self.version.label if self.version else ""}
            given.setdefault("name", self.suggested)
            given.setdefault("metric", PRIMARY.get(self.task or "", "accuracy"))
        elif follow and entered.get("name", "") in ("", entered.get("suggested", "")):
            entered = entered.copy()
            entered["name"] = self.suggested
        self.form = StudyForm(project, self.version, self.versions, entered, initial=given, task=self.task)
        self.space = self._space(entered)

    @classmethod
    def build(cls, request: HttpRequest, project: Project) -> NewStudy:
        """From the request. ?run= and ?study= name what to begin from; unknown ones are errors as elsewhere.

        A fragment is asked for with the whole form in its address, so that nothing entered is lost.
        """
        actor: Actor = request.actor  # type: ignore[attr-defined]
        if request.method == "POST":
            return cls(project, actor, entered=request.POST)
        asked = request.GET
        if "space_of" in asked:
            return cls(project, actor, entered=asked, follow=True)
        given: dict[str, Any] = {}
        run = study = None
        if key := asked.get("run"):
            run = get_visible_run(actor, project, key)
            given = {k: v for k, v in initial_of(run).items() if not k.startswith("p_")}
            given |= {"description": "", "metric": run.primary_metric or PRIMARY.get(run.task, "accuracy")}
        elif name := asked.get("study"):
            study = get_study(project, name)
            given = initial_of_study(study)
        given |= {name: asked[name] for name in KNOWN if asked.get(name)}
        return cls(project, actor, given=given, run=run, study=study)

    def _version(self, label: str) -> DatasetVersion | None:
        same = (v for v in self.versions if v.rpartition("@")[0] == label)
        first = self.versions[0] if self.versions else ""
        wanted = label if label in self.versions else next(same, first)
        return get_usable_version(self.actor, self.project, wanted) if wanted else None

    def _likely_task(self, target: str) -> str | None:
        if self.version is None or not target:
            return None
        return task_of_target(self.version, target) or likely_task(self.version, target)

    def _target(self, wanted: str) -> str:
        if self.version is None:
            return ""
        known = {c["name"] for c in self.version.schema}
        return wanted if wanted in known else likely_target(self.version)

    def _space(self, entered: QueryDict | None) -> SpaceForm:
        """Entered values count only for the algorithm they were entered for."""
        if entered is not None and entered.get("space_of") == self.algorithm.name:
            return SpaceForm.entered(self.algorithm, self.task, entered)
        study = self.origin_study
        if study is not None and study.algorithm == self.algorithm.name:
            return SpaceForm.of_study(self.algorithm, self.task, study.search_space, study.fixed)
        run = self.origin_run
        same = run is not None and run.algorithm == self.algorithm.name
        return SpaceForm.offered(
            self.algorithm, self.task, run.parameters if run is not None and same else {}
        )

    def _free_name(self) -> str:
        """A name that says what is tuned, with a number where it is taken (in the trash too)."""
        data = self.version.dataset.name if self.version else "study"
        stem = f"{data}-{self.algorithm.name.replace('_', '-')}"[:58].rstrip("-._")
        taken = set(
            Study.objects.filter(project=self.project, name__startswith=stem).values_list("name", flat=True)
        )
        return next(name for name in [stem, *[f"{stem}-{n}" for n in range(2, 9999)]] if name not in taken)

    @property
    def advanced_open(self) -> bool:
        """Whether something folded away is wrong."""
        return any(name in self.form.errors for name in self.form.advanced) if self.problem else False

    def body(self) -> dict[str, Any]:
        """The body of POST /studies."""
        chosen = self.wrong_algorithm or self.algorithm.name
        return self.form.body(chosen, self.space.search_space(), self.space.fixed())

    def refuse(self, error: AtelierError) -> None:
        """Say what is wrong beside the field or the row that it is about."""
        self.problem = error
        self.form.is_valid()
        self.form.errors.clear()
        placed = self.space.place(error)
        if placed is not None:
            self.space = placed
            return
        field = str(error.detail.get("field", ""))
        field = form_field(FORM_FIELDS.get(field, field))
        if field in self.form.fields:
            self.form.add_error(field, error.message)
        elif error.code.startswith("dataset."):
            self.form.add_error("dataset", error.message)
        else:
            self.form.add_error(None, error.message)
