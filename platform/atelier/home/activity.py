"""Who did what in a project: its audit rows as sentences, repetitions in one, each linked to what it is about."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.db.models import QuerySet
from django.urls import NoReverseMatch, reverse

from apps.accounts.access import Actor
from apps.accounts.models import AuditEvent, Project

#: repetitions of one person within that time are one line
TOGETHER = datetime.timedelta(hours=1)
NAMED = 3

#: kind → (model, its word, several of them, the address of one). Only these kinds are activity of a project.
Address = Callable[[str, Any], str]
KINDS: dict[str, tuple[str, str, str, Address]] = {
    "dataset": ("datasets.Dataset", "dataset", "datasets", lambda slug, row: reverse("datasets:detail", args=[slug, row.name])),
    "experiment": ("experiments.Experiment", "experiment", "experiments", lambda slug, row: reverse("experiments:experiment", args=[slug, row.mlflow_id])),
    "run": ("experiments.Run", "run", "runs", lambda slug, row: reverse("experiments:run", args=[slug, row.hex])),
    "study": ("tuning.Study", "study", "studies", lambda slug, row: reverse("tuning:detail", args=[slug, row.name])),
    "model": ("registry.Model", "model", "models", lambda slug, row: reverse("registry:model", args=[slug, row.name])),
    "deployment": ("deployments.Deployment", "deployment", "deployments", lambda slug, row: reverse("deployments:detail", args=[slug, row.name])),
    "monitor": ("monitoring.Monitor", "monitor", "monitors", lambda slug, row: reverse("monitoring:detail", args=[slug, row.name])),
    "pipeline": ("pipelines.Pipeline", "pipeline", "pipelines", lambda slug, row: reverse("pipelines:detail", args=[slug, row.name])),
    "schedule": ("jobs.Schedule", "schedule", "schedules", lambda slug, row: row.get_absolute_url()),
    "job": ("jobs.Job", "job", "jobs", lambda slug, row: reverse("jobs:detail", args=[slug, row.pk])),
    "project": ("accounts.Project", "project", "projects", lambda slug, row: reverse("home:settings", args=[slug])),
}  # fmt: skip

#: what was done, where the verb alone would not say it; {} stands for the thing, with its word
PHRASES = {
    "dataset.create": "uploaded {}",
    "dataset.add_version": "added a version to {}",
    "dataset.trash_version": "moved a version of {} to the trash",
    "dataset.restore_version": "restored a version of {}",
    "dataset.retry_version": "had {} read again",
    "run.adopt": "logged {}",
    "run.start": "started {}",
    "run.cancel": "cancelled {}",
    "study.create": "started {}",
    "study.start": "started {}",
    "study.train_final": "trained the final model of {}",
    "model.adopt": "registered {}",
    "model.adopt_version": "registered a version of {}",
    "model.register": "registered a version of {}",
    "model.describe_version": "described a version of {}",
    "model.trash_version": "moved a version of {} to the trash",
    "model.restore_version": "restored a version of {}",
    "model.promote": "asked to promote {}",
    "model.alias_moved": "promoted {}",
    "model.release_alias": "released an alias of {}",
    "model.promotion_refused": "refused a promotion of {}",
    "model.promotion_rejected": "rejected a promotion of {}",
    "deployment.revise": "changed what {} serves",
    "deployment.follow": "brought {} to the new version",
    "deployment.import": "imported past inferences into {}",
    "monitor.report": "asked for a report of {}",
    "pipeline.run": "ran {}",
    "pipeline.rerun": "ran {} again",
    "pipeline.update": "changed {}",
    "schedule.stop": "switched off {}",
    "job.cancel": "cancelled {}",
    "project.update": "changed the settings",
    "project.allow_scripts": "allowed own code",
    "project.forbid_scripts": "forbade own code",
    "project.create": "made the project",
}
VERBS = {
    "create": "made", "update": "changed", "trash": "moved {} to the trash", "restore": "restored",
    "purge": "deleted {} for good", "delete": "deleted", "start": "started", "stop": "stopped", "run": "ran",
    "resume": "resumed", "cancel": "cancelled", "enable": "switched on", "disable": "switched off",
}  # fmt: skip


@dataclass(frozen=True)
class Thing:
    """What something was done to; without an address when it is gone."""

    title: str
    url: str = ""


@dataclass
class Line:
    """One line: who, what (before and after the things), to what, since when. count: how often."""

    who: str
    mine: bool
    action: str
    kind: str
    before: str
    after: str
    at: datetime.datetime
    note: str = ""
    things: list[Thing] = field(default_factory=list)
    count: int = 1
    oldest: datetime.datetime | None = None

    @property
    def more(self) -> int:
        """How many things are not named."""
        return max(0, self.count - len(self.things))


def rows_of(project: Project, *, mine: Actor | None = None) -> QuerySet[AuditEvent]:
    """The audit rows that are activity, of everybody or of one person."""
    rows = AuditEvent.objects.filter(project=project, subject_kind__in=list(KINDS))
    return rows if mine is None else rows.filter(user=mine.user)


def lines_of(project: Project, rows: Iterable[AuditEvent], actor: Actor) -> list[Line]:
    """Audit rows, newest first, as lines: what one person repeated within an hour is one of them."""
    found = list(rows)
    addresses = _addresses(project, found)
    me = actor.user.pk if actor.user else None
    lines: list[Line] = []
    for row in found:
        thing = Thing(row.subject_title, addresses.get((row.subject_kind, _key(row.subject_id)), ""))
        last = lines[-1] if lines else None
        if last is not None and _continues(last, row):
            last.oldest = row.at
            if row.subject_kind != "project" and thing not in last.things:
                last.count += 1
                last.things += [thing] if len(last.things) < NAMED else []
            continue
        before, after = _words(row)
        line = Line(row.actor_label, row.user_id == me, row.action, row.subject_kind, before, after, row.at)
        line.things, line.note = [thing] if row.subject_kind != "project" else [], _note(row)
        lines.append(line)
    for line in lines:
        if line.count > 1:
            _, word, several, _ = KINDS[line.kind]
            line.before = line.before.replace(f"a version of {word}", f"versions of {several}")
            line.before = (
                line.before.removesuffix(word) + several if line.before.endswith(word) else line.before
            )
            line.note = ""
    return lines


def _continues(line: Line, row: AuditEvent) -> bool:
    same = (line.who, line.action, line.kind) == (row.actor_label, row.action, row.subject_kind)
    return same and (line.oldest or line.at) - row.at < TOGETHER


def _words(row: AuditEvent) -> tuple[str, str]:
    """What stands before and after the thing's name."""
    verb = row.action.rpartition(".")[2]
    phrase = PHRASES.get(row.action) or VERBS.get(verb) or verb.replace("_", " ")
    if row.subject_kind == "project":
        return phrase.replace("{}", "the project"), ""
    before, _, after = (phrase if "{}" in phrase else phrase + " {}").partition("{}")
    return before + KINDS[row.subject_kind][1], after.strip()


def _note(row: AuditEvent) -> str:
    """The one detail that says more: which version, which alias."""
    detail = row.detail if isinstance(row.detail, dict) else {}
    parts = [f"version {detail['version']}"] if isinstance(detail.get("version"), int) else []
    parts += [f"to {detail['alias']}"] if isinstance(detail.get("alias"), str) else []
    return " ".join(parts)


def _addresses(project: Project, rows: Iterable[AuditEvent]) -> dict[tuple[str, str], str]:
    """(kind, id) → address of what still exists; one query for each kind."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.subject_kind != "project" and len(_key(row.subject_id)) == 32:
            wanted[row.subject_kind].add(_key(row.subject_id))
    found = {}
    for kind, ids in wanted.items():
        label, _, _, address = KINDS[kind]
        try:
            model = apps.get_model(label)
        except LookupError:
            continue
        alive = {"deleted_at": None} if hasattr(model, "deleted_at") else {}
        for thing in model._default_manager.filter(pk__in=ids, project=project, **alive):
            thing.project = project
            try:
                found[kind, _key(str(thing.pk))] = address(project.slug, thing)
            except NoReverseMatch:
                continue
    return found


def _key(text: str) -> str:
    """An id without its dashes: audit rows of runs have none."""
    return text.replace("-", "")
