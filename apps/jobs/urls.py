"""Pages of jobs, below /p/<project>/."""

from __future__ import annotations

from django.urls import path

from apps.jobs import views

app_name = "jobs"
urlpatterns = [
    path("jobs/", views.job_list, name="list"),
    path("jobs/<uuid:job>/", views.job_detail, name="detail"),
    path("jobs/<uuid:job>/progress", views.job_progress, name="progress"),
    path("jobs/<uuid:job>/log", views.job_log, name="log"),
    path("jobs/<uuid:job>/log/download", views.job_log_download, name="log-download"),
    path("jobs/<uuid:job>/cancel", views.job_cancel, name="cancel"),
]
