"""Staff pages of the inbox: messages and what became of them."""

from __future__ import annotations

from django.contrib import admin

from apps.accounts.admin import ReadOnlyAdmin
from apps.inbox.models import Message, Notification, Onboarding, Preference, Watch


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    """Without the text: it may hold a link that is a secret."""

    list_display = ("created_at", "to", "subject", "state", "tries", "sent_at")
    list_filter = ("state",)
    search_fields = ("to", "subject")
    fields = ("to", "subject", "state", "reason", "tries", "next_at", "sent_at", "created_at")


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    """What people were told."""

    list_display = ("created_at", "user", "kind", "sentence", "project", "read_at")
    list_select_related = ("user", "project")
    list_filter = ("kind",)


@admin.register(Preference)
class PreferenceAdmin(ReadOnlyAdmin):
    """How people want to be told."""

    list_display = ("user", "kind", "channel")
    list_select_related = ("user",)


@admin.register(Watch)
class WatchAdmin(ReadOnlyAdmin):
    """Who waits for which job."""

    list_display = ("user", "job", "created_at")
    list_select_related = ("user", "job")


@admin.register(Onboarding)
class OnboardingAdmin(ReadOnlyAdmin):
    """How far people are with a project's first steps."""

    list_display = ("user", "project", "compared_at", "dismissed_at")
    list_select_related = ("user", "project")
