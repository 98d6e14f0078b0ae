"""Reads across models, versions, aliases and promotions; and what deployments ask."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import Count, Max, Prefetch, Q, QuerySet

from adapters.tracking import ARTIFACT_SCHEME, location_key
from apps.accounts.models import Project
from apps.registry.access import get_model, get_version
from apps.registry.adoption import adopt_missing
from apps.registry.models import Alias, AliasMove, Model, ModelVersion, Promotion
from apps.registry.states import LIVE, PROTECTED, VersionState
from foundation.errors import NotFound


def models_of(project: Project, *, q: str = "", trashed: bool = False) -> QuerySet[Model]:
    """The project's models with their number of versions, the newest number and their aliases."""
    if not trashed:
        adopt_missing(project)
    rows = Model.objects.filter(project=project, deleted_at__isnull=not trashed)
    if q:
        rows = rows.filter(name__icontains=q.replace("\x00", ""))
    alive = Q(versions__deleted_at__isnull=True)
    return (
        rows.select_related("project", "created_by")
        .annotate(
            n_versions=Count("versions", filter=alive),
            newest=Max("versions__number", filter=alive),
            newest_at=Max("versions__created_at", filter=alive),
        )
        .prefetch_related(Prefetch("aliases", queryset=Alias.objects.select_related("version")))
    )


def is_registered(project_id: UUID, *, logged_model: str = "", path: str = "") -> bool:
    """Whether a logged model is a version, or an artifact ("workspaces/…") lies among a version's files."""
    rows = ModelVersion.objects.filter(project_id=project_id)
    if logged_model:
        return rows.filter(logged_model=logged_model).exists()
    parts = [part for part in path.split("/") if part]
    folders = [location_key(ARTIFACT_SCHEME + "/".join(parts[:size])) for size in range(1, len(parts) + 1)]
    return rows.filter(prefix__in=[folder for folder in folders if folder]).exists()


def versions_of(model: Model, *, trashed: bool = False) -> QuerySet[ModelVersion]:
    """The model's versions, newest first."""
    return (
        ModelVersion.objects.filter(model=model, deleted_at__isnull=not trashed)
        .select_related("model", "project", "run", "created_by", "dataset_version__dataset", "job")
        .prefetch_related("aliases")
        .order_by("-number")
    )


def promotions_of(
    project: Project,
    *,
    model: Model | None = None,
    version: ModelVersion | None = None,
    state: str = "",
) -> QuerySet[Promotion]:
    """Promotions of a project, a model or a version, newest first."""
    rows = Promotion.objects.filter(project=project).select_related(
        "version__model", "version__project", "project", "holder__model", "created_by", "decided_by", "job"
    )
    if model is not None:
        rows = rows.filter(version__model=model)
    if version is not None:
        rows = rows.filter(version=version)
    if state:
        rows = rows.filter(state=state)
    return rows


def waiting_promotions(project: Project) -> int:
    """How many promotions wait for an approval."""
    return Promotion.objects.filter(
        project=project, state="awaiting_approval", version__model__deleted_at__isnull=True
    ).count()


def live_promotion(version: ModelVersion) -> Promotion | None:
    """The version's promotion that is being checked or waits, if any."""
    return promotions_of(version.project, version=version).filter(state__in=LIVE).first()


def alias_moves(model: Model) -> QuerySet[AliasMove]:
    """The history of the model's aliases, newest first."""
    return model.alias_moves.select_related("version", "before", "user", "promotion")


@dataclass(frozen=True)
class DeployableVersion:
    """What a deployment needs of a model version. prefix: folder of its files in the object store."""

    id: UUID
    number: int
    model_name: str
    prefix: str
    metrics: dict[str, float] = field(default_factory=dict)
    dataset_version_id: UUID | None = None


def version_for_deployment(
    project: Project, name: str, *, alias: str = "", number: int = 0
) -> DeployableVersion:
    """The version that an alias or a number names. Raises NotFound "model.not_found",
    "model.alias_not_found", "model.version_not_found"."""
    model = get_model(project, name)
    if alias:
        held = Alias.objects.filter(model=model, name=alias).select_related("version__model").first()
        if held is None:
            raise NotFound(
                "model.alias_not_found", f"No version of '{name[:60]}' holds the alias '{alias[:60]}'."
            )
        version = held.version
    else:
        version = get_version(model, number)
    return DeployableVersion(
        id=version.pk,
        number=version.number,
        model_name=model.name,
        prefix=version.prefix,
        metrics=version.metrics,
        dataset_version_id=version.dataset_version_id,
    )


def deployable_versions(project: Project) -> list[tuple[str, list[tuple[str, int]], list[int]]]:
    """Per model: its name, its aliases with the number each names (protected ones first), its numbers."""
    versions: dict[str, list[int]] = defaultdict(list)
    alive = ModelVersion.objects.alive().filter(
        project=project, model__deleted_at__isnull=True, state=VersionState.READY
    )
    for name, number in alive.order_by("model__name", "-number").values_list("model__name", "number"):
        versions[name].append(number)
    aliases: dict[str, list[tuple[str, int]]] = defaultdict(list)
    held = Alias.objects.filter(model__project=project, model__deleted_at__isnull=True)
    for name, alias, number in held.values_list("model__name", "name", "version__number"):
        aliases[name].append((alias, number))
    return [
        (name, sorted(aliases[name], key=lambda pair: (pair[0] not in PROTECTED, pair[0])), numbers)
        for name, numbers in versions.items()
    ]
