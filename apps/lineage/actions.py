"""Writes to the lineage graph; called by the apps inside the transactions of their own changes."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from apps.accounts.models import Project
from apps.lineage.models import Edge, Node


def put_node(
    *, project: Project, kind: str, key: object, title: str, url: str, state: str = "", name: str = ""
) -> None:
    """Make or refresh the node of an object. `name` is how people address it (churn@2, churn/3)."""
    put_nodes([node_row(project=project, kind=kind, key=key, title=title, url=url, state=state, name=name)])


def node_row(
    *, project: Project, kind: str, key: object, title: str, url: str, state: str = "", name: str = ""
) -> Node:
    """The node of an object, not yet written."""
    return Node(
        project=project,
        kind=kind,
        key=str(key),
        title=title[:160],
        url=url[:300],
        state=state,
        name=name[:80],
        alive=True,
    )


def put_nodes(nodes: Iterable[Node]) -> None:
    """Make or refresh several nodes of `node_row` at once."""
    Node.objects.bulk_create(
        nodes,
        update_conflicts=True,
        unique_fields=["kind", "key"],
        update_fields=["project", "title", "url", "state", "name", "alive", "updated_at"],
    )


def set_state(*, kind: str, key: object, state: str) -> None:
    """The object's state has changed."""
    Node.objects.filter(kind=kind, key=str(key)).update(state=state)


def set_alive(*, kind: str, key: object, alive: bool) -> None:
    """The object went to the trash (its node stays, struck through) or came back."""
    Node.objects.filter(kind=kind, key=str(key)).update(alive=alive)


@transaction.atomic
def link(*, source: tuple[str, object], target: tuple[str, object], kind: str) -> Edge | None:
    """Draw source → target. Linking twice changes nothing; None when either node is unknown."""
    ends = {
        (node.kind, node.key): node
        for node in Node.objects.filter(
            kind__in=[source[0], target[0]], key__in=[str(source[1]), str(target[1])]
        )
    }
    first, second = ends.get((source[0], str(source[1]))), ends.get((target[0], str(target[1])))
    if first is None or second is None or first.project_id != second.project_id:
        return None
    edge, _ = Edge.objects.get_or_create(source=first, target=second, kind=kind)
    return edge


def unlink(*, target: tuple[str, object], kind: str) -> None:
    """Remove the edges of one kind that lead to a node (a deployment that serves another version now)."""
    Edge.objects.filter(target__kind=target[0], target__key=str(target[1]), kind=kind).delete()
