"""The way from data to a watched model: a list whose steps are done when the rows say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, Q

from apps.accounts.access import Actor
from apps.accounts.models import Project
from apps.accounts.states import Role
from apps.datasets.models import DatasetVersion
from apps.datasets.states import VersionState
from apps.deployments.models import Deployment, InferenceSegment
from apps.deployments.states import Origin
from apps.experiments.models import Run
from apps.inbox.models import Onboarding
from apps.jobs.states import JobState
from apps.monitoring.models import Monitor
from apps.registry.models import Alias, ModelVersion
from apps.registry.states import PROTECTED
from atelier.home.parts import link


@dataclass(frozen=True)
class Step:
    """One step. ``url`` is empty while it cannot be taken yet, or not with the role one has."""

    title: str
    text: str
    done: bool
    url: str = ""
    verb: str = ""


@dataclass(frozen=True)
class Steps:
    """All of them. ``shown``: somebody still needs them and has not put them away."""

    steps: list[Step]
    away: bool = False

    @property
    def done(self) -> int:
        """How many are done."""
        return sum(step.done for step in self.steps)

    @property
    def next(self) -> Step | None:
        """The first that is not done yet."""
        return next((step for step in self.steps if not step.done), None)

    @property
    def shown(self) -> bool:
        """Whether the list is shown: it goes when everything is done, and when this person has put it away."""
        return self.next is not None and not self.away


def steps_of(project: Project, actor: Actor, role: Role | None) -> Steps:
    """The steps of a project as this person may take them; one query says what is done, three find the links."""
    done = _done(project, actor)
    if done.pop("away"):
        return Steps([], away=True)
    if all(done.values()):
        return Steps([Step(title, text, True) for _, title, text, _ in STEPS])
    to = _links(project, done)
    steps = []
    for key, title, text, needed in STEPS:
        may = role is not None and role.rank >= needed.rank
        url, verb = to.get(key, ("", ""))
        steps.append(Step(title, text, bool(done[key]), url if may else "", verb))
    return Steps(steps)


_C, _M = Role.CONTRIBUTOR, Role.MAINTAINER
STEPS: tuple[tuple[str, str, str, Role], ...] = (
    (
        "uploaded",
        "Upload a dataset",
        "A table with a header: CSV, TSV, JSON lines, Parquet or Excel.",
        _C,
    ),
    ("trained", "Train a model", "Choose the column to predict and an algorithm.", _C),
    ("compared", "Compare two runs", "Parameters, metrics and curves side by side.", Role.VIEWER),
    ("registered", "Register the model", "From the page of a run that is good enough.", _C),
    ("promoted", "Promote a version", "To staging or production, past checks and an approval.", _C),
    ("deployed", "Deploy it", "It then answers predictions, and every one is recorded.", _M),
    ("predicted", "Make the first prediction", "From the form of the deployment, or from your own code.", _C),
    ("watched", "Watch it", "A monitor compares what comes in with what the model learned from.", _C),
)


def _done(project: Project, actor: Actor) -> dict[str, Any]:
    here = {"project": project}
    alive = {"project": project, "deleted_at": None}
    onboarding = Onboarding.objects.filter(**here)
    runs = Run.objects.filter(**alive).in_state(JobState.SUCCEEDED)
    served = InferenceSegment.objects.filter(deployment__project=project, origin=Origin.PREDICT)
    found = Project.objects.filter(pk=project.pk).annotate(
        away=Exists(onboarding.filter(user=actor.user, dismissed_at__isnull=False)),
        uploaded=Exists(DatasetVersion.objects.filter(**alive, state=VersionState.READY)),
        trained=Exists(runs),
        compared=Exists(onboarding.filter(compared_at__isnull=False)),
        registered=Exists(ModelVersion.objects.filter(**alive)),
        promoted=Exists(Alias.objects.filter(model__project=project, name__in=PROTECTED)),
        deployed=Exists(Deployment.objects.filter(**alive)),
        predicted=Exists(served),
        watched=Exists(Monitor.objects.filter(**alive)),
    )
    return dict(found.values("away", *(key for key, *_ in STEPS)).get())


def _links(project: Project, done: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Where each step that can be taken now is taken, and the verb of its button."""
    slug = project.slug
    to = {"uploaded": (link("datasets:new", slug), "Upload")}
    if done["uploaded"]:
        to["trained"] = link("experiments:new-run", slug), "Train"
    ended = Q(job__state=JobState.SUCCEEDED) | Q(client_state=JobState.SUCCEEDED)
    runs = Run.objects.alive().filter(ended, project=project).order_by("-created_at")[:2]
    trained = [run.pk.hex for run in runs] if done["trained"] else []
    if len(trained) == 2:
        to["compared"] = f"{link('experiments:compare', slug)}?run={trained[0]}&run={trained[1]}", "Compare"
    elif trained:
        to["compared"] = link("experiments:new-run", slug) + f"?from={trained[0]}", "Train another"
    if trained:
        to["registered"] = link("experiments:run", slug, trained[0]), "Open the run"
    if done["registered"]:
        versions = ModelVersion.objects.alive().filter(project=project, model__deleted_at=None)
        version = versions.select_related("model", "project").order_by("-created_at").first()
        if version is not None:
            to["promoted"] = version.url, "Open the version"
        to["deployed"] = link("deployments:new", slug), "Deploy"
    if done["deployed"]:
        deployments = Deployment.objects.alive().filter(project=project).order_by("-created_at")
        name = deployments.values_list("name", flat=True).first()
        to["predicted"] = link("deployments:try", slug, name), "Try it"
        to["watched"] = link("monitoring:new", slug) + f"?deployment={name}", "Watch"
    return to
