"""Objects that fields of nodes name: model versions and runs. Not a kind itself."""

from __future__ import annotations

from apps.accounts.models import Project
from apps.deployments.source import parse, resolve
from apps.lineage.states import NodeKind as LineageKind
from apps.pipelines.nodes.base import Subject
from apps.registry.models import ModelVersion

RELATIONS = ("model", "project", "run", "job", "dataset_version__dataset")


def find_version(project: Project, reference: str) -> ModelVersion:
    """The model version that "churn/3" or "churn@production" names. Raises Invalid, NotFound."""
    source = resolve(project, reference)
    return ModelVersion.objects.select_related(*RELATIONS).get(pk=source.version_id)


def is_model_reference(text: str) -> bool:
    """Whether a text has the form of one."""
    try:
        parse(text)
    except Exception:
        return False
    return True


def version_subject(version: ModelVersion) -> Subject:
    """A version that the node made."""
    return Subject(
        "model_version",
        str(version.pk),
        version.label,
        version.url,
        made=(LineageKind.MODEL_VERSION, version.pk),
    )
