"""What the gateway needs from the apps: Protocols and the frozen values that cross them.

`atelier.ports` implements them with the database (in threads, behind caches of a few seconds, so that a
revoked token stops working within 5 s); tests implement them with dictionaries. All calls are async and
raise foundation errors: Unauthenticated (401), Forbidden (403), NotFound (404), Unavailable (503).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from uuid import UUID

Scope = Literal["read", "write"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request carries to say who is calling.

    token: from `Authorization: Bearer …`, or the password of HTTP Basic. session_key: the value of the
    browser's session cookie. At most one of them counts: a token wins over a cookie.
    """

    token: str | None = None
    session_key: str | None = None

    def __bool__(self) -> bool:
        return bool(self.token or self.session_key)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling. project_id: the only project a bound token may touch. job_id and fence: set for the
    token of a job's attempt, which dies with the attempt. is_session: a browser, so unsafe methods need
    the same origin (the gateway checks that)."""

    user_id: UUID | None
    username: str
    scope: Scope
    project_id: UUID | None = None
    token_id: UUID | None = None
    job_id: UUID | None = None
    fence: int | None = None
    is_session: bool = False


@dataclass(frozen=True, slots=True)
class ProjectRef:
    """A project the caller may use. editable: whether role and scope let the caller change it."""

    id: UUID
    slug: str
    team_id: UUID
    editable: bool
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Column:
    """One input column of a model. type: integer, number, string, boolean or datetime. A column that is not
    required may be left out or null, and then reaches the model as a missing value."""

    name: str
    type: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Signature:
    """The input of a deployed model, and an example record (column -> value) taken from its training."""

    columns: tuple[Column, ...]
    task: str = "regression"
    classes: tuple[Any, ...] = ()
    example: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Route:
    """Where predictions of a deployment go now.

    socket: path of the model process's unix socket, None while no revision is ready. model: the label in
    answers, such as "churn/3". state and reason: for the sentence of a 503.
    """

    deployment_id: UUID
    name: str
    project_id: UUID
    project_slug: str
    revision: int
    model: str
    socket: str | None
    signature: Signature
    state: str
    reason: str = ""


class Authenticate(Protocol):
    """Who is calling? Raises Unauthenticated for nobody, or an unknown, revoked or expired token, or the
    token of an attempt that is over. Answers may be cached for at most 5 s."""

    async def __call__(self, credentials: Credentials) -> Caller: ...


class ResolveProject(Protocol):
    """The project with that slug. Raises NotFound for a stranger (or a token bound to another project),
    Forbidden when `write` is asked and the caller may only read."""

    async def __call__(self, caller: Caller, slug: str, *, write: bool) -> ProjectRef: ...


class RouteDeployment(Protocol):
    """The route of a project's deployment. Raises NotFound. `fresh=True` bypasses the cache (the gateway
    asks so after a refused connection, because a revision was just switched or restarted)."""

    async def __call__(self, project: ProjectRef, name: str, *, fresh: bool = False) -> Route: ...


class RecordInference(Protocol):
    """Keep answered inferences. When it returns, the lines survive a kill -9 of this process. Raises
    NoSpace when they cannot be kept: then the caller gets no prediction either."""

    def __call__(self, route: Route, lines: list[dict[str, Any]]) -> None: ...


class JobRun(Protocol):
    """The run id (32 hex) that the job of a job token was submitted with, or None for other callers."""

    async def __call__(self, caller: Caller) -> str | None: ...


class AdoptRun(Protocol):
    """Tell the studio that a client made a run in MLflow, so that it gets its row, page and lineage.
    parent: the job's own run when a job token made it. Idempotent."""

    async def __call__(
        self,
        caller: Caller,
        project: ProjectRef,
        run_id: str,
        *,
        experiment_id: str,
        name: str,
        parent: str | None = None,
    ) -> None: ...


class ObserveRun(Protocol):
    """Tell the studio that a client changed a run's status in MLflow (RUNNING, FINISHED, FAILED, KILLED),
    deleted or restored it. Runs that belong to a job ignore it: the job decides."""

    async def __call__(self, caller: Caller, project: ProjectRef, run_id: str, *, status: str) -> None: ...


class AdoptModel(Protocol):
    """Tell the studio that a client made a registered model, or a version of one. Idempotent."""

    async def __call__(
        self,
        caller: Caller,
        project: ProjectRef,
        name: str,
        *,
        version: int | None = None,
        run_id: str | None = None,
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class TrackingRef:
    """A project as MLflow knows it: its workspace and the id of its Default experiment."""

    workspace: str
    default_experiment: str


class TrackingProject(Protocol):
    """The project's place in MLflow, made when it is missing."""

    async def __call__(self, project: ProjectRef) -> TrackingRef: ...


class JobDecides(Protocol):
    """Whether a run's state is decided by a job of the studio, not by MLflow's clients."""

    async def __call__(self, project: ProjectRef, run_id: str) -> bool: ...


class ChangeModel(Protocol):
    """A client renames a registered model (`new_name`), or deletes it, or deletes one `version` of it: do it
    in the studio, where deleting means moving to the trash. Returns False for a model that is not the
    studio's (a prompt), which MLflow then handles itself. Raises Forbidden or Conflict with the reason when
    something stands on it (a protected alias)."""

    async def __call__(
        self,
        caller: Caller,
        project: ProjectRef,
        name: str,
        *,
        version: int | None = None,
        new_name: str | None = None,
    ) -> bool: ...


class IsRegistered(Protocol):
    """Whether a logged model (m-…) is a version of a registered model, or an artifact ("workspaces/…") is one
    of the files of such a version: those do not change any more."""

    async def __call__(self, project: ProjectRef, *, logged_model: str = "", path: str = "") -> bool: ...


class IsChild(Protocol):
    """Whether a run is a child of another one, the run of a job."""

    async def __call__(self, project: ProjectRef, run_id: str, *, parent: str) -> bool: ...


class ObserveModel(Protocol):
    """Tell the studio that a client changed the aliases or the description of a registered model.
    Idempotent."""

    async def __call__(self, caller: Caller, project: ProjectRef, name: str) -> None: ...


class CheckStorage(Protocol):
    """Before a person's client stores `adding` bytes (0: it does not say how many). Raises Forbidden
    "quota.storage" when the project's team may not keep so many."""

    async def __call__(self, project: ProjectRef, adding: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Ports:
    """All ports together, made once by `atelier` and handed to the gateway."""

    authenticate: Authenticate
    resolve_project: ResolveProject
    route_deployment: RouteDeployment
    job_run: JobRun
    adopt_run: AdoptRun
    observe_run: ObserveRun
    adopt_model: AdoptModel
    tracking_project: TrackingProject
    job_decides: JobDecides
    change_model: ChangeModel
    is_registered: IsRegistered
    is_child: IsChild
    observe_model: ObserveModel
    check_storage: CheckStorage
