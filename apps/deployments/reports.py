"""What the serving process writes: actual states of deployments and revisions, always by compare-and-set."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from apps.deployments import events
from apps.deployments.models import Deployment, Revision
from apps.deployments.states import DEPLOYMENT, REVISION, USABLE, DeploymentState, RevisionState, Wanted
from apps.lineage import actions as lineage
from apps.lineage.states import NodeKind
from foundation.clock import now
from foundation.events import publish

STOPPABLE = (
    DeploymentState.STARTING,
    DeploymentState.READY,
    DeploymentState.DEGRADED,
    DeploymentState.FAILED,
)


def forget_processes() -> None:
    """A new generation of the serving process begins: nothing of the last one runs any more, so no revision
    has a socket, and deployments that answered start again."""
    Revision.objects.filter(state__in=[RevisionState.STARTING, RevisionState.READY]).update(
        state=RevisionState.BUILT, socket="", pid=None
    )
    Revision.objects.filter(state=RevisionState.DRAINING).update(
        state=RevisionState.RETIRED, socket="", pid=None, retired_at=now()
    )
    Revision.objects.exclude(socket="").update(socket="", pid=None)
    for deployment in Deployment.objects.filter(
        wanted=Wanted.RUNNING, state__in=[DeploymentState.READY, DeploymentState.DEGRADED]
    ):
        set_state(deployment.pk, DeploymentState.STARTING, reason="the serving process was restarted")


@transaction.atomic
def set_state(deployment_id: UUID, state: str, *, reason: str = "") -> bool:
    """Move a deployment to a state with a reason; when it is there already, only the reason may change."""
    rows = Deployment.objects.filter(pk=deployment_id)
    if DEPLOYMENT.sources(state) and DEPLOYMENT.move(rows, to=state, reason=reason, state_changed_at=now()):
        lineage.set_state(kind=NodeKind.DEPLOYMENT, key=deployment_id, state=state)
        if state in (DeploymentState.FAILED, DeploymentState.DEGRADED):
            publish(events.DeploymentBroke(deployment_id=deployment_id, state=str(state), reason=reason))
        return True
    return rows.filter(state=state).exclude(reason=reason).update(reason=reason) > 0


def revision_starting(revision_id: UUID) -> bool:
    """Its model process is being started. False: it may no longer be started."""
    return REVISION.move(
        Revision.objects.filter(pk=revision_id),
        to=RevisionState.STARTING,
        frm=[RevisionState.BUILT, RevisionState.READY],
        socket="",
        pid=None,
    )


@transaction.atomic
def revision_ready(revision: Revision, *, socket: str, pid: int) -> bool:
    """It has answered its golden rows: route to it. The older revisions begin to drain. False when it may not
    (stopped, deleted or overtaken meanwhile)."""
    deployment = Deployment.objects.select_for_update().get(pk=revision.deployment_id)
    if deployment.wanted != Wanted.RUNNING or deployment.deleted_at is not None:
        return False
    if not REVISION.move(
        Revision.objects.filter(pk=revision.pk),
        to=RevisionState.READY,
        frm=RevisionState.STARTING,
        socket=socket,
        pid=pid,
        reason="",
        ready_at=now(),
    ):
        return False
    newest = Revision.objects.filter(deployment=deployment, state__in=USABLE).order_by("-number").first()
    current = deployment.current
    if (
        newest is not None
        and newest.pk != revision.pk
        and current is not None
        and current.number > revision.number
    ):
        return True  # a crashed older one came back while a newer one already answers
    Deployment.objects.filter(pk=deployment.pk).update(current=revision)
    REVISION.move(
        Revision.objects.filter(deployment=deployment, number__lt=revision.number),
        to=RevisionState.DRAINING,
        frm=RevisionState.READY,
    )
    # Older ones that never answered are not wanted any more.
    REVISION.move(
        Revision.objects.filter(deployment=deployment, number__lt=revision.number),
        to=RevisionState.RETIRED,
        frm=[RevisionState.BUILT, RevisionState.STARTING],
        retired_at=now(),
        socket="",
        pid=None,
    )
    publish(
        events.RevisionReady(deployment_id=deployment.pk, revision_id=revision.pk, number=revision.number)
    )
    return True


def revision_lost(revision_id: UUID, *, reason: str) -> None:
    """Its process is gone: nothing is routed to it until it is ready again."""
    REVISION.move(
        Revision.objects.filter(pk=revision_id),
        to=RevisionState.STARTING,
        frm=RevisionState.READY,
        socket="",
        pid=None,
        reason=reason,
    )
    Revision.objects.filter(pk=revision_id, state=RevisionState.STARTING).update(reason=reason)


def revision_failed(revision_id: UUID, *, reason: str) -> None:
    """It could not be brought up."""
    REVISION.move(
        Revision.objects.filter(pk=revision_id),
        to=RevisionState.FAILED,
        frm=[RevisionState.BUILT, RevisionState.STARTING, RevisionState.READY],
        socket="",
        pid=None,
        reason=reason,
    )


def revision_stopped(revision_id: UUID, *, retired: bool) -> None:
    """Its process was stopped on purpose; `retired`: a newer revision took over."""
    rows = Revision.objects.filter(pk=revision_id)
    if retired:
        REVISION.move(
            rows, to=RevisionState.RETIRED, frm=RevisionState.DRAINING, socket="", pid=None, retired_at=now()
        )
    else:
        REVISION.move(
            rows,
            to=RevisionState.BUILT,
            frm=[RevisionState.STARTING, RevisionState.READY, RevisionState.DRAINING],
            socket="",
            pid=None,
        )


def crashed_once_more(deployment_id: UUID) -> None:
    """Count a crash, for the page."""
    from django.db.models import F

    Deployment.objects.filter(pk=deployment_id).update(restarts=F("restarts") + 1)
