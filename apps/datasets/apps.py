from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    name = "apps.datasets"
    label = "datasets"
    verbose_name = "Datasets"

    def ready(self) -> None:
        """Point the object store at what the studio's settings name."""
        from django.conf import settings

        from adapters.storage import configure

        config = settings.CONFIG
        configure(url=config.storage_url, home=config.home)
