"""Addresses of the pages that look over every app."""

from __future__ import annotations

from django.urls import path
from django.views.generic import RedirectView

from atelier.home import views

app_name = "home"
urlpatterns = [
    path("", views.project_list, name="projects"),
    path("now", views.now, name="now"),
    path("projects/new", views.project_new, name="project-new"),
    path("p/<slug:project>/", views.project_home, name="project"),
    path("p/<slug:project>/running", views.project_running, name="running"),
    path("p/<slug:project>/activity", views.project_activity, name="activity"),
    path("p/<slug:project>/live", views.project_live, name="live"),
    path("p/<slug:project>/settings", views.project_settings, name="settings"),
    path("p/<slug:project>/settings/trash", views.project_trash, name="trash"),
    path("favicon.ico", RedirectView.as_view(url="/static/img/icon.svg"), name="favicon"),
    path("patterns", views.patterns, name="patterns"),
    path("patterns/<slug:part>", views.patterns, name="patterns-part"),
]
