from django.apps import AppConfig


class InboxConfig(AppConfig):
    name = "apps.inbox"
    label = "inbox"
    verbose_name = "Inbox"

    def ready(self) -> None:
        """Listen to the news of the apps below."""
        from apps.inbox import news  # noqa: F401
