"""Addresses of the pages of studies, below /p/<project>/."""

from __future__ import annotations

from django.urls import path, re_path

from apps.tuning import views

app_name = "tuning"
urlpatterns = [
    path("studies/", views.study_list, name="list"),
    path("studies/new", views.study_new, name="new"),
    path("studies/new/target", views.study_new_part, {"part": "target"}, name="new-target"),
    path("studies/new/space", views.study_new_part, {"part": "space"}, name="new-space"),
    path("studies/new/plan", views.study_new_plan, name="new-plan"),
    path("studies/<str:name>/", views.study_page, {"tab": "overview"}, name="detail"),
    path("studies/<str:name>/parallel", views.study_page, {"tab": "parallel"}, name="parallel"),
    path("studies/<str:name>/trials", views.study_page, {"tab": "trials"}, name="trials"),
    path("studies/<str:name>/settings", views.study_page, {"tab": "settings"}, name="settings"),
    path("studies/<str:name>/edit", views.study_edit, name="edit"),
    re_path(
        r"^studies/(?P<name>[^/]+)/(?P<verb>stop|resume|train|trash|restore)$", views.study_verb, name="verb"
    ),
]
