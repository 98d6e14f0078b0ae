"""Which pipelines, versions, runs and nodes reach a request: those of a visible project. Else NotFound."""

from __future__ import annotations

from apps.accounts.models import Project
from apps.pipelines.models import NodeRun, Pipeline, PipelineRun, PipelineVersion
from foundation.errors import NotFound

RUN_RELATIONS = ("project", "pipeline__project", "version", "created_by", "rerun_of")


def get_pipeline(project: Project, name: str, *, trashed: bool = False) -> Pipeline:
    """The pipeline of that name in a project the caller was already let into. Raises NotFound."""
    found = (
        Pipeline.objects.filter(
            project=project, name=name.replace("\x00", ""), deleted_at__isnull=not trashed
        )
        .select_related("project", "latest", "created_by")
        .order_by("-deleted_at")
        .first()
    )
    if found is None:
        where = "in the trash" if trashed else "in this project"
        raise NotFound("pipeline.not_found", f"There is no pipeline '{name[:63]}' {where}.")
    return found  # type: ignore[no-any-return]  # the base's manager is untyped


def get_pipeline_version(pipeline: Pipeline, number: object) -> PipelineVersion:
    """One version of a definition by its number. Raises NotFound."""
    found = (
        pipeline.versions.select_related("created_by", "pipeline__project")
        .filter(number=_number(number))
        .first()
    )
    if found is None:
        raise NotFound(
            "pipeline.version_not_found", f"The pipeline '{pipeline.name}' has no version {str(number)[:20]}."
        )
    return found


def get_pipeline_run(pipeline: Pipeline, number: object) -> PipelineRun:
    """One run of a pipeline by its number. Raises NotFound."""
    found = pipeline.runs.select_related(*RUN_RELATIONS).filter(number=_number(number)).first()
    if found is None:
        raise NotFound(
            "pipeline.run_not_found", f"The pipeline '{pipeline.name}' has no run {str(number)[:20]}."
        )
    return found


def get_node_run(run: PipelineRun, name: str) -> NodeRun:
    """One node of a run by its name. Raises NotFound."""
    nodes = run.nodes.select_related("job", "reused_from__pipeline_run__pipeline__project")
    found = nodes.filter(name=name.replace("\x00", "")).first()
    if found is None:
        raise NotFound("pipeline.node_not_found", f"{run.label} has no node '{name[:63]}'.")
    return found


def _number(given: object) -> int:
    """The number, or one that nothing has."""
    text = str(given)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
