"""Django's settings, made from the studio's Config. Nothing heavy is imported here."""

from __future__ import annotations

import os
from pathlib import Path

from csp.constants import NONCE, NONE, SELF

from atelier.logging import logging_config
from runtime.config import load

CONFIG = load()
BASE_DIR = Path(__file__).resolve().parents[2]

SECRET_KEY = CONFIG.secret_key or "no-studio-is-running-on-this-home"
DEBUG = os.environ.get("ATELIER_DEBUG") == "1"
ALLOWED_HOSTS = list(CONFIG.allowed_hosts)
CSRF_TRUSTED_ORIGINS = [CONFIG.public_url] if CONFIG.public_url else []

# The apps from the bottom layer to the top; a test holds the order against the contract of layers.
DOMAIN_APPS = [
    "accounts",
    "jobs",
    "lineage",
    "environments",
    "datasets",
    "experiments",
    "tuning",
    "registry",
    "deployments",
    "monitoring",
    "pipelines",
    "inbox",
]
INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "foundation.ui",
    *[f"apps.{name}" for name in DOMAIN_APPS],
    "atelier",
]
MIDDLEWARE = [
    "atelier.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "atelier.static_files.CompressedStaticMiddleware",
    "atelier.middleware.PolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "apps.accounts.authentication.ActorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "atelier.middleware.ErrorMiddleware",
]
ROOT_URLCONF = "atelier.urls"
ASGI_APPLICATION = "atelier.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "atelier.context.frame",
            ],
        },
    }
]

DATABASES = {
    "default": {
        **CONFIG.django_database(),
        "CONN_MAX_AGE": 0,  # the pool keeps the connections
        "ATOMIC_REQUESTS": False,  # actions are atomic themselves
        "CONN_HEALTH_CHECKS": False,
    }
}
_POOL_SIZE = int(os.environ.get("ATELIER_DATABASE_POOL", "10"))
if _POOL_SIZE and CONFIG.database_url:
    DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {
        "min_size": 1,
        "max_size": _POOL_SIZE,
        "timeout": 15,
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "/login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
_HTTPS = CONFIG.public_url.startswith("https://")
SESSION_COOKIE_NAME = f"atelier_session_{CONFIG.port}"  # two studios on one host keep their own sessions
CSRF_FAILURE_VIEW = "atelier.errors.csrf_failed"
CSRF_COOKIE_NAME = f"atelier_csrf_{CONFIG.port}"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 14 * 24 * 3600
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _HTTPS else None
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
APPEND_SLASH = True

LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "foundation.ui.staticfinders.PackageFinder",
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
# Our own files are named with a digest of their content (foundation.ui.assets).
WHITENOISE_IMMUTABLE_FILE_TEST = r"^/static/(css|js|vendor|django_htmx)/"

# Strict everywhere: nonces, no inline, no eval, nothing from elsewhere. /admin/ and /api/docs have policies of
# their own (atelier.middleware), since their bundled scripts need more.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "style-src-attr": [NONE],
        "img-src": [SELF, "data:", "blob:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024  # files never pass through Django: the gateway stages them
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.accounts.authentication.TokenAuthentication",
        "apps.accounts.authentication.BrowserAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["apps.accounts.permissions.SignedIn"],
    "DEFAULT_PAGINATION_CLASS": "foundation.pagination.KeysetPagination",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [
        "foundation.api.JsonParser",
        "rest_framework.parsers.MultiPartParser",
        "rest_framework.parsers.FormParser",
    ],
    "DEFAULT_SCHEMA_CLASS": "foundation.openapi.StudioSchema",
    "EXCEPTION_HANDLER": "foundation.api.exception_handler",
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%S.%fZ",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Atelier",
    "DESCRIPTION": 'The REST API of the studio. Every error has the shape {"error": {code, message, detail, request_id}}.',
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "PREPROCESSING_HOOKS": ["foundation.openapi.without_trailing_slash"],
    "POSTPROCESSING_HOOKS": [],  # choices stand where they belong; names for them would collide ("state")
}
# The staff pages in the studio's ink instead of Unfold's purple (the stone scale of its own palette).
INK = {
    "50": "oklch(98.5% .001 106.4)",
    "100": "oklch(97% .001 106.4)",
    "200": "oklch(92.3% .003 48.7)",
    "300": "oklch(86.9% .005 56.4)",
    "400": "oklch(70.9% .01 56.3)",
    "500": "oklch(55.3% .013 58.1)",
    "600": "oklch(44.4% .011 73.6)",
    "700": "oklch(37.4% .01 67.6)",
    "800": "oklch(26.8% .007 34.3)",
    "900": "oklch(21.6% .006 56)",
    "950": "oklch(14.7% .004 49.3)",
}
UNFOLD = {
    "SITE_TITLE": "Atelier administration",
    "SITE_HEADER": "Atelier",
    "SITE_URL": "/",
    "SHOW_VIEW_ON_SITE": False,
    "SITE_ICON": "/static/img/icon.svg",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "/static/img/icon.svg"}],
    "COLORS": {"base": INK, "primary": {**INK, "500": "oklch(75% .01 56)"}},
}
LOGGING = logging_config()
SILENCED_SYSTEM_CHECKS: list[str] = []
TEST_RUNNER = "django.test.runner.DiscoverRunner"
