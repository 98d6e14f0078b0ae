"""Environment variables that somebody gives a run of their own code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from adapters.executors.confine import refused_environment
from foundation.errors import Invalid

VARIABLES_AT_MOST = 50
VALUE_LENGTH = 2500
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
#: Set by the training contract: what stands there is what the run was given.
_OURS = ("SM_", "ATELIER_", "TRAINING_JOB_", "GIT_")
_OUR_NAMES = frozenset(
    {
        "MLFLOW_TRACKING_URI",
        "MLFLOW_TRACKING_TOKEN",
        "MLFLOW_EXPERIMENT_ID",
        "MLFLOW_RUN_ID",
        "LANG",
        "LC_ALL",
    }
)


def read_variables(value: object) -> dict[str, str]:
    """The field `variables` of a request. Raises Invalid "run.bad_field" or "variable.…"."""
    if value in (None, ""):
        return {}
    if not isinstance(value, Mapping):
        raise Invalid(
            "run.bad_field",
            'The variables must be an object such as {"OMP_NUM_THREADS": "1"}.',
            {"field": "variables"},
        )
    if len(value) > VARIABLES_AT_MOST:
        raise Invalid(
            "variable.too_many", f"A run takes {VARIABLES_AT_MOST} variables at most.", {"field": "variables"}
        )
    return {_name(name): _text(str(name), given) for name, given in value.items()}


def _name(name: object) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Invalid(
            "variable.bad_name",
            "The name of a variable has up to 100 letters, digits and '_', no digit first: "
            f"'{str(name)[:60]}' does not.",
            {"field": "variables"},
        )
    if refused_environment([name]):
        raise Invalid(
            "job.environment",
            f"The variable {name} may not be set: it would change how programs are loaded.",
            {"field": f"variables.{name}"},
        )
    if name in _OUR_NAMES or name.startswith(_OURS):
        raise Invalid(
            "variable.reserved",
            f"The variable {name} is set by the studio itself.",
            {"field": f"variables.{name}"},
        )
    return name


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Invalid(
            "variable.invalid",
            f"The value of the variable {name} must be a text.",
            {"field": f"variables.{name}"},
        )
    text = str(value)
    if len(text) > VALUE_LENGTH or "\x00" in text:
        raise Invalid(
            "variable.invalid",
            f"The value of the variable {name} has more than {VALUE_LENGTH:,} characters or a NUL.",
            {"field": f"variables.{name}"},
        )
    return text
