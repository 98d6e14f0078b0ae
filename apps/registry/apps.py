from django.apps import AppConfig


class RegistryConfig(AppConfig):
    name = "apps.registry"
    label = "registry"
    verbose_name = "Models"

    def ready(self) -> None:
        """Register the job kinds."""
        from apps.registry import tasks  # noqa: F401
