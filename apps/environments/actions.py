"""Writes that people ask for. Each is atomic and leaves an audit row."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction

from apps.accounts.access import Actor
from apps.accounts.audit import record_audit
from apps.accounts.models import Project
from apps.environments.access import check_allowed, get_environment
from apps.environments.models import Environment
from apps.environments.requirements import (
    Requirements,
    parse_requirements,
    python_version,
    request_digest,
)
from apps.environments.states import ENVIRONMENT, EnvironmentState
from apps.jobs.actions import request_cancel, submit
from apps.jobs.states import LIVE
from foundation.clock import now
from foundation.errors import Conflict, Invalid
from foundation.names import check_name, check_text

BUILD = "environments.build"
BUILD_SECONDS = 1800
AT_MOST = 100


def _audit(actor: Actor, environment: Environment, verb: str, **detail: Any) -> None:
    record_audit(
        actor=actor,
        project=environment.project,
        action=f"environment.{verb}",
        subject_kind="environment",
        subject_id=environment.pk,
        subject_title=environment.name,
        detail=detail,
    )


def create_environment(
    *, actor: Actor, project: Project, name: str, requirements: object, description: str = ""
) -> Environment:
    """An environment of a name; its packages are resolved and installed by a job.

    Raises Forbidden "environment.not_allowed", Invalid "environment.bad_line" and its like, Conflict
    "environment.duplicate", "environment.too_many".
    """
    check_allowed(actor, project)
    _check_name(name)
    text = check_text(description, field="description")
    parsed = parse_requirements(requirements)
    return _create(actor, project, name, parsed, text)


def _check_name(name: object) -> str:
    """check_name, without the word that is the address of the form."""
    if name == "new":
        raise Invalid("name.invalid", "An environment cannot be called 'new'.", {"field": "name"})
    return check_name(name)


def read_request(*, actor: Actor, project: Project, given: object) -> Environment | Requirements | None:
    """What a run asks for, checked without making anything: {"requirements": text}, {"name": name} or a name; None
    and "" mean the studio's own packages.

    Raises Invalid "environment.invalid" for another form, NotFound, Conflict "environment.failed" for a named one
    that could not be built, Forbidden "environment.not_allowed", and what parse_requirements raises.
    """
    if given is None or given == "":
        return None
    check_allowed(actor, project)
    wanted = {"name": given} if isinstance(given, str) else given
    if not isinstance(wanted, dict) or set(wanted) not in ({"name"}, {"requirements"}):
        raise Invalid(
            "environment.invalid",
            'The environment is a name, or an object {"requirements": "xgboost>=2"} or {"name": "boost"}.',
            {"field": "environment"},
        )
    if "requirements" in wanted:
        try:
            return parse_requirements(wanted["requirements"])
        except Invalid as error:
            raise Invalid(error.code, error.message, {**error.detail, "field": "environment"}) from error
    if not isinstance(wanted["name"], str):
        raise Invalid("environment.invalid", "The name of an environment is text.", {"field": "environment"})
    found = get_environment(project, wanted["name"])
    if found.state == EnvironmentState.FAILED:
        raise Conflict(
            "environment.failed",
            f"The environment {found.name} could not be built: {found.reason}",
            {"field": "environment", "environment": found.name},
        )
    return found


def provide(*, actor: Actor, project: Project, request: Environment | Requirements) -> Environment:
    """The environment of a checked request. The same requirements are the same environment, so they are resolved
    once; a failed one is built again."""
    if isinstance(request, Environment):
        return request
    digest = request_digest(request)
    alike = (
        Environment.objects.alive().filter(project=project, request=digest).select_related("project", "job")
    )
    usable = alike.exclude(state=EnvironmentState.FAILED).order_by(
        "-state", "created_at"
    )  # ready before building
    known: Environment | None = usable.first() or alike.order_by("created_at").first()
    if known is None:
        try:
            return _create(actor, project, f"env-{digest[:8]}", request, "")
        except Conflict as error:
            known = alike.first()
            if error.code != "environment.duplicate" or known is None:
                raise
    if known.state == EnvironmentState.FAILED:
        return build_again(actor=actor, environment=known)
    return known


def ensure(*, actor: Actor, project: Project, given: object) -> Environment | None:
    """read_request and provide in one."""
    request = read_request(actor=actor, project=project, given=given)
    return None if request is None else provide(actor=actor, project=project, request=request)


def _create(actor: Actor, project: Project, name: str, parsed: Requirements, description: str) -> Environment:
    if Environment.objects.alive().filter(project=project).count() >= AT_MOST:
        raise Conflict(
            "environment.too_many",
            f"The project has {AT_MOST} environments. Move one that nobody uses to the trash first.",
            {"limit": AT_MOST},
        )
    hashes = [f"# {name}: sha256 {' '.join(found)}" for name, found in parsed.hashes.items()]
    environment = Environment(
        project=project,
        created_by=actor.user,
        name=name,
        description=description,
        requirements=parsed.text + "".join(f"{line}\n" for line in hashes),
        request=request_digest(parsed),
        python=python_version(),
    )
    try:
        with transaction.atomic():
            environment.save(force_insert=True)
            _submit(actor, environment, parsed)
            _audit(actor, environment, "create", packages=len(parsed.lines))
    except IntegrityError as error:
        if "environment_name_in_project" in str(error):
            raise _duplicate(name) from error
        raise
    return environment


def _submit(actor: Actor, environment: Environment, parsed: Requirements) -> None:
    job = submit(
        kind=BUILD,
        project=environment.project,
        created_by=actor.user,
        spec={
            "environment": str(environment.pk),
            "requirements": parsed.text,
            "hashes": {name: list(found) for name, found in parsed.hashes.items()},
        },
        title=f"Build environment {environment.name}",
        subject=("environment", str(environment.pk)),
        timeout=BUILD_SECONDS,
        priority=1,  # others wait for it
    )
    environment.job = job
    Environment.objects.filter(pk=environment.pk).update(job=job, python=python_version())


def _duplicate(name: str) -> Conflict:
    return Conflict(
        "environment.duplicate", f"There is already an environment '{name}' in this project.", {"name": name}
    )


@transaction.atomic
def build_again(*, actor: Actor, environment: Environment) -> Environment:
    """Try once more to build what failed. Raises Conflict "environment.not_failed" for any other."""
    check_allowed(actor, environment.project)
    moved = ENVIRONMENT.move(
        Environment.objects.filter(pk=environment.pk, deleted_at__isnull=True),
        to=EnvironmentState.BUILDING,
        frm=EnvironmentState.FAILED,
        reason="",
        error_code="",
        updated_at=now(),
    )
    environment.refresh_from_db()
    if not moved:
        raise Conflict(
            "environment.not_failed",
            f"The environment {environment.name} is {environment.state}; only a failed one is built again.",
            {"state": environment.state},
        )
    spec = environment.job.spec if environment.job is not None else {}
    hashes = {str(key): tuple(value) for key, value in dict(spec.get("hashes") or {}).items()}
    lines = tuple(line for line in environment.requirements.splitlines() if not line.startswith("#"))
    _submit(actor, environment, Requirements(lines, hashes))
    _audit(actor, environment, "build")
    return environment


@transaction.atomic
def update_environment(*, actor: Actor, environment: Environment, changes: dict[str, Any]) -> Environment:
    """Rename or describe. The packages of an environment never change: other packages are another environment.

    Raises Invalid, Conflict "environment.duplicate".
    """
    if "name" in changes:
        environment.name = _check_name(changes["name"])
    if "description" in changes:
        environment.description = check_text(changes["description"], field="description")
    try:
        with transaction.atomic():
            environment.save(update_fields=["name", "description", "updated_at"])
    except IntegrityError as error:
        if "environment_name_in_project" in str(error):
            raise _duplicate(environment.name) from error
        raise
    _audit(actor, environment, "update", fields=sorted(changes))
    return environment


@transaction.atomic
def trash_environment(*, actor: Actor, environment: Environment) -> None:
    """Move it to the trash. Its packages leave the disk once nothing else needs them; a build is stopped.

    Raises Conflict "environment.in_use" while a job waits for it or runs in it.
    """
    Environment.objects.select_for_update().get(pk=environment.pk)
    live = environment.uses.filter(job__state__in=LIVE).count()
    if live:
        raise Conflict(
            "environment.in_use",
            f"{'A run uses' if live == 1 else f'{live} runs use'} {environment.name} right now. Wait for "
            f"{'it' if live == 1 else 'them'}, or cancel {'it' if live == 1 else 'them'} first.",
            {"jobs": live},
        )
    if Environment.objects.filter(pk=environment.pk, deleted_at__isnull=True).update(deleted_at=now()):
        _audit(actor, environment, "trash")
        job = environment.job
        if environment.is_building and job is not None and job.state in LIVE:
            request_cancel(job=job, actor=actor)


@transaction.atomic
def restore_environment(*, actor: Actor, environment: Environment) -> Environment:
    """Take it out of the trash; its packages are installed again when a run needs them.

    Raises Conflict "environment.duplicate" when its name is in use again.
    """
    try:
        with transaction.atomic():
            restored = Environment.objects.filter(pk=environment.pk, deleted_at__isnull=False).update(
                deleted_at=None
            )
    except IntegrityError as error:
        raise _duplicate(environment.name) from error
    if restored:
        _audit(actor, environment, "restore")
    environment.refresh_from_db()
    return environment
