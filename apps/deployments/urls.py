"""Addresses of the pages of deployments, below /p/<project>/."""

from __future__ import annotations

from django.urls import path, re_path

from apps.deployments import views

app_name = "deployments"
ONE = r"^deployments/(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]{0,62})"

urlpatterns = [
    path("deployments/", views.deployment_list, name="list"),
    path("deployments/new", views.deployment_new, name="new"),
    re_path(rf"{ONE}/try$", views.deployment_try, name="try"),
    re_path(rf"{ONE}/inferences$", views.inference_list, name="inferences"),
    re_path(rf"{ONE}/inferences/(?P<inference>[0-9a-f-]{{36}})$", views.inference_detail, name="inference"),
    re_path(rf"{ONE}/feedback$", views.feedback_page, name="feedback"),
    re_path(rf"{ONE}/labels$", views.labels_add, name="labels"),
    re_path(rf"{ONE}/events$", views.events_import, name="events"),
    re_path(rf"{ONE}/logs$", views.log_page, name="logs"),
    re_path(rf"{ONE}/log$", views.log_text, name="log-text"),
    re_path(rf"{ONE}/change$", views.deployment_change, name="change"),
    re_path(rf"{ONE}/edit$", views.deployment_edit, name="edit"),
    re_path(rf"{ONE}/(?P<verb>start|stop|trash|restore)$", views.deployment_verb, name="verb"),
    re_path(rf"{ONE}/?$", views.deployment_detail, name="detail"),
]
