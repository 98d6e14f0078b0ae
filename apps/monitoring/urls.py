"""Addresses of the pages of monitors, below /p/<project>/."""

from __future__ import annotations

from django.urls import path, re_path

from apps.monitoring import views

app_name = "monitoring"
urlpatterns = [
    path("monitors/", views.monitor_list, name="list"),
    path("monitors/new", views.monitor_new, name="new"),
    path("monitors/<str:name>", views.monitor_detail, name="detail"),
    path("monitors/<str:name>/reports", views.report_list, name="reports"),
    path("monitors/<str:name>/reports/<str:report>", views.report_detail, name="report"),
    path("monitors/<str:name>/alerts", views.alert_list, name="alerts"),
    re_path(
        r"^monitors/(?P<name>[^/]+)/alerts/(?P<alert>[^/]+)/(?P<verb>acknowledge|close)$",
        views.alert_move,
        name="alert-move",
    ),
    path("monitors/<str:name>/settings", views.monitor_settings, name="settings"),
    re_path(r"^monitors/(?P<name>[^/]+)/(?P<verb>trash|restore)$", views.monitor_verb, name="verb"),
]
