"""Addresses of sign-in, account, teams and joining one (outside any project)."""

from __future__ import annotations

from django.urls import path, re_path

from apps.accounts import join_views, member_views, team_views, views

app_name = "accounts"
_TEAM = "teams/<slug:team>/"
urlpatterns = [
    path("login", views.sign_in, name="login"),
    path("logout", views.sign_out, name="logout"),
    path("join", join_views.join, name="join"),
    path("account/", views.account, name="account"),
    path("account/profile", views.profile, name="profile"),
    path("account/password", views.password, name="password"),
    path("account/sign-out-everywhere", views.sign_out_everywhere, name="sign-out-everywhere"),
    path("account/tokens/<uuid:token>/revoke", views.token_revoke, name="token-revoke"),
    path("teams/new", team_views.team_new, name="team-new"),
    path(_TEAM, team_views.overview, name="team"),
    path(f"{_TEAM}live", team_views.live, name="team-live"),
    path(f"{_TEAM}members/", member_views.member_list, name="team-members"),
    re_path(
        r"^teams/(?P<team>[-a-zA-Z0-9_]+)/members/new/(?P<how>invite|create|add)$",
        member_views.member_new,
        name="member-new",
    ),
    path(f"{_TEAM}members/<str:username>/", member_views.member_detail, name="member"),
    path(f"{_TEAM}members/<str:username>/remove", member_views.member_remove, name="member-remove"),
    path(f"{_TEAM}members/<str:username>/password", member_views.member_password, name="member-password"),
    path(
        f"{_TEAM}invitations/<uuid:invitation>/revoke",
        member_views.invitation_revoke,
        name="invitation-revoke",
    ),
    path(f"{_TEAM}roles", team_views.roles, name="team-roles"),
    path(f"{_TEAM}projects/", team_views.project_list, name="team-projects"),
    re_path(
        r"^teams/(?P<team>[-a-zA-Z0-9_]+)/projects/(?P<project>[-a-zA-Z0-9_]+)/(?P<verb>trash|restore)$",
        team_views.project_verb,
        name="team-project-verb",
    ),
    path(f"{_TEAM}tokens", team_views.tokens, name="team-tokens"),
    path(f"{_TEAM}tokens/<uuid:token>/revoke", team_views.token_revoke, name="team-token-revoke"),
    path(f"{_TEAM}audit", team_views.audit, name="team-audit"),
    path(f"{_TEAM}audit/export", team_views.audit_export, name="team-audit-export"),
    path(f"{_TEAM}settings", team_views.settings, name="team-settings"),
]
