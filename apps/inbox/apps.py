from django.apps import AppConfig


class InboxConfig(AppConfig):
    name = "apps.inbox"
    label = "inbox"
    verbose_name = "Inbox"

    def ready(self) -> None:
        """Listen to the news of the apps below, and mail their invitations."""
        from apps.accounts.invitation_links import register_mailer
        from apps.inbox import mailing, news  # noqa: F401

        register_mailer(mailing.mail_invitation)
