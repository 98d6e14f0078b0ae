"""Which datasets a request may see and change. Not yours = NotFound (404), too small a role = Forbidden (403)."""

from __future__ import annotations

from apps.accounts.access import Actor, check_role, require_write, role_in_project
from apps.accounts.models import Project
from apps.accounts.states import Role
from apps.datasets.models import Dataset, DatasetVersion
from apps.datasets.states import VersionState
from foundation.errors import Conflict, Invalid, NotFound


def _missing_dataset(name: str) -> NotFound:
    return NotFound(
        "dataset.not_found", f"There is no dataset '{name[:60]}' in this project.", {"dataset": name[:120]}
    )


def get_visible_dataset(actor: Actor, project: Project, name: str, *, trashed: bool = False) -> Dataset:
    """The dataset of that name (the caller has checked the project). trashed: look in the trash, where the last
    one of that name counts. Raises NotFound "dataset.not_found"."""
    if "\x00" in name:
        raise _missing_dataset(name.replace("\x00", "?"))
    found = Dataset.objects.select_related("project", "created_by").filter(project=project, name=name)
    found = found.filter(deleted_at__isnull=not trashed)
    dataset: Dataset | None = found.order_by("-deleted_at").first()
    if dataset is None:
        raise _missing_dataset(name)
    return dataset


def get_editable_dataset(actor: Actor, project: Project, name: str, *, trashed: bool = False) -> Dataset:
    """The dataset for changing it: contributors and above. Raises also Forbidden."""
    dataset = get_visible_dataset(actor, project, name, trashed=trashed)
    require_write(actor)
    check_role(role_in_project(actor, project), Role.CONTRIBUTOR)
    return dataset


def get_visible_version(
    actor: Actor, project: Project, name: str, number: int | str, *, trashed: bool = False
) -> DatasetVersion:
    """A version by its number, or "latest" (the newest that is ready). Raises NotFound "dataset.version_not_found"."""
    dataset = get_visible_dataset(actor, project, name)
    return _version(dataset, number, trashed=trashed)


def get_editable_version(
    actor: Actor, project: Project, name: str, number: int | str, *, trashed: bool = False
) -> DatasetVersion:
    """A version for changing its fate: contributors and above. Raises also Forbidden."""
    dataset = get_editable_dataset(actor, project, name)
    return _version(dataset, number, trashed=trashed)


def _version(dataset: Dataset, number: int | str, *, trashed: bool) -> DatasetVersion:
    versions = DatasetVersion.objects.select_related("dataset__project", "project", "created_by", "job")
    versions = versions.filter(dataset=dataset, deleted_at__isnull=not trashed)
    found: DatasetVersion | None = None
    if number == "latest":
        found = versions.filter(state=VersionState.READY).order_by("-number").first()
    elif str(number).isascii() and str(number).isdigit() and int(number) < 2**31:
        found = versions.filter(number=int(number)).first()
    if found is None:
        raise NotFound(
            "dataset.version_not_found",
            f"The dataset '{dataset.name}' has no version {str(number)[:20]}.",
            {"dataset": dataset.name, "version": str(number)[:20]},
        )
    return found


def get_usable_version(actor: Actor, project: Project, reference: str) -> DatasetVersion:
    """The ready version that "name" (the newest ready one) or "name@2" means.

    Raises NotFound for an unknown dataset or version, Invalid "dataset.reference" for another form, and
    Conflict "dataset.not_ready" with the reason when the version cannot be used.
    """
    name, separator, number = reference.partition("@")
    if not name or (separator and not (number.isascii() and number.isdigit())):
        raise Invalid(
            "dataset.reference",
            "A dataset is written as 'name' (its newest version) or 'name@2'.",
            {"field": "dataset", "dataset": reference[:120]},
        )
    dataset = get_visible_dataset(actor, project, name)
    if not separator:
        return _newest(dataset)
    version = _version(dataset, number, trashed=False)
    if version.state == VersionState.PENDING:
        raise Conflict(
            "dataset.not_ready", f"{version.label} is still being read; try again when it is ready."
        )
    if version.state == VersionState.FAILED:
        raise Conflict("dataset.not_ready", f"{version.label} could not be read: {version.error_message}")
    return version


def _newest(dataset: Dataset) -> DatasetVersion:
    try:
        return _version(dataset, "latest", trashed=False)
    except NotFound:
        last = dataset.versions.filter(deleted_at__isnull=True).first()
    if last is not None and last.state == VersionState.PENDING:
        raise Conflict(
            "dataset.not_ready",
            f"{dataset.name}@{last.number} is still being read; try again when it is ready.",
        )
    raise Conflict("dataset.not_ready", f"The dataset '{dataset.name}' has no version that could be read.")
