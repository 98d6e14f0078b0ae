"""What pages of the registry show; a page and its live fragments share these contexts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from apps.accounts.access import Actor
from apps.accounts.models import Project
from apps.accounts.states import Role
from apps.accounts.trash import name_trashers
from apps.experiments.metric_catalogue import direction, title
from apps.lineage import queries as lineage
from apps.lineage.states import NodeKind
from apps.registry import queries
from apps.registry.models import Alias, AliasMove, Model, ModelVersion, Promotion
from apps.registry.promoting import has_other_maintainer
from apps.registry.states import PROTECTED, PromotionState, VersionState
from foundation.ui.listing import Listing, list_page

ORDERS = {"name": "name", "newest": "newest_at", "versions": "n_versions", "created": "created_at"}
VERSION_ORDERS = {"number": "number", "created": "created_at"}
SHOWN_METRICS = 3


def name_version_trashers(project: Project, versions: Iterable[ModelVersion]) -> None:
    """Who moved each of these versions to the trash."""
    name_trashers(
        project,
        versions,
        "model.trash_version",
        subject=lambda version: version.model_id,
        version=lambda version: int(version.number),
    )


@dataclass(frozen=True)
class ModelsPage:
    """The list of models."""

    listing: Listing
    q: str
    trashed: bool
    waiting: list[Promotion]

    @classmethod
    def build(cls, request: HttpRequest, project: Project) -> ModelsPage:
        q, trashed = request.GET.get("q", "")[:100], request.GET.get("trashed") == "1"
        rows = queries.models_of(project, q=q, trashed=trashed)
        listing = list_page(request, rows, orders=ORDERS, default="name", total=rows.count())
        if trashed:
            name_trashers(project, listing.rows, "model.trash")
        waiting = queries.promotions_of(project, state=PromotionState.AWAITING_APPROVAL)
        return cls(listing, q, trashed, list(waiting.filter(version__model__deleted_at__isnull=True)[:5]))


@dataclass(frozen=True)
class VersionRow:
    """A line of the table of versions. metrics: (name, value, title) of the columns shown."""

    version: ModelVersion
    values: list[float | None]


@dataclass(frozen=True)
class ModelPage:
    """One model."""

    model: Model
    listing: Listing
    rows: list[VersionRow]
    metrics: list[tuple[str, str]]
    aliases: list[Alias]
    promotions: list[Promotion]
    moves: list[AliasMove]
    trashed: bool
    moving: bool

    @property
    def protected(self) -> list[Alias]:
        """Aliases that only a promotion moves."""
        return [alias for alias in self.aliases if alias.is_protected]

    @classmethod
    def build(cls, request: HttpRequest, model: Model) -> ModelPage:
        trashed = request.GET.get("trashed") == "1"
        rows = queries.versions_of(model, trashed=trashed)
        listing = list_page(request, rows, orders=VERSION_ORDERS, default="-number", total=rows.count())
        if trashed:
            name_version_trashers(model.project, listing.rows)
        names = _metric_columns(listing.rows)
        promotions = list(queries.promotions_of(model.project, model=model)[:20])
        order = {name: place for place, name in enumerate(reversed(PROTECTED))}
        aliases = list(model.aliases.select_related("version__model", "version__project"))
        return cls(
            model=model,
            listing=listing,
            rows=[VersionRow(v, [v.metrics.get(name) for name in names]) for v in listing.rows],
            metrics=[(name, title(name)) for name in names],
            aliases=sorted(aliases, key=lambda alias: (order.get(alias.name, 9), alias.name)),
            promotions=promotions,
            moves=list(queries.alias_moves(model)[:20]),
            trashed=trashed,
            moving=any(p.state == PromotionState.CHECKING for p in promotions)
            or any(v.state == VersionState.PENDING for v in listing.rows),
        )


def _metric_columns(versions: Any) -> list[str]:
    """The ranking metrics first, then those that most versions have and that can be compared."""
    counts: dict[str, int] = {}
    for version in versions:
        for name in version.metrics:
            if direction(name) != "none" and not name.startswith(("train_", "fold_")):
                counts[name] = counts.get(name, 0) + (100 if name == version.primary_metric else 1)
    return sorted(counts, key=lambda name: (-counts[name], name))[:SHOWN_METRICS]


@dataclass(frozen=True)
class PromotionView:
    """A promotion with what the person who looks may do about it."""

    promotion: Promotion
    may_approve: bool
    may_reject: bool
    why_not: str

    @classmethod
    def build(cls, promotion: Promotion, actor: Actor, role: Role | None) -> PromotionView:
        waiting = promotion.state == PromotionState.AWAITING_APPROVAL
        maintains = role is not None and role.rank >= Role.MAINTAINER.rank
        own = actor.user is not None and promotion.created_by_id == actor.user.pk
        blocked = own and waiting and has_other_maintainer(promotion)
        why_not = ""
        if waiting and not maintains:
            why_not = "It waits for a maintainer of the team to approve it."
        elif blocked:
            why_not = "This is your own request: another maintainer of the team approves it."
        return cls(promotion, waiting and maintains and not blocked, waiting and (maintains or own), why_not)

    @property
    def consequence(self) -> str:
        """What approving does, in words."""
        promotion = self.promotion
        held = f" instead of version {promotion.holder.number}" if promotion.holder else ""
        return (
            f"The alias '{promotion.alias}' then names version {promotion.version.number}{held}, and deployments"
            f" that follow {promotion.version.model.name}@{promotion.alias} change to it."
        )


@dataclass(frozen=True)
class VersionPage:
    """One version."""

    version: ModelVersion
    aliases: list[Alias]
    lineage: list[dict[str, Any]]
    metrics: list[tuple[str, str, float, bool]]
    promotions: list[PromotionView]
    offered: list[str]
    deploy_url: str
    load_code: str
    moving: bool

    @classmethod
    def build(cls, request: Any, version: ModelVersion) -> VersionPage:
        promotions = list(queries.promotions_of(version.project, version=version)[:20])
        aliases = list(version.aliases.all())
        held = {alias.name for alias in aliases}
        live = {p.alias for p in promotions if p.is_live}
        ready = version.state == VersionState.READY and version.deleted_at is None
        return cls(
            version=version,
            aliases=aliases,
            lineage=line_nodes(version),
            metrics=_metrics(version),
            promotions=[PromotionView.build(p, request.actor, request.role) for p in promotions],
            offered=[name for name in PROTECTED if name not in held | live] if ready else [],
            deploy_url=_deploy_url(version) if ready else "",
            load_code=_load_code(version),
            moving=version.state == VersionState.PENDING
            or any(p.state == PromotionState.CHECKING for p in promotions),
        )

    @property
    def earlier(self) -> list[PromotionView]:
        """Promotions that are over, but for the newest one."""
        return [view for view in self.promotions[1:] if not view.promotion.is_live]

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """The columns of the answer."""
        return list(self.version.signature.get("outputs") or [])

    @property
    def columns(self) -> list[dict[str, Any]]:
        """The columns of the input."""
        return list(self.version.signature.get("inputs") or [])


def _metrics(version: ModelVersion) -> list[tuple[str, str, float, bool]]:
    """(name, title, value, is the ranking one), the ranking one first."""
    primary = version.primary_metric
    return sorted(
        (
            (name, title(name), value, name == primary)
            for name, value in version.metrics.items()
            if direction(name) != "none" and not name.startswith(("train_", "fold_"))
        ),
        key=lambda entry: (not entry[3], entry[1]),
    )


def _deploy_url(version: ModelVersion) -> str:
    try:
        return f"{reverse('deployments:new', args=[version.project.slug])}?model={version.label}"
    except NoReverseMatch:
        return ""


def _load_code(version: ModelVersion) -> str:
    return (
        f'import mlflow\n\nmodel = mlflow.pyfunc.load_model("models:/{version.label}")\nmodel.predict(frame)'
    )


def line_nodes(version: ModelVersion) -> list[dict[str, Any]]:
    """The line dataset version → run → model version → … for components/lineage.html."""
    found = []
    for stop in lineage.line(kind=NodeKind.MODEL_VERSION, key=version.pk):
        first = stop.first
        found.append(
            {
                "kind": stop.kind,
                "title": first.title,
                "url": first.url,
                "state": first.state,
                "more": stop.more,
                "current": stop.kind == NodeKind.MODEL_VERSION and first.id == str(version.pk),
            }
        )
    return found
