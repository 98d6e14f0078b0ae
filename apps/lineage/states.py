"""Kinds of nodes and edges."""

from __future__ import annotations

from django.db import models


class NodeKind(models.TextChoices):
    """What can stand in the graph, in the order in which a line is drawn."""

    DATASET_VERSION = "dataset_version", "Dataset version"
    PIPELINE_RUN = "pipeline_run", "Pipeline run"
    STUDY = "study", "Study"
    RUN = "run", "Run"
    MODEL_VERSION = "model_version", "Model version"
    DEPLOYMENT = "deployment", "Deployment"
    MONITOR = "monitor", "Monitor"


class EdgeKind(models.TextChoices):
    """What the source was to the target."""

    TRAINED_ON = "trained_on", "trained on"
    SEARCHED_ON = "searched_on", "searched on"
    TRIED_IN = "tried_in", "tried in"
    CHOSEN_BY = "chosen_by", "chosen by"
    REGISTERED_FROM = "registered_from", "registered from"
    SERVES = "serves", "serves"
    WATCHES = "watches", "watches"
    BASELINE_OF = "baseline_of", "baseline of"
    READ_BY = "read_by", "read by"
    MADE = "made", "made"
    CHILD_OF = "child_of", "child of"
