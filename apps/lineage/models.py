"""Nodes and edges of the lineage graph, addressed by (kind, id), never by name."""

from __future__ import annotations

from django.db import models

from apps.accounts.models import Project
from apps.lineage.states import EdgeKind, NodeKind
from foundation.models import Stamped


class Node(Stamped):
    """A shadow of an object of another app: enough to draw it. Key: (kind, key)."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=20, choices=NodeKind.choices)
    key = models.CharField(max_length=64)
    name = models.CharField(
        max_length=80, blank=True, default="", help_text="How ?node=kind:name finds it, as churn@2."
    )
    title = models.CharField(max_length=160)
    url = models.CharField(max_length=300)
    state = models.CharField(max_length=24, blank=True, default="")
    alive = models.BooleanField(default=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "key"], name="lineage_node_once")]
        indexes = [models.Index(fields=["project", "kind", "name"], name="lineage_node_name")]

    def __str__(self) -> str:
        return f"{self.kind}:{self.title}"


class Edge(Stamped):
    """The source went into the target."""

    source = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="edges_out")
    target = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="edges_in")
    kind = models.CharField(max_length=20, choices=EdgeKind.choices)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "target", "kind"], name="lineage_edge_once")]
        indexes = [models.Index(fields=["target"], name="lineage_edge_target")]

    def __str__(self) -> str:
        return f"{self.source_id} → {self.target_id} ({self.kind})"
