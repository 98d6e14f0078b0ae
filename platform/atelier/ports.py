"""The gateway's ports, implemented with the apps: who is calling, which project, where predictions go.

Every answer that costs a query is cached for CACHE_SECONDS, so a revoked token or a removed member stops
working within five seconds (a job's token at once); nothing is cached that raised.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError, close_old_connections

from foundation.errors import Forbidden, NotFound, Unauthenticated, Unavailable
from gateway.ports import Caller, Credentials, Ports, ProjectRef, Route, TrackingRef

CACHE_SECONDS = 3.0
CACHE_SIZE = 10_000
ADOPT_SECONDS = 0.2
T = TypeVar("T")


class Cache:
    """A small dictionary whose entries live for a few seconds."""

    def __init__(self, seconds: float = CACHE_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self.clock = clock
        self._entries: dict[Hashable, tuple[float, Any]] = {}

    def get(self, key: Hashable) -> Any:
        """The value, or None when absent or old."""
        entry = self._entries.get(key)
        return entry[1] if entry is not None and entry[0] > self.clock() else None

    def put(self, key: Hashable, value: Any) -> None:
        """Keep a value for a few seconds."""
        if len(self._entries) >= CACHE_SIZE:
            self._entries.clear()
        self._entries[key] = (self.clock() + self.seconds, value)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()


def in_thread(function: Callable[..., T]) -> Callable[..., Any]:
    """Run a function that uses the database in a thread of its own. Raises Unavailable "database.unavailable"."""

    def wrapped(*args: Any, **kwargs: Any) -> T:
        close_old_connections()
        try:
            return function(*args, **kwargs)
        except (OperationalError, InterfaceError) as error:
            raise Unavailable(
                "database.unavailable",
                "The database does not answer right now; try again in a moment.",
                retry_after=2,
            ) from error
        finally:
            close_old_connections()

    return sync_to_async(wrapped, thread_sensitive=False)


class Authenticator:
    """Credentials → Caller. The token of a job is asked for every time: it dies with its attempt, and of two attempts
    of one job the older must not write a moment longer."""

    def __init__(self) -> None:
        self.cache = Cache()

    async def __call__(self, credentials: Credentials) -> Caller:
        found = self.cache.get(credentials)
        if found is None:
            found = await in_thread(self._look_up)(credentials)
            if found.job_id is None:
                self.cache.put(credentials, found)
        caller: Caller = found
        return caller

    @staticmethod
    def _look_up(credentials: Credentials) -> Caller:
        if credentials.token:
            from apps.accounts.tokens import actor_of_token

            actor = actor_of_token(credentials.token)
            return Caller(
                user_id=actor.user.pk if actor.user else None,
                username=actor.label,
                scope="write" if actor.scope == "write" else "read",
                project_id=actor.project_id,
                token_id=actor.token_id,
                job_id=actor.job_id,
                fence=actor.fence,
            )
        if credentials.session_key:
            user = _user_of_session(credentials.session_key)
            if user is not None:
                return Caller(user_id=user.pk, username=user.username, scope="write", is_session=True)
        raise Unauthenticated("auth.required", "Sign in or send a token in the Authorization header.")


def _user_of_session(session_key: str) -> Any:
    """The active user of a browser session, checked as Django's own get_user does."""
    from django.contrib.auth import get_user
    from django.contrib.sessions.backends.db import SessionStore
    from django.http import HttpRequest

    request = HttpRequest()
    request.session = SessionStore(session_key)
    user: Any = get_user(request)
    # With a one-time password a session opens nothing but the page where another is chosen.
    return user if user.is_authenticated and user.is_active and user.one_time_until is None else None


def actor_of(caller: Caller) -> Any:
    """The access layer's Actor for a gateway caller."""
    from apps.accounts.access import Actor
    from apps.accounts.models import User

    user = User.objects.filter(pk=caller.user_id, is_active=True).first() if caller.user_id else None
    if user is None:
        raise Unauthenticated("auth.required", "The account of this token or session is not active.")
    return Actor(
        user=user,
        scope=caller.scope,
        project_id=caller.project_id,
        token_id=caller.token_id,
        job_id=caller.job_id,
        fence=caller.fence,
    )


class ProjectResolver:
    """(caller, slug) → ProjectRef."""

    def __init__(self) -> None:
        self.cache = Cache()

    async def __call__(self, caller: Caller, slug: str, *, write: bool) -> ProjectRef:
        key = (caller.user_id, caller.scope, caller.project_id, caller.job_id, caller.fence, slug)
        found = self.cache.get(key)
        if found is None:
            found = await in_thread(self._look_up)(caller, slug)
            self.cache.put(key, found)
        project: ProjectRef = found
        if write and not project.editable:
            if caller.scope != "write":
                raise Forbidden(
                    "token.read_only", "This token may only read; make one with the scope 'write'."
                )
            raise Forbidden(
                "role.too_small", "This needs the role contributor; an owner of the team can give it."
            )
        return project

    @staticmethod
    def _look_up(caller: Caller, slug: str) -> ProjectRef:
        from apps.accounts.access import get_visible_project, role_in_project
        from apps.accounts.states import Role

        actor = actor_of(caller)
        project = get_visible_project(actor, slug)
        role = role_in_project(actor, project)
        editable = role is not None and role.rank >= Role.CONTRIBUTOR.rank and actor.scope == "write"
        return ProjectRef(
            id=project.pk,
            slug=project.slug,
            team_id=project.team_id,
            editable=editable,
            timezone=project.timezone,
        )


class DeploymentRouter:
    """(project, name) → Route."""

    def __init__(self) -> None:
        self.cache = Cache(seconds=1.0)

    async def __call__(self, project: ProjectRef, name: str, *, fresh: bool = False) -> Route:
        key = (project.id, name)
        found = None if fresh else self.cache.get(key)
        if found is None:
            found = await in_thread(self._look_up)(project, name)
            self.cache.put(key, found)
        route: Route = found
        return route

    @staticmethod
    def _look_up(project: ProjectRef, name: str) -> Route:
        from apps.deployments.queries import gateway_route

        route = gateway_route(project.id, name)
        if route is None:
            raise NotFound("deployment.not_found", f"There is no deployment '{name[:60]}' in this project.")
        return Route(project_slug=project.slug, **route)


def _project(project: ProjectRef) -> Any:
    from apps.accounts.models import Project

    return Project.objects.get(pk=project.id)  # noqa: TID251  (resolve_project has checked the caller)


def _job_run(job_id: UUID) -> str | None:
    from apps.experiments.queries import run_of_job

    return run_of_job(job_id)


class JobRunFinder:
    """The run that a job's token was made for; a stale fence was already refused by authentication."""

    def __init__(self) -> None:
        self.cache = Cache(seconds=60.0)

    async def __call__(self, caller: Caller) -> str | None:
        if caller.job_id is None:
            return None
        found = self.cache.get(caller.job_id)
        if found is None:
            found = await in_thread(_job_run)(caller.job_id)
            if found is not None:
                self.cache.put(caller.job_id, found)
        return str(found) if found is not None else None


class RunAdopter:
    """Clients made runs in MLflow: give them their rows. Runs that are made within a moment get theirs
    together, which costs a fraction; nobody waits for it (gateway.mlflow.news)."""

    def __init__(self, seconds: float = ADOPT_SECONDS) -> None:
        self.seconds = seconds
        self._waiting: dict[UUID, list[tuple[Caller, dict[str, Any], asyncio.Future[None]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(
        self,
        caller: Caller,
        project: ProjectRef,
        run_id: str,
        *,
        experiment_id: str,
        name: str,
        parent: str | None = None,
    ) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(project.id, [])
        waiting.append((caller, {"run_id": run_id, "name": name, "parent": parent}, done))
        if len(waiting) == 1:
            task = asyncio.create_task(self._adopt(project))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await done

    async def _adopt(self, project: ProjectRef) -> None:
        await asyncio.sleep(self.seconds)
        made = self._waiting.pop(project.id)
        try:
            await in_thread(self._work)(project, [(caller, fields) for caller, fields, _ in made])
        except Exception as error:
            for _, _, done in made:
                if not done.done():
                    done.set_exception(error)
            return
        for _, _, done in made:
            if not done.done():
                done.set_result(None)

    @staticmethod
    def _work(project: ProjectRef, made: list[tuple[Caller, dict[str, Any]]]) -> None:
        from apps.experiments.adoption import NewRun, adopt_runs

        actors = {caller: actor_of(caller) for caller, _ in made}
        adopt_runs(
            project=_project(project),
            made=[NewRun(actor=actors[caller], **fields) for caller, fields in made],
        )


async def observe_run(caller: Caller, project: ProjectRef, run_id: str, *, status: str) -> None:
    """A client changed a run's status in MLflow."""

    def work() -> None:
        from apps.experiments.adoption import observe_run as observe

        observe(actor=actor_of(caller), project=_project(project), run_id=run_id, status=status)

    await in_thread(work)()


async def adopt_model(
    caller: Caller, project: ProjectRef, name: str, *, version: int | None = None, run_id: str | None = None
) -> None:
    """A client made a registered model or a version of one."""

    def work() -> None:
        from apps.registry.adoption import adopt_model as adopt

        adopt(actor=actor_of(caller), project=_project(project), name=name, version=version, run_id=run_id)

    await in_thread(work)()


async def tracking_project(project: ProjectRef) -> TrackingRef:
    """The project's workspace and Default experiment in MLflow."""

    def work() -> TrackingRef:
        from adapters.tracking import get_tracking, workspace_name

        return TrackingRef(workspace_name(project.id), get_tracking().ensure_project(project.id))

    found: TrackingRef = await in_thread(work)()
    return found


async def job_decides(project: ProjectRef, run_id: str) -> bool:
    """Whether a job of the studio decides the run's state."""

    def work() -> bool:
        from apps.experiments.models import Run

        return Run.objects.filter(pk=UUID(run_id), project_id=project.id, job__isnull=False).exists()

    return bool(await in_thread(work)())


async def change_model(
    caller: Caller,
    project: ProjectRef,
    name: str,
    *,
    version: int | None = None,
    new_name: str | None = None,
) -> bool:
    """A client renames or deletes a registered model, or deletes one version."""

    def work() -> bool:
        from apps.registry.adoption import change_by_client

        return change_by_client(
            actor=actor_of(caller), project=_project(project), name=name, version=version, new_name=new_name
        )

    return bool(await in_thread(work)())


async def is_registered(project: ProjectRef, *, logged_model: str = "", path: str = "") -> bool:
    """Whether a logged model is a version of a registered model, or an artifact one of a version's files."""

    def work() -> bool:
        from apps.registry.queries import is_registered as registered

        return registered(project.id, logged_model=logged_model, path=path)

    return bool(await in_thread(work)())


class ChildFinder:
    """Whether a run is a child of a job's run; asked at every call of a job that logs to one."""

    def __init__(self) -> None:
        self.cache = Cache(seconds=60.0)

    async def __call__(self, project: ProjectRef, run_id: str, *, parent: str) -> bool:
        key = (project.id, run_id, parent)
        if not self.cache.get(key):
            if not await in_thread(self._look_up)(project.id, run_id, parent):
                return False
            self.cache.put(key, True)
        return True

    @staticmethod
    def _look_up(project_id: UUID, run_id: str, parent: str) -> bool:
        from apps.experiments.access import is_child

        return is_child(project_id, run_id, parent)


async def observe_model(caller: Caller, project: ProjectRef, name: str) -> None:
    """A client changed the aliases of a registered model."""

    def work() -> None:
        from apps.registry.adoption import observe_model as observe

        observe(actor=actor_of(caller), project=_project(project), name=name)

    await in_thread(work)()


async def check_storage(project: ProjectRef, adding: int) -> None:
    """Raises Forbidden "quota.storage" when the team may not keep so many more bytes."""

    def work() -> None:
        from apps.jobs.quotas.checks import check_storage as check

        check(_project(project), adding)

    await in_thread(work)()


def make_ports() -> Ports:
    """All ports, with caches of their own."""
    return Ports(
        authenticate=Authenticator(),
        resolve_project=ProjectResolver(),
        route_deployment=DeploymentRouter(),
        job_run=JobRunFinder(),
        adopt_run=RunAdopter(),
        observe_run=observe_run,
        adopt_model=adopt_model,
        tracking_project=tracking_project,
        job_decides=job_decides,
        change_model=change_model,
        is_registered=is_registered,
        is_child=ChildFinder(),
        observe_model=observe_model,
        check_storage=check_storage,
    )
