"""Which models, versions and promotions reach a request. The caller has checked the project."""

from __future__ import annotations

from uuid import UUID

from apps.accounts.models import Project
from apps.registry.models import Model, ModelVersion, Promotion
from foundation.errors import NotFound


def get_model(project: Project, key: str, *, trashed: bool = False) -> Model:
    """A model by name or by id; in the trash, the one deleted last. Raises NotFound "model.not_found"."""
    rows = Model.objects.filter(project=project, deleted_at__isnull=not trashed).select_related(
        "project", "created_by"
    )
    found = None
    if "\x00" not in key:
        found = rows.filter(name=key).order_by("-deleted_at").first()
    if found is None:
        try:
            found = rows.filter(pk=UUID(key)).first()
        except ValueError:
            found = None
    if found is None:
        raise NotFound("model.not_found", f"There is no model '{key[:60]}' in this project.")
    model: Model = found
    return model


def get_version(model: Model, number: object, *, trashed: bool = False) -> ModelVersion:
    """A version by its number. Raises NotFound "model.version_not_found"."""
    text = str(number)
    found = None
    if text.isascii() and text.isdigit() and len(text) < 10:
        found = (
            ModelVersion.objects.filter(model=model, number=int(text), deleted_at__isnull=not trashed)
            .select_related("model", "project", "run", "job", "created_by", "dataset_version__dataset")
            .first()
        )
    if found is None:
        raise NotFound("model.version_not_found", f"The model '{model.name}' has no version {text[:20]}.")
    version: ModelVersion = found
    return version


def get_promotion(project: Project, key: object) -> Promotion:
    """A promotion by its id. Raises NotFound "promotion.not_found"."""
    missing = NotFound("promotion.not_found", "There is no such promotion in this project.")
    try:
        wanted = key if isinstance(key, UUID) else UUID(str(key))
    except ValueError:
        raise missing from None
    found = (
        Promotion.objects.filter(project=project, pk=wanted, version__model__deleted_at__isnull=True)
        .select_related("version__model", "version__project", "project", "holder__model", "job", "created_by")
        .first()
    )
    if found is None:
        raise missing
    return found
