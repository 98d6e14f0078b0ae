"""REST: members of a team, and the links with which one becomes one."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from apps.accounts import actions, queries
from apps.accounts.access import require_write
from apps.accounts.api_base import StudioAPIView, TeamAPIView, checked, paged
from apps.accounts.authentication import address_of
from apps.accounts.invitation_links import link_to, send
from apps.accounts.models import Membership
from apps.accounts.schemas import (
    InvitationAccept,
    InvitationAnswer,
    InvitationCreate,
    InvitationCreated,
    InvitationSerializer,
    MemberAdd,
    MemberAdded,
    MemberChange,
    MemberSerializer,
    OneTimePassword,
)
from apps.accounts.states import Role
from foundation.api import api_path, check_if_match, etag_of
from foundation.clock import iso
from foundation.errors import Invalid

SEARCH = OpenApiParameter("q", str, description="Part of the account's name")


def _etag(member: Membership) -> str:
    return etag_of(member.pk, iso(member.updated_at))


def _member_response(member: Membership, status: int = 200, **more: Any) -> Response:
    return Response({**MemberSerializer(member).data, **more}, status=status, headers={"ETag": _etag(member)})


class MembersView(TeamAPIView):
    """The members of a team."""

    roles: ClassVar = {"GET": Role.MEMBER, "POST": Role.OWNER}
    order_fields = ("created_at",)
    default_order = ("created_at",)

    @extend_schema(operation_id="members_list", parameters=[SEARCH], responses=MemberSerializer(many=True))
    def get(self, request: Any, team: str) -> Response:
        members = queries.members_of(self.team)
        q = request.query_params.get("q", "").replace("\x00", "")
        return paged(self, members.filter(user__username__icontains=q) if q else members, MemberSerializer)

    @extend_schema(operation_id="members_set", request=MemberAdd, responses={201: MemberAdded})
    def post(self, request: Any, team: str) -> Response:
        data = checked(MemberAdd, request)
        if data.pop("new_account"):
            member, password = actions.create_member(actor=self.actor, team=self.team, **data)
            return _member_response(member, 201, password=password)
        name, email = data.pop("name"), data.pop("email")
        if name or email:
            raise Invalid(
                "request.invalid",
                "name and email are for a new account: send new_account too.",
                {"field": "new_account"},
            )
        return _member_response(actions.set_member(actor=self.actor, team=self.team, **data), 201)


class MemberView(TeamAPIView):
    """One member of a team."""

    roles: ClassVar = {"GET": Role.MEMBER, "PATCH": Role.OWNER, "DELETE": Role.OWNER}

    def role_for(self, request: Any) -> Role:
        """Everybody may leave."""
        leaves = self.actor.user is not None and self.kwargs["username"] == self.actor.user.username
        return Role.MEMBER if leaves and request.method == "DELETE" else super().role_for(request)

    @extend_schema(operation_id="members_get", responses=MemberSerializer)
    def get(self, request: Any, team: str, username: str) -> Response:
        return _member_response(queries.get_member(self.team, username))

    @extend_schema(operation_id="members_update", request=MemberChange, responses=MemberSerializer)
    def patch(self, request: Any, team: str, username: str) -> Response:
        changes = checked(MemberChange, request)
        member = queries.get_member(self.team, username)
        changed = actions.set_member(
            actor=self.actor,
            team=self.team,
            username=username,
            role=changes.get("role", member.role),
            projects=changes.get("projects"),
            check=lambda found: check_if_match(request, _etag(found)) if found is not None else None,
        )
        return _member_response(changed)

    @extend_schema(
        operation_id="members_remove",
        parameters=[
            OpenApiParameter(
                "work",
                str,
                enum=["end", "take_over"],
                description="What becomes of running jobs and schedules in this person's name: they end, or go "
                "on in the caller's",
            )
        ],
        responses={204: None},
    )
    def delete(self, request: Any, team: str, username: str) -> Response:
        work = request.query_params.get("work") or "end"
        if work not in ("end", "take_over"):
            raise Invalid("member.work", "work is 'end' or 'take_over'.", {"field": "work"})
        actions.remove_member(
            actor=self.actor, team=self.team, username=username, take_over=work == "take_over"
        )
        return Response(status=204)


class MemberPasswordView(TeamAPIView):
    """Another one-time password for a member who has not yet chosen one."""

    roles: ClassVar = {"POST": Role.OWNER}

    @extend_schema(operation_id="members_password", request=None, responses=OneTimePassword)
    def post(self, request: Any, team: str, username: str) -> Response:
        password = actions.renew_one_time_password(actor=self.actor, team=self.team, username=username)
        return Response({"password": password})


class InvitationsView(TeamAPIView):
    """Links to join a team."""

    roles: ClassVar = {"GET": Role.OWNER, "POST": Role.OWNER}

    @extend_schema(operation_id="invitations_list", responses=InvitationSerializer(many=True))
    def get(self, request: Any, team: str) -> Response:
        found = queries.invitations_of(self.team)
        return paged(self, found, InvitationSerializer, projects=queries.alive_projects(self.team))

    @extend_schema(
        operation_id="invitations_create", request=InvitationCreate, responses={201: InvitationCreated}
    )
    def post(self, request: Any, team: str) -> Response:
        data = checked(InvitationCreate, request)
        invitation, code = actions.create_invitation(actor=self.actor, team=self.team, **data)
        link = link_to(request, code)
        answer = {
            **InvitationSerializer(invitation).data,
            "code": code,
            "link": link,
            "sent": send(invitation, link),
        }
        return Response(answer, status=201)


class InvitationView(TeamAPIView):
    """One invitation."""

    roles: ClassVar = {"DELETE": Role.OWNER}

    @extend_schema(operation_id="invitations_revoke", responses={204: None})
    def delete(self, request: Any, team: str, invitation: str) -> Response:
        found = queries.get_invitation(self.team, invitation)
        actions.revoke_invitation(actor=self.actor, invitation=found)
        return Response(status=204)


class InvitationAcceptView(StudioAPIView):
    """Join a team: as the account of the token or session, or without one as a new account."""

    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="invitations_accept",
        request=InvitationAccept,
        responses=InvitationAnswer,
    )
    def post(self, request: Any) -> Response:
        data = checked(InvitationAccept, request)
        invitation = actions.find_invitation(data["code"], address=address_of(request._request))
        if self.actor.user is not None:
            require_write(self.actor)
            if data.get("username") or data.get("password"):
                raise Invalid(
                    "request.invalid",
                    "You are signed in; name and password are for a new account.",
                    {"field": "username"},
                )
            member = actions.accept_invitation(actor=self.actor, invitation=invitation)
        else:
            member = actions.accept_as_new(
                actor=self.actor,
                invitation=invitation,
                username=data.get("username", ""),
                password=data.get("password", ""),
                name=data["name"],
            )
        return Response(
            {
                "team": invitation.team.slug,
                "username": member.user.username,
                "role": member.role,
                "projects": queries.roles_by_project(member),
            }
        )


_TEAM = r"teams/(?P<team>[^/]+)"
_ID = r"(?P<invitation>[0-9a-f-]{32,36})"
urlpatterns = [
    api_path(f"{_TEAM}/members", MembersView.as_view(), name="members"),
    api_path(rf"{_TEAM}/members/(?P<username>[^/]+)", MemberView.as_view(), name="member"),
    api_path(
        rf"{_TEAM}/members/(?P<username>[^/]+)/password", MemberPasswordView.as_view(), name="member-password"
    ),
    api_path(f"{_TEAM}/invitations", InvitationsView.as_view(), name="invitations"),
    api_path(f"{_TEAM}/invitations/{_ID}", InvitationView.as_view(), name="invitation"),
    api_path("invitations/accept", InvitationAcceptView.as_view(), name="invitation-accept"),
]
