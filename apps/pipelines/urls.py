"""Pages of pipelines, below /p/<project>/."""

from __future__ import annotations

from django.urls import path, re_path

from apps.pipelines import views

app_name = "pipelines"
urlpatterns = [
    path("pipelines/", views.pipeline_list, name="list"),
    path("pipelines/new", views.pipeline_new, name="new"),
    path("pipelines/validate", views.pipeline_validate, name="validate"),
    path("pipelines/<str:name>", views.pipeline_detail, name="detail"),
    path("pipelines/<str:name>/live", views.pipeline_live, name="live"),
    path("pipelines/<str:name>/edit", views.pipeline_edit, name="edit"),
    path("pipelines/<str:name>/settings", views.pipeline_settings, name="settings"),
    path("pipelines/<str:name>/versions", views.version_list, name="versions"),
    path("pipelines/<str:name>/versions/<int:number>", views.version_detail, name="version"),
    path("pipelines/<str:name>/runs", views.run_list, name="runs"),
    path("pipelines/<str:name>/runs/<int:number>", views.run_detail, name="run"),
    path("pipelines/<str:name>/runs/<int:number>/live", views.run_live, name="run-live"),
    re_path(
        r"^pipelines/(?P<name>[^/]+)/runs/(?P<number>[0-9]+)/(?P<verb>cancel|resume|newest|again)$",
        views.run_verb,
        name="run-verb",
    ),
    re_path(r"^pipelines/(?P<name>[^/]+)/(?P<verb>trash|restore)$", views.pipeline_verb, name="verb"),
]
