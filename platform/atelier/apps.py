from django.apps import AppConfig


class AtelierConfig(AppConfig):
    name = "atelier"
    label = "atelier"
    verbose_name = "Atelier"
