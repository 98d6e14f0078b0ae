"""Writes: users, teams, members, invitations, projects, tokens, sign-in limits. Each is atomic with its audit row."""

from __future__ import annotations

from apps.accounts.actions.invitations import (
    accept_as_new,
    accept_invitation,
    create_invitation,
    find_invitation,
    revoke_invitation,
)
from apps.accounts.actions.leaving import remove_member
from apps.accounts.actions.members import create_member, renew_one_time_password, set_member
from apps.accounts.actions.personal_tokens import MAX_TOKEN_DAYS, create_token, revoke_token
from apps.accounts.actions.projects import (
    check_timezone,
    create_project,
    restore_project,
    trash_project,
    update_project,
)
from apps.accounts.actions.signin import begin_login, clear_login_failures
from apps.accounts.actions.teams import create_team, update_team
from apps.accounts.actions.users import change_password, create_user, sign_out_everywhere, update_user

__all__ = [
    "MAX_TOKEN_DAYS",
    "accept_as_new",
    "accept_invitation",
    "begin_login",
    "change_password",
    "check_timezone",
    "clear_login_failures",
    "create_invitation",
    "create_member",
    "create_project",
    "create_team",
    "create_token",
    "create_user",
    "find_invitation",
    "remove_member",
    "renew_one_time_password",
    "restore_project",
    "revoke_invitation",
    "revoke_token",
    "set_member",
    "sign_out_everywhere",
    "trash_project",
    "update_project",
    "update_team",
    "update_user",
]
