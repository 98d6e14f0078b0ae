from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class AccountsConfig(AppConfig):
    name = "apps.accounts"
    label = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        """Import every app's usage.py and offboarding.py, where the team's pages learn what they can ask."""
        from foundation.partitions import register_monthly

        register_monthly("accounts_auditevent", "at")
        autodiscover_modules("usage", "offboarding")
