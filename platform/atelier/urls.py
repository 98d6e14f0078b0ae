"""Every address of the studio that Django answers (the gateway answers predictions, uploads and MLflow)."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from apps.accounts.views import staff_sign_in
from atelier import health
from atelier.discovery import optional_module


def _project_pages() -> list[Any]:
    """Pages below /p/<project>/ of every app that has urls.py."""
    found: list[Any] = []
    for app in settings.DOMAIN_APPS:
        module = optional_module(f"apps.{app}.urls")
        if module is not None and getattr(module, "urlpatterns", None):
            found.append(path("p/<slug:project>/", include((module.urlpatterns, module.app_name))))
    return found


def _project_api() -> list[Any]:
    """REST below /api/v1/projects/{project}/ of every app that has api.py."""
    found: list[Any] = []
    for app in settings.DOMAIN_APPS:
        module = optional_module(f"apps.{app}.api")
        patterns = getattr(module, "api_urlpatterns", None) if module else None
        if patterns:
            found.append(re_path(r"^api/v1/projects/(?P<project>[^/]+)/", include((patterns, f"api_{app}"))))
    return found


def _root_api() -> list[Any]:
    """REST below /api/v1/ that belongs to no project."""
    found: list[Any] = []
    for name in (*(f"apps.{app}" for app in settings.DOMAIN_APPS), "atelier.search"):
        module = optional_module(f"{name}.api")
        patterns = getattr(module, "api_root_urlpatterns", None) if module else None
        if patterns:
            found.append(path("api/v1/", include((patterns, f"api_root_{name.rpartition('.')[2]}"))))
    return found


def _pages() -> list[Any]:
    """Pages outside a project: sign-in, account, teams (accounts), the inbox, home and patterns, the search."""
    found: list[Any] = []
    for name in (
        "apps.accounts.root_urls",
        "apps.inbox.root_urls",
        "apps.jobs.workers.root_urls",
        "atelier.home.urls",
        "atelier.search.urls",
    ):
        module = optional_module(name)
        if module is not None:
            found.append(path("", include((module.urlpatterns, module.app_name))))
    return found


urlpatterns: list[Any] = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    re_path(r"^api/schema/?$", SpectacularAPIView.as_view(), name="schema"),
    re_path(r"^api/docs/?$", SpectacularSwaggerView.as_view(url_name="schema"), name="api-docs"),
    path("admin/login/", staff_sign_in, name="staff-login"),
    path("admin/", admin.site.urls),
    *_root_api(),
    *_project_api(),
    re_path(r"^api(/.*)?$", health.api_not_found),
    *_pages(),
    *_project_pages(),
]

handler400 = "atelier.errors.bad_request"
handler403 = "atelier.errors.forbidden"
handler404 = "atelier.errors.not_found"
handler500 = "atelier.errors.server_error"
