"""Addresses of the inbox, and of what a person ticks off in a project."""

from __future__ import annotations

from django.urls import path

from apps.inbox import views

app_name = "inbox"
urlpatterns = [
    path("account/inbox", views.inbox, name="inbox"),
    path("account/inbox/mark", views.inbox_mark, name="mark"),
    path("account/inbox/<uuid:notification>", views.inbox_open, name="open"),
    path("account/notifications", views.preferences, name="preferences"),
    path("account/notifications/test", views.send_test, name="test"),
    path("p/<slug:project>/jobs/<uuid:job>/watch", views.job_watch, name="watch-job"),
    path("p/<slug:project>/first-steps", views.onboarding_away, name="first-steps"),
]
