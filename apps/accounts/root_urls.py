"""Addresses of sign-in, account and teams (outside any project)."""

from __future__ import annotations

from django.urls import path

from apps.accounts import views

app_name = "accounts"
urlpatterns = [
    path("login", views.sign_in, name="login"),
    path("logout", views.sign_out, name="logout"),
    path("account/", views.account, name="account"),
    path("account/password", views.password, name="password"),
    path("account/tokens/<uuid:token>/revoke", views.token_revoke, name="token-revoke"),
    path("teams/new", views.team_new, name="team-new"),
    path("teams/<slug:team>/", views.team_detail, name="team"),
    path("teams/<slug:team>/members/remove", views.member_remove, name="member-remove"),
]
