"""Pages of datasets, below /p/<project>/."""

from __future__ import annotations

from django.urls import path, re_path

from apps.datasets import views

app_name = "datasets"
NAME = r"^datasets/(?P<name>[^/]+)"
VERSION = rf"{NAME}/versions/(?P<number>\d{{1,9}})"

urlpatterns = [
    path("datasets/", views.dataset_list, name="list"),
    path("datasets/new", views.dataset_new, name="new"),
    re_path(rf"{NAME}/$", views.dataset_detail, name="detail"),
    re_path(rf"{NAME}/edit$", views.dataset_edit, name="edit"),
    re_path(rf"{NAME}/(?P<verb>trash|restore)$", views.dataset_verb, name="verb"),
    re_path(rf"{NAME}/purge$", views.dataset_purge, name="purge"),
    re_path(rf"{NAME}/versions/new$", views.version_new, name="version-new"),
    re_path(rf"{VERSION}/$", views.version_page, name="version"),
    re_path(rf"{VERSION}/live$", views.version_live, name="version-live"),
    re_path(rf"{VERSION}/(?P<tab>preview|columns|lineage)$", views.version_page, name="version-tab"),
    re_path(rf"{VERSION}/edit$", views.version_edit, name="version-edit"),
    re_path(rf"{VERSION}/download$", views.version_download, name="version-download"),
    re_path(rf"{VERSION}/(?P<verb>retry|trash|restore)$", views.version_verb, name="version-verb"),
]
