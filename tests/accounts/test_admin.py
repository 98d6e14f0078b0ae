"""The staff administration: everything to be looked at, hardly anything to be changed, nothing to be deleted."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from apps.accounts.models import AuditEvent, User
from tests.support.people import People

CHANGEABLE = {"user", "team", "teamlimits"}  # fields of no state: names, rights, descriptions, limits
ADDABLE = {"user", "teamlimits"}
DELETABLE = {"teamlimits"}  # a team without a row has no limits
SHOWN_WITH_ANOTHER = {"membership", "jobattempt", "versionpart", "versionprofile", "reportwindow", "profile"}
SHOWN_WITH_ANOTHER |= {"environmentuse", "jobcheckpoint"}
NOT_SHOWN = {"keyedanswer", "logpiece"}  # encrypted answers; bytes of logs, for seconds


def ours() -> list[Any]:
    """Our models that have a page."""
    return [model for model in apps.get_models() if model.__module__.startswith("apps.")]


def test_every_model_has_a_page() -> None:
    missing = {m._meta.model_name for m in ours() if not admin.site.is_registered(m)}
    assert missing == SHOWN_WITH_ANOTHER | NOT_SHOWN


@pytest.mark.parametrize("model", ours(), ids=lambda model: model._meta.label)
def test_names_have_a_plural(model: Any) -> None:
    plural = str(model._meta.verbose_name_plural)
    assert not plural.endswith(("ss", "xs", "ys"))


def test_every_list_opens_and_nothing_can_be_deleted(people: People, rf: Any) -> None:
    client, request = people.client("admin"), rf.get("/")
    request.user = people.admin
    for model, page in admin.site._registry.items():
        meta = model._meta
        assert client.get(reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")).status_code == 200
        assert page.has_delete_permission(request) == (meta.model_name in DELETABLE), meta.label
        assert page.has_change_permission(request) == (meta.model_name in CHANGEABLE), meta.label
        assert page.has_add_permission(request) == (meta.model_name in ADDABLE), meta.label


def test_a_token_is_never_shown(people: People) -> None:
    from apps.accounts.models import ApiToken

    secret = people.secret("owner")
    token = ApiToken.objects.get(user=people.owner)
    text = people.client("admin").get(f"/admin/accounts/apitoken/{token.pk}/change/").content.decode()
    assert token.prefix in text
    assert secret not in text
    assert token.digest not in text


def test_what_staff_change_is_audited(people: People) -> None:
    client = people.client("admin")
    form = {"username": "viewer", "first_name": "Vic", "is_active": "", "is_staff": "", "is_superuser": ""}
    answer = client.post(f"/admin/accounts/user/{people.viewer.pk}/change/", form)
    assert answer.status_code == 302, answer.content[:500]
    assert not User.objects.get(pk=people.viewer.pk).is_active
    row = AuditEvent.objects.get(action="user.update")
    assert (row.actor_label, row.subject_title) == ("admin", "viewer")
    assert "Vic" not in str(row.detail)


def test_the_administration_has_no_login_of_its_own(people: People) -> None:
    answer = Client().get("/admin/jobs/job/", follow=True)
    assert answer.redirect_chain[-1][0] == "/login?next=/admin/jobs/job/"
    assert Client().post("/admin/login/", {"username": "admin", "password": "x"}).status_code == 302
    assert people.client("viewer").get("/admin/", follow=True).status_code == 403
    assert people.client("admin").get("/admin/login/?next=/admin/").headers["Location"] == "/admin/"


def test_a_service_account_cannot_sign_in(people: People) -> None:
    User.objects.filter(pk=people.viewer.pk).update(is_service=True)
    user = User.objects.get(pk=people.viewer.pk)
    user.set_password("a long password")
    user.save()
    answer = Client().post("/login", {"username": "viewer", "password": "a long password"})
    assert answer.status_code == 422
