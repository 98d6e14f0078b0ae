"""How the link of an invitation looks, and how it may be mailed.

The secret stands behind the '#': browsers send that part to no server and name it in no Referer, so that it is in
no access log. The page /join reads it and sends it in the body of a POST.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.urls import reverse

from apps.accounts.models import Invitation

logger = logging.getLogger(__name__)
Mailer = Callable[[Invitation, str], bool]
_mailers: list[Mailer] = []


def register_mailer(mailer: Mailer) -> None:
    """Who can mail an invitation: called with it and its link, answers whether a mail is on its way."""
    if mailer not in _mailers:
        _mailers.append(mailer)


def link_to(request: Any, code: str) -> str:
    """The link to hand over; below the studio's public address when it has one."""
    path = reverse("accounts:join")
    public = str(settings.CONFIG.public_url or "").rstrip("/")
    return f"{public}{path}#{code}" if public else f"{request.build_absolute_uri(path)}#{code}"


def send(invitation: Invitation, link: str) -> bool:
    """Mail it when there is an address and a way; whether that is so. The link can always be handed over."""
    if not invitation.email:
        return False
    sent = False
    for mailer in _mailers:
        try:
            sent = mailer(invitation, link) or sent
        except Exception as error:  # never with a traceback: its frames hold the link
            logger.warning("an invitation could not be mailed: %s", type(error).__name__)
    return sent
