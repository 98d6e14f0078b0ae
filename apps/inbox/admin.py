"""Staff pages of the inbox: messages and what became of them."""

from __future__ import annotations

from django.contrib import admin

from apps.accounts.admin import ReadOnlyAdmin
from apps.inbox.models import Message


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    """Without the text: it may hold a link that is a secret."""

    list_display = ("created_at", "to", "subject", "state", "tries", "sent_at")
    list_filter = ("state",)
    search_fields = ("to", "subject")
    fields = ("to", "subject", "state", "reason", "tries", "next_at", "sent_at", "created_at")
