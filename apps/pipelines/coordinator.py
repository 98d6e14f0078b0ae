"""Advances the live runs. The rows are the truth: whatever dies in between, the next look goes on from them.

A node's start is one transaction: its row, what it makes, its job, audit and lineage. So a node is started exactly
once, wherever the process is killed. A chore of the scheduler calls advance_all(); it holds no slot and waits for
nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Exists, OuterRef, Q

from apps.accounts.access import Actor, role_in_project
from apps.jobs.states import LIVE as JOB_LIVE
from apps.lineage import actions as lineage
from apps.lineage.states import EdgeKind
from apps.lineage.states import NodeKind as LineageKind
from apps.pipelines import events
from apps.pipelines import nodes as kinds
from apps.pipelines.definition import Definition, load_definition
from apps.pipelines.inputs import inputs_of
from apps.pipelines.models import NodeRun, Pipeline, PipelineRun
from apps.pipelines.new_run import announce_end
from apps.pipelines.nodes.base import Done, NodeCancelled, NodeContext, NodeKind, Pending, Step, Subject
from apps.pipelines.states import DONE, LIVE, NODE, PIPELINE_RUN, NodeState, PipelineRunState
from apps.pipelines.verdicts import ending_of, why_skipped
from foundation.clock import now
from foundation.errors import AtelierError, Forbidden, NoSpace, TooMany, Unavailable
from foundation.events import publish

logger = logging.getLogger(__name__)
AT_ONCE = 500
MOST_FAULTS = 5
#: Not the pipeline's fault, and gone in a while: the node stays as it is and is tried again.
PASSING = (Unavailable, TooMany, NoSpace)


def advance_all(*, thorough: bool = True) -> int:
    """Look once at every live run, oldest first, or only at those in which something can have happened; returns how
    many were looked at. One that cannot be advanced does not hold up the others."""
    live = PipelineRun.objects.filter(state__in=LIVE)
    chosen = live if thorough else live.filter(something_happened())
    keys = list(chosen.order_by("created_at").values_list("pk", flat=True)[:AT_ONCE])
    for key in keys:
        try:
            advance(key)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            logger.exception("the pipeline run %s could not be advanced", key)
    return len(keys)


def something_happened() -> Q:
    """Runs worth a look: stopping ones, the oldest waiting one of each pipeline, and those with a node that is not
    just waiting for its job. What a clock or a person changes (a time limit, a role) is found by thorough looks."""
    older = PipelineRun.objects.filter(
        pipeline=OuterRef("pipeline"), state=PipelineRunState.QUEUED, number__lt=OuterRef("number")
    )
    nodes = NodeRun.objects.filter(pipeline_run=OuterRef("pk"))
    unwatched = nodes.filter(state=NodeState.RUNNING).exclude(job__state__in=JOB_LIVE)
    tried_again = nodes.filter(state=NodeState.WAITING).exclude(note="")
    return (
        Q(state=PipelineRunState.STOPPING)
        | Q(Q(state=PipelineRunState.QUEUED) & ~Exists(older))
        | Q(faults__gt=0)
        | Exists(unwatched)
        | Exists(tried_again)
    )


@transaction.atomic
def advance(key: UUID) -> None:
    """Bring one run as far as it goes now. Somebody else who is at it already is left alone."""
    rows = PipelineRun.objects.select_for_update(of=("self",), skip_locked=True)
    run = rows.select_related("project", "pipeline__project", "version", "created_by").filter(
        pk=key, state__in=LIVE
    )
    found = run.first()
    if found is None:
        return
    try:
        definition = load_definition(found.version.source, name=found.pipeline.name)
    except AtelierError as error:
        _break_off(found, f"Its definition is not valid any more: {error.message}")
        return
    _Look(found, definition).work()


def _break_off(run: PipelineRun, sentence: str) -> None:
    """End a run whose nodes nobody understands any more."""
    for node in run.nodes.filter(state__in=[NodeState.WAITING, NodeState.RUNNING]):
        NODE.move(
            NodeRun.objects.filter(pk=node.pk), to=NodeState.CANCELLED, reason=sentence, finished_at=now()
        )
    rows = PipelineRun.objects.filter(pk=run.pk)
    if PIPELINE_RUN.move(
        rows, to=PipelineRunState.FAILED, reason=sentence, finished_at=now(), updated_at=now()
    ):
        announce_end(run, PipelineRunState.FAILED)


class _Look:
    """One look at one locked run."""

    def __init__(self, run: PipelineRun, definition: Definition) -> None:
        self.run, self.definition = run, definition
        self.nodes: dict[str, NodeRun] = {node.name: node for node in run.nodes.select_related("job")}
        self.actor = Actor(user=run.created_by, job_id=run.via_job)
        self.stumbled = False

    def work(self) -> None:
        """As far as it goes."""
        if self.run.state != PipelineRunState.STOPPING:
            trouble = self._who_is_missing()
            if trouble:
                self._stop(trouble)
        if self.run.state == PipelineRunState.QUEUED and not self._begin():
            return
        if self.run.state == PipelineRunState.STOPPING:
            self._wind_down()
        else:
            self._look_at_running()
            self._start_what_can()
        self._end_when_over()
        self._count_faults()

    # ── the run ──────────────────────────────────────────────────────────────────────────────────────────────

    def _who_is_missing(self) -> str:
        """Why nothing more may be done in this person's name; "" while it may."""
        user, project = self.run.created_by, self.run.project
        if project.deleted_at is not None:
            return "The project was moved to the trash."
        if user is None or not user.is_active:
            return f"The account {user.username if user else ''} that started it is not active any more."
        if role_in_project(self.actor, project) is None:
            return f"{user.username}, who started it, is no member of the team any more."
        return ""

    def _begin(self) -> bool:
        """Leave the queue, when fewer runs of the pipeline work than may. The pipeline's row is locked, so that
        two runs cannot take the last place."""
        Pipeline.objects.select_for_update(of=("self",)).get(pk=self.run.pipeline_id)
        at_work = PipelineRun.objects.filter(
            pipeline_id=self.run.pipeline_id, state__in=[PipelineRunState.RUNNING, PipelineRunState.STOPPING]
        ).count()
        if at_work >= self.definition.concurrency:
            return False
        self._move_run(PipelineRunState.RUNNING, started_at=now())
        publish(
            events.PipelineRunStarted(
                project_id=self.run.project_id, pipeline_id=self.run.pipeline_id, run_id=self.run.pk
            )
        )
        return True

    def _stop(self, sentence: str) -> None:
        """Nothing more is started; what runs is asked to stop; in the end the run has failed."""
        if self.run.state == PipelineRunState.QUEUED:
            self._move_run(PipelineRunState.RUNNING, started_at=now())
        self._move_run(PipelineRunState.STOPPING, ending=PipelineRunState.FAILED, reason=sentence)

    def _move_run(self, to: PipelineRunState, **fields: Any) -> None:
        rows = PipelineRun.objects.filter(pk=self.run.pk)
        if PIPELINE_RUN.move(rows, to=to, updated_at=now(), **fields):
            self.run.state = to
            for name, value in fields.items():
                setattr(self.run, name, value)
            lineage.set_state(kind=LineageKind.PIPELINE_RUN, key=self.run.pk, state=to)

    def _end_when_over(self) -> None:
        if not all(node.is_terminal for node in self.nodes.values()):
            return
        if self.run.state == PipelineRunState.STOPPING:
            state = PipelineRunState(self.run.ending or PipelineRunState.CANCELLED)
            sentence = self.run.reason
        else:
            state, sentence = ending_of([self.nodes[name] for name in self.definition.graph.order])
        self._move_run(state, reason=sentence, finished_at=now())
        announce_end(self.run, state)

    def _count_faults(self) -> None:
        """Our own bugs in a row; forgotten after a look without one."""
        wanted = self.run.faults if self.stumbled else 0
        if self.stumbled or self.run.faults:
            PipelineRun.objects.filter(pk=self.run.pk).update(faults=wanted)

    # ── the nodes ────────────────────────────────────────────────────────────────────────────────────────────

    def _look_at_running(self) -> None:
        for node in self._in_state(NodeState.RUNNING):
            limit = self.definition.nodes[node.name].timeout
            if limit and node.started_at and (now() - node.started_at).total_seconds() > limit:
                self._ask_to_stop(node)
                self._fail(node, f"It took longer than the {limit} s that it may.", final=True)
            elif node.job is not None and node.job.state in JOB_LIVE:
                continue
            else:
                self._safely(node, self._poll)

    def _start_what_can(self) -> None:
        """In one pass: in the graph's order a node comes after all that it needs."""
        for name in self.definition.graph.order:
            node = self.nodes[name]
            if node.state != NodeState.WAITING:
                continue
            needs = [self.nodes[need] for need in self.definition.graph.needs[name]]
            why = why_skipped(needs)
            if why:
                self._move(node, NodeState.SKIPPED, reason=why, finished_at=now())
            elif all(need.state in DONE for need in needs):
                self._safely(node, self._start)

    def _wind_down(self) -> None:
        """Nothing waits any more; what runs is asked to stop, and is over when its job is."""
        for node in self._in_state(NodeState.WAITING):
            self._move(node, NodeState.CANCELLED, reason=self.run.reason, finished_at=now())
        for node in self._in_state(NodeState.RUNNING):
            self._ask_to_stop(node)
            if node.job is not None:
                node.job.refresh_from_db(fields=["state", "reason", "result", "error_code"])
                if node.job.state in JOB_LIVE:
                    continue
            self._safely(node, self._poll, stopping=True)
            if not node.is_terminal:
                self._move(node, NodeState.CANCELLED, reason=self.run.reason, note="", finished_at=now())

    def _in_state(self, state: NodeState) -> list[NodeRun]:
        return [self.nodes[name] for name in self.definition.graph.order if self.nodes[name].state == state]

    def _context(self, node: NodeRun) -> NodeContext:
        return NodeContext(run=self.run, node=node, values=node.inputs, actor=self.actor)

    def _start(self, node: NodeRun, kind: NodeKind) -> Step:
        role = role_in_project(self.actor, self.run.project)
        if role is None or role.rank < kind.role.rank:
            who = self.run.created_by.username if self.run.created_by else "nobody"
            raise Forbidden(
                "pipeline.role",
                f"A node of kind {kind.name} needs the role {kind.role.label.lower()}; {who}, who started the run, "
                f"is {role.label.lower() if role else 'no member'}.",
            )
        values = inputs_of(self.definition.nodes[node.name], kind, self.run, self.nodes)
        node.inputs = values
        return kind.start(self._context(node))

    def _poll(self, node: NodeRun, kind: NodeKind) -> Step:
        return kind.poll(self._context(node)) if node.subject_id else self._start(node, kind)

    def _ask_to_stop(self, node: NodeRun) -> None:
        try:
            with transaction.atomic():
                kinds.get(node.kind).cancel(self._context(node))
        except AtelierError as error:
            logger.info("%s of %s could not be stopped: %s", node.name, self.run.label, error)

    def _safely(
        self, node: NodeRun, act: Callable[[NodeRun, NodeKind], Step], *, stopping: bool = False
    ) -> None:
        """Do it in a savepoint, with the node's row; translate what goes wrong into the node's state."""
        before = node.inputs
        try:
            with transaction.atomic():
                self._record(node, act(node, kinds.get(node.kind)))
        except (OperationalError, InterfaceError):
            raise
        except PASSING as error:
            node.inputs = before
            self._set(node, note=f"Is tried again: {error.message}")
        except NodeCancelled as error:
            self._move(node, NodeState.CANCELLED, reason=error.message, note="", finished_at=now())
        except AtelierError as error:
            if not stopping:
                self._fail(node, error.message)
        except Exception:
            node.inputs = before
            self._stumble(node)

    def _stumble(self, node: NodeRun) -> None:
        """Our bug. It may pass; when it does not, the node fails with a sentence instead of waiting for ever."""
        logger.exception("the node %s of %s could not be advanced", node.name, self.run.label)
        if not self.stumbled:
            self.stumbled, self.run.faults = True, self.run.faults + 1
        if self.run.faults >= MOST_FAULTS:
            self._fail(
                node,
                f"Something went wrong on our side; the logs of the scheduler name it by {node.pk}.",
                final=True,
            )

    def _record(self, node: NodeRun, step: Step) -> None:
        fields: dict[str, Any] = {}
        if node.state == NodeState.WAITING:
            fields |= {"started_at": now(), "attempt": node.attempt + 1, "reason": ""}
        fields["inputs"] = node.inputs
        if step.subject is not None:
            fields |= _subject_fields(step.subject)
        if isinstance(step, Pending):
            if step.job is not None:
                fields["job"] = step.job
            fields["note"] = step.note
            if node.state == NodeState.WAITING:
                self._move(node, NodeState.RUNNING, **fields)
            else:
                self._set(node, **fields)
        else:
            self._succeed(node, step, fields)
        if step.subject is not None:
            self._draw(step.subject)

    def _succeed(self, node: NodeRun, step: Done, fields: dict[str, Any]) -> None:
        self._move(
            node,
            NodeState.SUCCEEDED,
            **fields,
            outputs=step.outputs,
            note=step.said,
            holds=step.holds,
            finished_at=now(),
        )

    def _fail(self, node: NodeRun, sentence: str, *, final: bool = False) -> None:
        """Fail the node, or let it wait for another try while it has some left."""
        fields: dict[str, Any] = {}
        if node.state == NodeState.WAITING:
            fields = {"started_at": now(), "attempt": node.attempt + 1, "inputs": node.inputs}
        tries = node.attempt + (1 if node.state == NodeState.WAITING else 0)
        if not final and tries <= self.definition.nodes[node.name].retries:
            again = {"job": None, "note": f"Try {tries} failed and is repeated: {sentence}"}
            empty = Subject("", "", "", "")
            if node.state == NodeState.WAITING:
                self._set(node, **fields, **again)
            else:
                self._move(node, NodeState.WAITING, **again, **_subject_fields(empty))
            return
        self._move(node, NodeState.FAILED, **fields, reason=sentence, note="", finished_at=now())

    def _move(self, node: NodeRun, to: NodeState, **fields: Any) -> None:
        moved = NODE.move(
            NodeRun.objects.filter(pk=node.pk), to=to, frm=node.state, updated_at=now(), **fields
        )
        if moved:
            node.state = to
            for name, value in fields.items():
                setattr(node, name, value)

    @staticmethod
    def _set(node: NodeRun, **fields: Any) -> None:
        changed = {name: value for name, value in fields.items() if getattr(node, name) != value}
        if changed:
            NodeRun.objects.filter(pk=node.pk).update(**changed, updated_at=now())
            for name, value in changed.items():
                setattr(node, name, value)

    def _draw(self, subject: Subject) -> None:
        me = (LineageKind.PIPELINE_RUN.value, self.run.pk)
        if subject.made is not None:
            lineage.link(source=me, target=subject.made, kind=EdgeKind.MADE)
        if subject.reads is not None:
            lineage.link(source=subject.reads, target=me, kind=EdgeKind.READ_BY)


def _subject_fields(subject: Subject) -> dict[str, Any]:
    return {
        "subject_kind": subject.kind,
        "subject_id": subject.id,
        "subject_title": subject.title[:200],
        "subject_url": subject.url[:300],
    }
