from django.apps import AppConfig


class ExperimentsConfig(AppConfig):
    name = "apps.experiments"
    label = "experiments"
    verbose_name = "Experiments"

    def ready(self) -> None:
        """Register the kind of job that tasks.py does not name."""
        from apps.experiments.scripts import handler  # noqa: F401
