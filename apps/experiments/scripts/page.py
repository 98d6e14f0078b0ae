"""The page of a new script's run and the Code tab: what is filled in, what was entered, what was wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.http import HttpRequest, QueryDict

from apps.accounts.access import Actor
from apps.accounts.models import Project
from apps.datasets.models import DatasetVersion
from apps.experiments.access import get_visible_run
from apps.experiments.forms import likely_target
from apps.experiments.models import Experiment, Run
from apps.experiments.new_run import ready_versions
from apps.experiments.rules.form import RuleRows
from apps.experiments.scripts import packages
from apps.experiments.scripts.actions import start_script
from apps.experiments.scripts.browser import source_text, told_source
from apps.experiments.scripts.checking import DEFAULT_NAME
from apps.experiments.scripts.form import GIT, HERE, ORIGINS, SAME, ScriptForm
from apps.experiments.scripts.received import pasted, received_code
from apps.experiments.scripts.resuming import checkpoint_of
from apps.experiments.scripts.shutting import Isolation, isolation
from apps.experiments.scripts.spec import DEFAULT_TIMEOUT, parse_script
from apps.experiments.states import InputFormat
from apps.jobs.models import JobEvent
from apps.jobs.placement import Placement
from apps.jobs.placement_form import form_field, initial_placement, placement_body
from foundation.errors import AtelierError, Invalid
from gateway.uploads import PROBLEMS

EXAMPLE = Path(__file__).resolve().parents[3] / "templates" / "experiments" / "examples" / "train.py"
EXAMPLE_NAME = "train.py"
#: CSV without a line of names, as the forms call it.
BARE = "csv-bare"
ROWS = 2


@dataclass
class Row:
    """A line of the parameters (name, value) or of the channels (name, dataset version, format). example: it belongs
    to the example script and goes where other code is chosen."""

    name: str = ""
    value: str = ""
    format: str = InputFormat.PARQUET
    error: str = ""
    example: bool = False

    @property
    def is_empty(self) -> bool:
        """Nothing was entered: the line does not count."""
        return not self.name and not self.value


@dataclass
class NewScript:
    """The form with its rows. From the POST, else from the run named by ?from=, else a working example."""

    project: Project
    actor: Actor
    form: ScriptForm
    parameters: list[Row]
    channels: list[Row]
    variables: list[Row]
    versions: list[str]
    experiments: list[str]
    rules: RuleRows
    origin: Run | None = None
    problem: AtelierError | None = None
    sentence: str = ""
    formats: list[tuple[str, str]] = field(
        default_factory=lambda: [*InputFormat.choices, (BARE, "CSV, no names")]
    )

    @property
    def isolation(self) -> Isolation:
        """What keeps a script in, and what does not, in words."""
        return isolation()

    @property
    def errors_of_rows(self) -> bool:
        """Whether something is wrong in the parameters or the channels."""
        return any(row.error for row in (*self.parameters, *self.channels, *self.variables))

    @property
    def same(self) -> str:
        """What the code of the run is, where the form can take it over unseen."""
        return told_source(self.origin) if self.origin is not None and self.origin.code_source else ""

    @classmethod
    def build(cls, request: HttpRequest, project: Project) -> NewScript:
        """From the request; an unknown ?from= is an error like any other unknown run."""
        actor: Actor = request.actor  # type: ignore[attr-defined]
        entered = request.POST if request.method == "POST" else None
        versions = ready_versions(project)
        origin = get_visible_run(actor, project, key) if (key := request.GET.get("from")) else None
        if entered is not None:
            initial: dict[str, Any] = {}
            parameters, channels, variables = _entered(entered)
        elif origin is not None and origin.code_digest:
            initial, parameters, channels, variables = _of_run(origin)
        else:
            initial, parameters, channels = _example(project, versions, request.GET.get("dataset", ""))
            variables = []
        if entered is None and (experiment := request.GET.get("experiment")):
            initial["experiment"] = experiment
        form = ScriptForm(entered, initial=initial | packages.initial(request, origin))
        if origin is None or checkpoint_of(origin) is None:
            del form.fields["resume"]
        form.fields["environment"].choices = packages.choices(project)  # type: ignore[attr-defined]
        if origin is None or not origin.code_source:
            form.fields["origin"].choices = ORIGINS[:-1]  # type: ignore[attr-defined]
        known = [row.value for row in channels if row.value and row.value not in versions]
        return cls(
            project=project,
            actor=actor,
            form=form,
            parameters=_padded(parameters),
            channels=_padded(channels),
            variables=_padded(variables),
            rules=RuleRows.build(entered, origin),
            versions=[*versions, *known],
            experiments=list(
                Experiment.objects.alive()
                .filter(project=project)
                .order_by("name")
                .values_list("name", flat=True)[:200]
            ),
            origin=origin,
            sentence=PROBLEMS.get(request.GET.get("problem", ""), ""),
        )

    def start(self, request: HttpRequest) -> Run | None:
        """Start the run, or keep what was wrong for the page, at its field where there is one."""
        try:
            upload = received_code(request)
            body = self._body(request.POST, upload.filename if upload else "")
            if upload is None and not {"git", "code_of"} & set(body):
                upload = pasted(request.POST.get("source", ""))
            spec = parse_script(body, upload=upload, actor=self.actor, project=self.project)
            return start_script(actor=self.actor, project=self.project, spec=spec)
        except AtelierError as error:
            self.problem = error
            self._place(error)
            return None

    def _body(self, entered: QueryDict, filename: str) -> dict[str, Any]:
        inputs: dict[str, Any] = {}
        for row in self.channels:
            if row.is_empty:
                continue
            _check_row(row, inputs, "channel", "input.bad_name")
            if not row.value:
                row.error = "Choose a dataset version, or leave the name of the channel empty too."
                raise Invalid("input.invalid", row.error, {"field": f"inputs.{row.name}"})
            inputs[row.name] = {
                "dataset": row.value,
                "format": InputFormat.CSV if row.format == BARE else row.format,
                "header": row.format != BARE,
            }
        parameters: dict[str, Any] = {}
        for row in self.parameters:
            if row.is_empty:
                continue
            _check_row(row, parameters, "parameter", "parameter.bad_name")
            parameters[row.name] = typed(row.value)
        variables: dict[str, Any] = {}
        for row in self.variables:
            if row.is_empty:
                continue
            _check_row(row, variables, "variable", "variable.bad_name")
            variables[row.name] = row.value
        chosen = entered.get("entry_point", "").strip()
        origin = entered.get("origin", HERE)
        # What is chosen brings its own name, unless somebody has given another than the page's.
        own = (filename or origin == GIT) and chosen in ("", EXAMPLE_NAME, DEFAULT_NAME)
        return {
            "entry_point": "" if own else chosen,
            "inputs": inputs,
            "parameters": parameters,
            "variables": variables,
            "rules": self.rules.body(),
            **packages.body(entered),
            **self._origin(origin, entered),
            "timeout": _seconds(entered.get("minutes", "")),
            "retries": entered.get("retries", "").strip(),
            **{name: entered.get(name, "") for name in ("experiment", "name", "description")},
            **placement_body(entered),
        }

    def _origin(self, origin: str, entered: QueryDict) -> dict[str, Any]:
        more = {"resume": self.origin.hex} if entered.get("resume") and self.origin is not None else {}
        if origin == GIT:
            names = ("url", "commit", "folder", "token")
            return {**more, "git": {name: entered.get(f"git_{name}", "").strip() for name in names}}
        if origin == SAME and self.origin is not None:
            return {**more, "code_of": self.origin.hex}
        return more

    def _place(self, error: AtelierError) -> None:
        """Say it beside the field that it is about."""
        name = str(error.detail.get("field", ""))
        self.form.is_valid()
        self.form.errors.clear()
        if self.errors_of_rows:
            return
        kind, _, key = name.partition(".")
        by_kind = {"parameters": self.parameters, "inputs": self.channels, "variables": self.variables}
        rows = by_kind.get(kind, [])
        at = next((row for row in rows if key and row.name == key), None) or next(
            (row for row in rows if row.name and f"'{row.name}'" in error.message), None
        )
        if error.code.startswith("dataset.") and at is None:
            at = next((row for row in self.channels if not row.is_empty and row.value in error.message), None)
        aliases = {"code": "source", "timeout": "minutes", "git": "git_url", "code_of": "origin"}
        if self.form.data.get("environment") == packages.OTHER:
            aliases["environment"] = "requirements"
        aliases |= {f"git.{part}": f"git_{part}" for part in ("url", "commit", "folder", "token")}
        if at is not None:
            at.error = error.message
        elif (place := form_field(aliases.get(name, name))) in self.form.fields:
            self.form.add_error(place, error.message)
        elif not self.rules.place(error):
            self.form.add_error(None, error.message)


def _check_row(row: Row, known: dict[str, Any], what: str, code: str) -> None:
    """Raises Invalid for a line without a name, or with that of another line; the line says it too."""
    if not row.name:
        row.error = f"This {what} needs a name."
    elif row.name in known:
        row.error = f"There are two {what}s '{row.name}'."
    if row.error:
        raise Invalid(code, row.error, {"field": f"{what}s"})


def typed(text: str) -> Any:
    """What was typed as a number, true or false where that keeps its text; else as it stands."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if str(value) == text and math.isfinite(value):
            return value
    return text


def _seconds(minutes: str) -> Any:
    """Seconds; what is no number is passed on, for the sentence about the field."""
    text = minutes.strip().replace(",", "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value <= 10_080:
        raise Invalid(
            "run.out_of_range",
            "The time limit is a number of minutes, more than 0 and at most 10,080.",
            {"field": "timeout"},
        )
    return max(1, round(value * 60))


def _entered(entered: QueryDict) -> tuple[list[Row], list[Row], list[Row]]:
    pairs = zip(entered.getlist("param_name"), entered.getlist("param_value"), strict=False)
    named = zip(entered.getlist("var_name"), entered.getlist("var_value"), strict=False)
    lines = zip(
        entered.getlist("channel_name"),
        entered.getlist("channel_dataset"),
        entered.getlist("channel_format"),
        strict=False,
    )
    return (
        [Row(name.strip(), value) for name, value in pairs][:200],
        [Row(name.strip(), value, kind) for name, value, kind in lines][:100],
        [Row(name.strip(), value) for name, value in named][:100],
    )


def _of_run(run: Run) -> tuple[dict[str, Any], list[Row], list[Row], list[Row]]:
    """What "run again with changes" fills in: everything but the name."""
    seconds = (run.job.timeout_seconds if run.job else None) or DEFAULT_TIMEOUT
    variables = (run.job.spec.get("variables") if run.job else None) or {}
    initial = {
        "origin": SAME if run.code_source else HERE,
        "source": source_text(run),
        "entry_point": run.code_name,
        "minutes": f"{seconds / 60:g}",
        "retries": str((run.job.spec.get("retries") if run.job else None) or ""),
        "experiment": run.experiment.name,
        "description": run.description,
        **({} if run.job is None else initial_placement(Placement.of(run.job))),
        "git_url": run.code_source.get("url", ""),
        "git_commit": run.code_source.get("ref", "") or run.code_source.get("commit", ""),
        "git_folder": run.code_source.get("folder", ""),
    }
    inputs = run.inputs.select_related("dataset_version__dataset")
    return (
        initial,
        [Row(name, _shown(value)) for name, value in sorted(run.parameters.items())],
        [Row(one.channel, one.dataset_version.label, one.format if one.header else BARE) for one in inputs],
        [Row(name, str(value)) for name, value in sorted(variables.items())],
    )


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _example(
    project: Project, versions: list[str], wanted: str
) -> tuple[dict[str, Any], list[Row], list[Row]]:
    """The example with the newest dataset (or the one of the URL) and its likely target."""
    initial = {
        "source": EXAMPLE.read_text(encoding="utf-8"),
        "entry_point": EXAMPLE_NAME,
        "minutes": f"{DEFAULT_TIMEOUT / 60:g}",
        "experiment": "Default",
    }
    label = next(
        (v for v in versions if wanted in (v, v.rpartition("@")[0])), versions[0] if versions else ""
    )
    version = _version(project, label)
    target = likely_target(version) if version else ""
    given = {"target": target, "learning-rate": "0.1", "rounds": "100"}
    parameters = [Row(name, value, example=True) for name, value in given.items()]
    return initial, parameters, [Row("train", label, example=True)]


def _version(project: Project, label: str) -> DatasetVersion | None:
    name, _, number = label.rpartition("@")
    found = DatasetVersion.objects.alive().filter(
        project=project, dataset__name=name, dataset__deleted_at=None
    )
    version: DatasetVersion | None = found.filter(number=int(number)).first() if number.isdigit() else None
    return version


def _padded(rows: list[Row]) -> list[Row]:
    """Some empty lines behind, for browsers without JavaScript."""
    kept = [row for row in rows if not row.is_empty]
    return [*kept, *(Row() for _ in range(max(1, ROWS - len(kept))))]


def frames_of(run: Run) -> list[dict[str, Any]]:
    """The lines of the script on the way to the error that ended it; [] when there was none."""
    job = run.job
    if job is None or not run.code_digest or job.error_code != "script.failed":
        return []
    event = JobEvent.objects.filter(job_id=job.pk, kind=job.state).order_by("-at", "-id").first()
    frames = (event.detail if event else {}).get("frames", [])
    return [frame for frame in frames if isinstance(frame, dict)] if isinstance(frames, list) else []
