"""Addresses of the pages of environments, below /p/<project>/."""

from __future__ import annotations

from django.urls import path, re_path

from apps.environments import views

app_name = "environments"
urlpatterns = [
    path("environments/", views.environment_list, name="list"),
    path("environments/new", views.environment_new, name="new"),
    path("environments/<str:name>", views.environment_detail, name="detail"),
    path("environments/<str:name>/lock", views.environment_lock, name="lock"),
    path("environments/<str:name>/edit", views.environment_edit, name="edit"),
    re_path(
        r"^environments/(?P<name>[^/]+)/(?P<verb>build|trash|restore)$", views.environment_verb, name="verb"
    ),
]
