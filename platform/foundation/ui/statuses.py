"""How each state looks: a word, an icon and a tone. Status is never colour alone.

Tones: grey waits, blue moves, green is well, red is the user's failure, purple is ours, slate was ended by a
person, amber wants a person.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.html import format_html
from django.utils.safestring import SafeString

from foundation.ui.icons import icon


@dataclass(frozen=True)
class Look:
    """The word, the tone (a CSS class ``tone-…``) and the icon of a state."""

    word: str
    tone: str
    icon: str


LOOKS: dict[str, Look] = {
    "waiting": Look("Waiting", "grey", "s-waiting"),
    "queued": Look("Queued", "grey", "s-waiting"),
    "pending": Look("Pending", "grey", "s-ring"),
    "checking": Look("Checking", "grey", "s-checking"),
    "scheduled": Look("Scheduled", "grey", "s-waiting"),
    "starting": Look("Starting", "blue", "s-live"),
    "running": Look("Running", "blue", "s-live"),
    "stopping": Look("Stopping", "blue", "s-live"),
    "building": Look("Building", "blue", "s-live"),
    "importing": Look("Importing", "blue", "s-live"),
    "draining": Look("Draining", "blue", "s-live"),
    "drained": Look("Drained", "slate", "s-stopped"),
    "ending": Look("Ending", "blue", "s-live"),
    "silent": Look("Silent", "purple", "s-errored"),
    "built": Look("Built", "grey", "s-ring"),
    "succeeded": Look("Succeeded", "green", "s-done"),
    "reused": Look("Reused", "green", "copy"),
    "finished": Look("Finished", "green", "s-done"),
    "completed": Look("Completed", "green", "s-done"),
    "complete": Look("Complete", "green", "s-done"),
    "pruned": Look("Pruned", "slate", "s-rejected"),
    "ready": Look("Ready", "green", "s-done"),
    "accepted": Look("Accepted", "green", "s-done"),
    "applied": Look("Applied", "green", "s-done"),
    "watching": Look("Watching", "grey", "s-ring"),
    "warned": Look("Warned", "amber", "s-degraded"),
    "passed": Look("Passed", "green", "s-done"),
    "stable": Look("Stable", "green", "s-done"),
    "resolved": Look("Resolved", "green", "s-done"),
    "failed": Look("Failed", "red", "s-failed"),
    "refused": Look("Refused", "red", "s-refused"),
    "timed_out": Look("Timed out", "red", "s-timeout"),
    "errored": Look("Errored", "purple", "s-errored"),
    "lost": Look("Lost", "purple", "s-errored"),
    "cancelled": Look("Cancelled", "slate", "s-cancelled"),
    "killed": Look("Cancelled", "slate", "s-cancelled"),
    "rejected": Look("Rejected", "slate", "s-rejected"),
    "stopped": Look("Stopped", "slate", "s-stopped"),
    "skipped": Look("Skipped", "slate", "s-rejected"),
    "retired": Look("Retired", "slate", "s-stopped"),
    "archived": Look("Archived", "slate", "s-stopped"),
    "revoked": Look("Revoked", "slate", "s-cancelled"),
    "expired": Look("Expired", "slate", "s-timeout"),
    "trashed": Look("In the trash", "slate", "trash"),
    "awaiting_approval": Look("Awaiting approval", "amber", "s-hand"),
    "degraded": Look("Degraded", "amber", "s-degraded"),
    "drifting": Look("Drifting", "amber", "s-degraded"),
    "warning": Look("Warning", "amber", "s-degraded"),
    "open": Look("Open", "amber", "bell"),
    "acknowledged": Look("Acknowledged", "slate", "s-rejected"),
    "active": Look("Active", "green", "s-done"),
    "on": Look("On", "green", "s-done"),
    "off": Look("Off", "slate", "s-stopped"),
    "stopped_itself": Look("Stopped itself", "amber", "s-hand"),
    "fired": Look("Started", "green", "s-done"),
}


def look_of(state: str) -> Look:
    """The look of a state; one nobody has drawn yet is grey with its own word."""
    key = str(state).lower()
    return LOOKS.get(key) or Look(key.replace("_", " ").capitalize() or "Unknown", "grey", "s-ring")


def badge(state: str, word: str = "") -> SafeString:
    """Icon, word and colour of a state as HTML."""
    look = look_of(state)
    return format_html(
        '<span class="status tone-{}" data-state="{}">{}{}</span>',
        look.tone,
        state,
        icon(look.icon),
        word or look.word,
    )
