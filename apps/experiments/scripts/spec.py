"""What a run of a script is to be: checked in one place for the API and the page."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.accounts.access import Actor
from apps.accounts.models import Project
from apps.datasets.access import get_usable_version
from apps.datasets.models import DatasetVersion
from apps.environments.actions import read_request
from apps.environments.models import Environment
from apps.environments.requirements import Requirements
from apps.experiments.access import get_visible_run
from apps.experiments.rules.spec import read_rules
from apps.experiments.sandbox.script_contract import variable_part
from apps.experiments.scripts.browser import code_again
from apps.experiments.scripts.checking import Code
from apps.experiments.scripts.intake import read_git, read_upload
from apps.experiments.scripts.packages import requirements_in
from apps.experiments.scripts.received import Received
from apps.experiments.scripts.resuming import check_resume
from apps.experiments.scripts.variables import read_variables
from apps.experiments.spec import TIMEOUT_AT_MOST, read_experiment, read_tags, read_whole
from apps.experiments.states import InputFormat
from apps.jobs.placement import FIELDS as PLACEMENT_FIELDS
from apps.jobs.placement import Placement, read_placement
from foundation.errors import Forbidden, Invalid
from foundation.names import check_name as check_title
from foundation.names import check_text

FIELDS = (
    "experiment", "entry_point", "git", "code_of", "resume", "inputs", "parameters", "variables", "environment",
    "timeout", "retries", "name", "description", "tags", "rules",
    *PLACEMENT_FIELDS,
)  # fmt: skip
DEFAULT_TIMEOUT = 3600
RETRIES_AT_MOST = 5
#: What a script may write, beside its inputs.
DISK_BYTES = 2 * 1000**3
CHANNELS_AT_MOST = 20
PARAMETERS_AT_MOST = 100
VALUE_LENGTH = 2500
#: The channel that a run is named after where there are several.
MAIN_CHANNELS = ("train", "training")
_CHANNEL = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")
#: Column types that CSV has no form for.
NOT_CSV = frozenset({"list", "struct", "binary"})


@dataclass(frozen=True)
class Input:
    """A channel: what lies in the folder of that name. header: whether CSV begins with a line of names."""

    channel: str
    version: DatasetVersion
    format: str = InputFormat.PARQUET
    header: bool = True


@dataclass(frozen=True)
class ScriptSpec:
    """A script's run that may be started. timeout: seconds; retries: how often it is tried again when it failed."""

    experiment: str
    code: Code
    inputs: tuple[Input, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    environment: Environment | Requirements | None = None
    resume: str = ""
    timeout: int = DEFAULT_TIMEOUT
    retries: int = 0
    name: str = ""
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    placement: Placement = field(default_factory=Placement)
    rules: list[dict[str, Any]] = field(default_factory=list)

    @property
    def main(self) -> Input | None:
        """The input that the run is named after: "train" or "training", else the first."""
        by_name = {one.channel: one for one in self.inputs}
        named = next((by_name[name] for name in MAIN_CHANNELS if name in by_name), None)
        return named or next(iter(self.inputs), None)


def check_allowed(actor: Actor, project: Project) -> None:
    """Raises Forbidden "script.not_allowed" where the project has own scripts switched off, and
    "script.by_job" for a job's token: a script that starts scripts would have no end."""
    if not project.own_code:
        raise Forbidden(
            "script.not_allowed",
            "Own scripts are switched off in this project. A maintainer or an owner of the team can allow them "
            "in the project's settings.",
            {"setting": "own_code", "needed": "maintainer"},
        )
    if actor.job_id is not None:
        raise Forbidden("script.by_job", "A job cannot start a script; a person or a personal token can.")


def parse_script(data: object, *, upload: Received | None, actor: Actor, project: Project) -> ScriptSpec:
    """The JSON of POST /runs and its file as a ScriptSpec. The code is read last: everything that is told quickly
    is told before an archive is opened or a repository fetched.

    Raises Forbidden "script.not_allowed", Invalid naming the field, NotFound for a dataset.
    """
    check_allowed(actor, project)
    if not isinstance(data, Mapping):
        raise Invalid("request.invalid", "The field 'spec' must be a JSON object.", {"field": "spec"})
    for name in data:
        if name not in FIELDS:
            raise Invalid(
                "run.unknown_field",
                f"A script's run has no field '{str(name)[:60]}'. It knows: {', '.join(FIELDS)}.",
                {"field": str(name)[:60]},
            )
    packages = data.get("environment")
    of_code = isinstance(packages, Mapping) and set(packages) == {"file"}
    given: dict[str, Any] = {
        "experiment": read_experiment(data.get("experiment"), project),
        "inputs": _inputs(data.get("inputs"), actor, project),
        "parameters": read_parameters(data.get("parameters")),
        "variables": read_variables(data.get("variables")),
        "resume": _resume(data.get("resume"), actor, project),
        "environment": None if of_code else read_request(actor=actor, project=project, given=packages),
        "timeout": read_whole(data, "timeout", DEFAULT_TIMEOUT, 1, TIMEOUT_AT_MOST) or DEFAULT_TIMEOUT,
        "retries": read_whole(data, "retries", 0, 0, RETRIES_AT_MOST) or 0,
        "name": check_title(data["name"]) if data.get("name") not in (None, "") else "",
        "description": check_text(data.get("description"), field="description"),
        "tags": read_tags(data.get("tags")),
        "placement": read_placement(data),
        "rules": read_rules(data.get("rules")),
    }
    code = _code(data, upload, actor, project)
    if of_code:
        asked = {"requirements": requirements_in(code, packages["file"])}  # type: ignore[index]
        given["environment"] = read_request(actor=actor, project=project, given=asked)
    return ScriptSpec(code=code, **given)


def _resume(value: object, actor: Actor, project: Project) -> str:
    return check_resume(get_visible_run(actor, project, str(value))) if value not in (None, "") else ""


def _code(data: Mapping[str, Any], upload: Received | None, actor: Actor, project: Project) -> Code:
    git, same = data.get("git"), data.get("code_of")
    named = [name for name, given in (("code", upload), ("git", git), ("code_of", same)) if given is not None]
    if len(named) > 1:
        raise Invalid(
            "script.two_sources",
            f"The code comes from one place: a file, a git repository or another run, not {' and '.join(named)}.",
            {"field": named[-1]},
        )
    if git is not None:
        return read_git(git, data.get("entry_point"))
    if same is not None:
        return code_again(get_visible_run(actor, project, str(same)), data.get("entry_point"))
    if upload is None:
        raise Invalid(
            "upload.no_file",
            "Send the script or the archive as the part 'code' of the form, or name a git repository.",
            {"field": "code"},
        )
    return read_upload(upload, data.get("entry_point"))


def read_json(text: object) -> object:
    """The field `spec` of a form as JSON. Raises Invalid "request.invalid" with the place of the error."""
    if text in (None, ""):
        return {}
    if not isinstance(text, str):
        raise Invalid("request.invalid", "The field 'spec' must be a JSON object.", {"field": "spec"})
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise Invalid(
            "request.invalid",
            f"The field 'spec' is no JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
            {"field": "spec", "line": error.lineno, "column": error.colno},
        ) from None
    except RecursionError:
        raise Invalid(
            "request.invalid", "The field 'spec' is nested too deeply.", {"field": "spec"}
        ) from None


def _inputs(value: object, actor: Actor, project: Project) -> tuple[Input, ...]:
    if value in (None, ""):
        return ()
    if not isinstance(value, Mapping):
        raise Invalid(
            "run.bad_field",
            'The inputs must be an object such as {"train": "churn@2"}.',
            {"field": "inputs"},
        )
    check_channels(value)
    return tuple(_input(str(name), given, actor, project) for name, given in value.items())


def check_channels(value: Mapping[Any, Any]) -> None:
    """Names of channels. Raises Invalid "input.too_many" or "input.bad_name"."""
    if len(value) > CHANNELS_AT_MOST:
        raise Invalid(
            "input.too_many", f"A run takes {CHANNELS_AT_MOST} channels at most.", {"field": "inputs"}
        )
    _check_names(value, _CHANNEL, "channel", "inputs", "up to 40 letters, digits, '-' and '_'")


def _input(channel: str, given: object, actor: Actor, project: Project) -> Input:
    field_name = f"inputs.{channel}"
    more = given if isinstance(given, Mapping) else {"dataset": given}
    unknown = [str(key) for key in more if key not in ("dataset", "format", "header")]
    reference, kind = more.get("dataset"), more.get("format", InputFormat.PARQUET)
    header = more.get("header", True)
    if unknown or not isinstance(reference, str) or not reference:
        raise Invalid(
            "input.invalid",
            f"The channel '{channel}' must be a dataset version such as \"churn@2\", or an object "
            '{"dataset": "churn@2", "format": "csv"}.',
            {"field": field_name},
        )
    if kind not in InputFormat.values:
        raise Invalid(
            "input.invalid",
            f"The format of the channel '{channel}' is 'parquet' or 'csv'.",
            {"field": field_name},
        )
    if not isinstance(header, bool) or not (header or kind == InputFormat.CSV):
        raise Invalid(
            "input.invalid",
            f"The header of the channel '{channel}' is true or false, and false for CSV only: the line of names.",
            {"field": field_name},
        )
    try:
        version = get_usable_version(actor, project, reference)
    except Invalid as error:
        raise Invalid(error.code, error.message, {**error.detail, "field": field_name}) from error
    if kind == InputFormat.CSV:
        bad = [str(column["name"]) for column in version.schema if column["type"] in NOT_CSV]
        if bad:
            raise Invalid(
                "input.not_csv",
                f"The column '{bad[0][:80]}' of {version.label} has no form in CSV; take the channel "
                f"'{channel}' as Parquet.",
                {"field": field_name},
            )
    return Input(channel, version, str(kind), header)


def read_parameters(value: object) -> dict[str, Any]:
    """The hyperparameters of a script. Raises Invalid naming the field."""
    if value in (None, ""):
        return {}
    if not isinstance(value, Mapping):
        raise Invalid(
            "run.bad_field",
            'The parameters must be an object such as {"epochs": 10}.',
            {"field": "parameters"},
        )
    if len(value) > PARAMETERS_AT_MOST:
        raise Invalid(
            "parameter.too_many",
            f"A run takes {PARAMETERS_AT_MOST} parameters at most.",
            {"field": "parameters"},
        )
    _check_names(value, _PARAMETER, "parameter", "parameters", "up to 100 letters, digits, '_', '-' and '.'")
    return {str(name): _value(str(name), given) for name, given in value.items()}


def _value(name: str, given: object) -> Any:
    finite = not isinstance(given, float) or math.isfinite(given)
    if not isinstance(given, str | int | float) or not finite:
        raise Invalid(
            "parameter.invalid",
            f"The parameter '{name}' must be a number, a text, true or false.",
            {"field": f"parameters.{name}"},
        )
    if len(str(given)) > VALUE_LENGTH or "\x00" in str(given):
        raise Invalid(
            "parameter.invalid",
            f"The parameter '{name}' has more than {VALUE_LENGTH:,} characters or a NUL; what is so long "
            "belongs into the script or a dataset.",
            {"field": f"parameters.{name}"},
        )
    return given


def _check_names(
    given: Mapping[Any, Any], pattern: re.Pattern[str], what: str, field_name: str, allowed: str
) -> None:
    """Names that can stand in a variable and in an argument, no two of them in the same variable."""
    seen: dict[str, str] = {}
    for name in given:
        if not isinstance(name, str) or not pattern.fullmatch(name):
            raise Invalid(
                f"{'input' if what == 'channel' else what}.bad_name",
                f"The name of a {what} has {allowed}, a letter first: '{str(name)[:60]}' does not.",
                {"field": field_name},
            )
        variable = variable_part(name)
        if variable in seen:
            raise Invalid(
                f"{'input' if what == 'channel' else what}.bad_name",
                f"The {what}s '{seen[variable]}' and '{name}' would be the same variable ({variable}).",
                {"field": field_name},
            )
        seen[variable] = name
