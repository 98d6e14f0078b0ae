"""Addresses of the pages that look over every app."""

from __future__ import annotations

from django.urls import path

from atelier.home import views

app_name = "home"
urlpatterns = [
    path("patterns", views.patterns, name="patterns"),
    path("patterns/<slug:part>", views.patterns, name="patterns-part"),
]
