"""Pages of experiments and runs, below /p/<project>/."""

from __future__ import annotations

from django.urls import path, re_path

from apps.experiments import views
from apps.experiments.scripts import views as scripts

app_name = "experiments"
RUN = r"^experiments/runs/(?P<run>[0-9a-f]{32})"
TAB = r"(?P<tab>code|curves|figures|artifacts|logs|resources|model|environment|lineage)"

urlpatterns = [
    path("experiments/", views.experiment_list, name="list"),
    path("experiments/create", views.experiment_create, name="create"),
    path("experiments/new", views.run_new, name="new-run"),
    path("experiments/new/target", views.run_new_target, name="new-run-target"),
    path("experiments/new/parameters", views.run_new_parameters, name="new-run-parameters"),
    path("experiments/new/script", scripts.script_new, name="new-script"),
    path("experiments/compare", views.run_compare, name="compare"),
    path("experiments/runs/", views.run_list, name="runs"),
    path("experiments/runs/bulk", views.run_bulk, name="bulk"),
    re_path(rf"{RUN}/$", views.run_page, {"tab": "overview"}, name="run"),
    re_path(rf"{RUN}/code/download$", scripts.script_download, name="run-code"),
    re_path(rf"{RUN}/download$", views.run_download, name="run-download"),
    re_path(rf"{RUN}/edit$", views.run_edit, name="run-edit"),
    re_path(rf"{RUN}/(?P<verb>cancel|trash|restore)$", views.run_verb, name="run-verb"),
    re_path(rf"{RUN}/{TAB}$", views.run_page, name="run-tab"),
    path("experiments/<int:experiment>/", views.experiment_page, name="experiment"),
    path("experiments/<int:experiment>/edit", views.experiment_edit, name="edit"),
    re_path(r"^experiments/(?P<experiment>\d+)/(?P<verb>trash|restore)$", views.experiment_verb, name="verb"),
]
