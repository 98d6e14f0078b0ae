"""Addresses of workers, outside any project."""

from __future__ import annotations

from django.urls import path

from apps.jobs.workers import views

app_name = "workers"
urlpatterns = [
    path("workers/", views.worker_list, name="list"),
    path("workers/gone", views.worker_gone, name="gone"),
    path("workers/<str:worker>/", views.worker_detail, name="detail"),
    path("workers/<str:worker>/drain", views.worker_drain, name="drain"),
    path("workers/<str:worker>/resume", views.worker_resume, name="resume"),
]
