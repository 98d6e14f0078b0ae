"""Django app configuration of the user-interface kit."""

from django.apps import AppConfig


class UiConfig(AppConfig):
    """Template tags and static files of the design system; it has no tables."""

    name = "foundation.ui"
    label = "ui"
    verbose_name = "User interface"
