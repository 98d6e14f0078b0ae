from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class JobsConfig(AppConfig):
    name = "apps.jobs"
    label = "jobs"
    verbose_name = "Jobs"

    def ready(self) -> None:
        """Import every app's tasks.py and schedules.py, where job kinds, chores and schedules are registered."""
        autodiscover_modules("tasks", "schedules")
