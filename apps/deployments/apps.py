from django.apps import AppConfig


class DeploymentsConfig(AppConfig):
    name = "apps.deployments"
    label = "deployments"
    verbose_name = "Deployments"

    def ready(self) -> None:
        """Follow promotions: a deployment of an alias is redeployed when the alias moves."""
        from apps.deployments import subscriptions

        subscriptions.connect()
