"""What the search over everything finds of this app: experiments and runs."""

from __future__ import annotations

from django.urls import reverse

from apps.experiments.models import Experiment, Run
from foundation.search import Hit, Needle, Scope, Source, best_rows


def find_experiments(scope: Scope, needle: Needle, limit: int) -> list[Hit]:
    """Experiments by name or description."""
    rows = best_rows(Experiment.objects.alive(), scope, needle, limit=limit, also=("description",))
    return [
        scope.hit(
            "experiment",
            row,
            reverse("experiments:experiment", args=[scope.projects[row.project_id].slug, row.mlflow_id]),
            note=row.description,
        )
        for row in rows
    ]


def find_runs(scope: Scope, needle: Needle, limit: int) -> list[Hit]:
    """Runs by name, algorithm or id; the index `runs_to_search` holds all that is compared."""
    rows = Run.objects.alive().select_related("experiment", "job")
    return [
        scope.hit(
            "run",
            row,
            reverse("experiments:run", args=[scope.projects[row.project_id].slug, row.hex]),
            note=row.experiment.name,
            state=row.state,
            id=row.hex,
        )
        for row in best_rows(rows, scope, needle, limit=limit, also=("algorithm",))
    ]


SOURCES = (
    Source("experiment", "Experiments", "experiment", find_experiments, order=30),
    Source("run", "Runs", "run", find_runs, order=35),
)
