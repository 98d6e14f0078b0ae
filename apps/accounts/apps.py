from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "apps.accounts"
    label = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        from foundation.partitions import register_monthly

        register_monthly("accounts_auditevent", "at")
