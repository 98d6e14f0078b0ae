"""News that deployments act on, and the sweep that finds what a lost piece of news would have told."""

from __future__ import annotations

import logging

from apps.accounts.access import SYSTEM
from foundation.errors import AtelierError
from foundation.events import subscribe

logger = logging.getLogger(__name__)


def connect() -> None:
    """Subscribe to the registry's news."""
    from apps.registry.events import AliasMoved

    @subscribe(AliasMoved)
    def alias_moved(event: AliasMoved) -> None:
        """Deploy what the alias names now wherever it is followed; a removed alias changes nothing."""
        if event.version_id is not None:
            follow(project_id=event.project_id, model_name=event.model_name, alias=event.alias)


def follow(**which: object) -> int:
    """Bring deployments that follow an alias (those that match `which`) to the version it names. Returns how
    many got a new revision. The serving process calls it for all of them now and then."""
    from apps.deployments.actions import follow_alias
    from apps.deployments.models import Deployment

    changed = 0
    for deployment in Deployment.objects.alive().filter(**which).exclude(alias="").select_related("project"):
        try:
            changed += follow_alias(actor=SYSTEM, deployment=deployment) is not None
        except AtelierError as error:
            logger.warning("deployment %s cannot follow %s: %s", deployment.name, deployment.model_ref, error)
    return changed
