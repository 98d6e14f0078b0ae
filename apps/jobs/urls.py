"""Pages of jobs, below /p/<project>/."""

from __future__ import annotations

from django.urls import path

from apps.jobs import views
from apps.jobs.schedules import views as schedules

app_name = "jobs"
urlpatterns = [
    path("jobs/", views.job_list, name="list"),
    path("jobs/<uuid:job>/", views.job_detail, name="detail"),
    path("jobs/<uuid:job>/progress", views.job_progress, name="progress"),
    path("jobs/<uuid:job>/log", views.job_log, name="log"),
    path("jobs/<uuid:job>/log/search", views.job_log_search, name="log-search"),
    path("jobs/<uuid:job>/log/download", views.job_log_download, name="log-download"),
    path("jobs/<uuid:job>/cancel", views.job_cancel, name="cancel"),
    path("schedules/", schedules.schedule_list, name="schedules"),
    path("schedules/new/<slug:noun>/<str:name>", schedules.schedule_new, name="schedule-new"),
    path("schedules/preview", schedules.schedule_preview, name="schedule-preview"),
    path("schedules/<uuid:schedule>/", schedules.schedule_detail, name="schedule"),
    path("schedules/<uuid:schedule>/edit", schedules.schedule_edit, name="schedule-edit"),
    path("schedules/<uuid:schedule>/switch", schedules.schedule_switch, name="schedule-switch"),
    path("schedules/<uuid:schedule>/delete", schedules.schedule_delete, name="schedule-delete"),
]
