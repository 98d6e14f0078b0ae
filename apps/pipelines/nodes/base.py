"""What a kind of node declares and does. Light: web and scheduler import every kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from apps.accounts.access import Actor
from apps.accounts.models import Project
from apps.accounts.states import Role
from apps.jobs.actions import request_cancel
from apps.jobs.models import Job
from apps.jobs.states import CANCELLABLE, JobState
from apps.pipelines.models import NodeRun, PipelineRun
from foundation.errors import AtelierError, Conflict, Invalid


@dataclass(frozen=True)
class Field:
    """One entry of a node's `with`. type: see apps.pipelines.types. A field without `required` may be left out."""

    type: str
    help: str
    required: bool = False
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Output:
    """One result of a node that others may refer to."""

    type: str
    help: str


@dataclass(frozen=True)
class Subject:
    """The object a node made or works on. url: the path of its page. made: its lineage node when the run made it;
    reads: its lineage node when it goes into the run."""

    kind: str
    id: str
    title: str
    url: str
    made: tuple[str, object] | None = None
    reads: tuple[str, object] | None = None


@dataclass(frozen=True)
class Pending:
    """Not over yet. note: what it waits for, as a sentence. subject and job: None leaves what is known."""

    note: str = ""
    job: Job | None = None
    subject: Subject | None = None


@dataclass(frozen=True)
class Done:
    """Over, with outputs. said: a sentence about the result. holds: False lets everything behind be skipped."""

    outputs: dict[str, Any] = field(default_factory=dict)
    said: str = ""
    holds: bool = True
    subject: Subject | None = None


Step = Pending | Done


@dataclass(frozen=True)
class NodeContext:
    """What a node works with. values: its fields, with every reference filled in. actor: who started the run."""

    run: PipelineRun
    node: NodeRun
    values: Mapping[str, Any]
    actor: Actor

    @property
    def project(self) -> Project:
        """The project of the run."""
        return self.run.project


class NodeKind:
    """Base of all kinds. A kind is a module of this package with one instance named KIND.

    role: the least role of the person who started the run. fields and outputs: checked before a definition is
    kept. start() is called once inside the transaction that marks the node as running; poll() again and again
    until it answers Done. Either raises an AtelierError to fail the node with that sentence.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    help: ClassVar[str]
    icon: ClassVar[str]
    role: ClassVar[Role] = Role.CONTRIBUTOR
    fields: ClassVar[dict[str, Field]] = {}
    outputs: ClassVar[dict[str, Output]] = {}

    def as_json(self) -> dict[str, Any]:
        """The kind for GET /pipeline-node-kinds."""
        inputs = [
            {"name": name, "type": field.type, "required": field.required, "help": field.help}
            for name, field in self.fields.items()
        ]
        outputs = [{"name": name, "type": out.type, "help": out.help} for name, out in self.outputs.items()]
        return {
            "name": self.name,
            "title": self.title,
            "help": self.help,
            "role": self.role.value,
            "inputs": inputs,
            "outputs": outputs,
        }

    def faults(self, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """(field or "", sentence) for what is wrong beyond types. Values may hold references: skip those."""
        return iter(())

    def start(self, ctx: NodeContext) -> Step:
        """Begin. Whatever it writes is written in the caller's transaction."""
        raise NotImplementedError

    def poll(self, ctx: NodeContext) -> Step:
        """Look again. Without a subject it has not really begun, and start() is tried again."""
        if not ctx.node.subject_id:
            return self.start(ctx)
        return self.look(ctx)

    def look(self, ctx: NodeContext) -> Step:
        """How far the subject is; called only while there is one."""
        raise NotImplementedError

    def cancel(self, ctx: NodeContext) -> None:
        """Ask what runs to stop. The default: the node's job."""
        job = ctx.node.job
        if job is not None and job.state in CANCELLABLE:
            try:
                request_cancel(job=job, reason=f"The pipeline run {ctx.run.label} was stopped.")
            except Conflict:
                return  # it ended in this moment


class NodeCancelled(AtelierError):
    """The node's job was cancelled from outside the pipeline: not a failure, but no success either."""

    status = 409


def check_ended(job: Job | None, what: str) -> None:
    """Nothing when the job succeeded. Raises NodeCancelled, or Invalid with the job's own sentence."""
    if job is None:
        raise Invalid("pipeline.job_gone", f"{what} has no job any more.")
    if job.state == JobState.CANCELLED:
        raise NodeCancelled("pipeline.node_cancelled", job.reason or f"{what} was cancelled.")
    if job.state != JobState.SUCCEEDED:
        raise Invalid(job.error_code or "pipeline.job_failed", job.reason or f"{what} {job.state}.")


def is_literal(value: Any) -> bool:
    """Whether a value holds no reference, so that it can be checked before the run."""
    if isinstance(value, str):
        return "${" not in value
    if isinstance(value, dict):
        return all(is_literal(part) for part in value.values())
    if isinstance(value, list):
        return all(is_literal(part) for part in value)
    return True


def without_none(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The named values that are there."""
    return {name: values[name] for name in names if values.get(name) is not None}
