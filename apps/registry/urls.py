"""Pages of the registry, below /p/<project>/."""

from __future__ import annotations

from django.urls import path, re_path

from apps.registry import views

app_name = "registry"
MODEL = r"^models/(?P<model>[^/]+)"
VERSION = MODEL + r"/(?P<number>\d+)"

urlpatterns = [
    path("models/", views.model_list, name="list"),
    path("models/new", views.model_new, name="new"),
    path("models/register", views.register, name="register"),
    re_path(rf"{MODEL}/$", views.model_page, name="model"),
    re_path(rf"{MODEL}/edit$", views.model_edit, name="edit"),
    re_path(rf"{MODEL}/release$", views.model_release, name="release"),
    re_path(rf"{MODEL}/(?P<verb>trash|restore)$", views.model_verb, name="verb"),
    re_path(rf"{VERSION}/$", views.version_page, name="version"),
    re_path(rf"{VERSION}/edit$", views.version_edit, name="version-edit"),
    re_path(rf"{VERSION}/promote$", views.version_promote, name="promote"),
    re_path(rf"{VERSION}/(?P<verb>trash|restore)$", views.version_verb, name="version-verb"),
    path("models/promotions/<uuid:promotion>/approve", views.promotion_approve, name="approve"),
    path("models/promotions/<uuid:promotion>/reject", views.promotion_reject, name="reject"),
]
