"""The choice of packages in the form of a script: the studio's own, an environment, or requirements of its own."""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from apps.accounts.models import Project
from apps.environments.queries import choices_of, environment_of_run
from apps.experiments.models import Run
from apps.experiments.scripts.checking import Code
from foundation.errors import Invalid

#: No name begins like this.
OTHER = "+"
OF_CODE = "+file"
REQUIREMENTS = "requirements.txt"
OWN_PACKAGES = ("", "The studio's own packages")
CODE_PACKAGES = (OF_CODE, f"The {REQUIREMENTS} of the archive or repository")
OTHER_PACKAGES = (OTHER, "Requirements of this run…")


def choices(project: Project) -> list[tuple[str, str]]:
    """What the form offers."""
    return [OWN_PACKAGES, *choices_of(project), CODE_PACKAGES, OTHER_PACKAGES]


def initial(request: HttpRequest, origin: Run | None) -> dict[str, Any]:
    """The environment of ?environment=, else that of the run that the form is filled in from."""
    if name := request.GET.get("environment", ""):
        return {"environment": name}
    used = environment_of_run(origin.job_id) if origin is not None and origin.job_id else None
    return {"environment": used.name} if used is not None and used.deleted_at is None else {}


def requirements_in(code: Code, path: object) -> str:
    """A requirements file of an archive or a repository. Raises Invalid "environment.no_file"."""
    found = None
    if code.source and isinstance(path, str):
        with zipfile.ZipFile(io.BytesIO(code.data)) as archive, contextlib.suppress(KeyError):
            found = archive.read(str(code.source.get("root", "")) + path.removeprefix("./"))
    if found is None:
        raise Invalid(
            "environment.no_file",
            f"The code holds no file '{str(path)[:100]}' of requirements.",
            {"field": "environment"},
        )
    return found.decode("utf-8", "replace")


def body(entered: Mapping[str, Any]) -> dict[str, Any]:
    """The field `environment` of the JSON."""
    chosen = entered.get("environment", "")
    if chosen == OF_CODE:
        return {"environment": {"file": REQUIREMENTS}}
    if chosen == OTHER:
        return {"environment": {"requirements": entered.get("requirements", "")}}
    return {"environment": {"name": chosen}} if chosen else {}
