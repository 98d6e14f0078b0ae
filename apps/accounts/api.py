"""REST: who am I, teams, members, tokens, audit, projects. Also the base classes for all other apps' views."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from apps.accounts import actions, queries
from apps.accounts.access import (
    get_editable_project,
    get_editable_team,
    get_trashed_project,
    get_visible_project,
    get_visible_team,
    require_user,
    trashed_projects,
    visible_projects,
    visible_teams,
)
from apps.accounts.api_base import ProjectAPIView, ProjectViewSet, StudioAPIView
from apps.accounts.models import ApiToken, AuditEvent, Membership, Project, Team
from apps.accounts.states import Role, Scope
from foundation.api import api_path, check_fields, etag_of, unchanged
from foundation.clock import iso
from foundation.errors import NotFound
from foundation.pagination import KeysetPagination

__all__ = ["ProjectAPIView", "ProjectViewSet", "StudioAPIView"]


class TeamSerializer(serializers.ModelSerializer[Team]):
    """A team."""

    class Meta:
        model = Team
        fields = ["id", "slug", "name", "description", "created_at"]
        read_only_fields = ["id", "created_at"]


class TeamChange(serializers.Serializer[Any]):
    """What can be changed of a team."""

    name = serializers.CharField(required=False)
    description = serializers.CharField(required=False, allow_blank=True)


class MemberSerializer(serializers.ModelSerializer[Membership]):
    """A member and the role."""

    username = serializers.CharField(source="user.username")
    is_active = serializers.BooleanField(source="user.is_active", read_only=True)

    class Meta:
        model = Membership
        fields = ["username", "role", "is_active", "created_at"]
        read_only_fields = ["created_at"]


class MemberChange(serializers.Serializer[Any]):
    """Add a member, or change a role."""

    username = serializers.CharField(max_length=150)
    role = serializers.ChoiceField(choices=Role.choices)


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    """A token without its secret."""

    user = serializers.CharField(source="user.username", default=None)
    project = serializers.CharField(source="project.slug", default=None)

    class Meta:
        model = ApiToken
        fields = [
            "id",
            "name",
            "prefix",
            "user",
            "scope",
            "project",
            "created_at",
            "expires_at",
            "revoked_at",
            "last_used_at",
        ]


class TokenCreate(serializers.Serializer[Any]):
    """What a new token needs."""

    name = serializers.CharField(max_length=80)
    scope = serializers.ChoiceField(choices=Scope.choices, default=Scope.WRITE)
    project = serializers.CharField(required=False, allow_null=True, default=None)
    days = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=1, max_value=actions.MAX_TOKEN_DAYS
    )


class TokenCreated(TokenSerializer):
    """A new token with its secret, which is shown this once."""

    secret = serializers.CharField()

    class Meta(TokenSerializer.Meta):
        fields = [*TokenSerializer.Meta.fields, "secret"]


class AuditSerializer(serializers.ModelSerializer[AuditEvent]):
    """One change of meaning."""

    project = serializers.SerializerMethodField()
    actor = serializers.CharField(source="actor_label")

    class Meta:
        model = AuditEvent
        fields = [
            "id",
            "at",
            "actor",
            "action",
            "subject_kind",
            "subject_id",
            "subject_title",
            "project",
            "detail",
            "request_id",
        ]

    def get_project(self, event: AuditEvent) -> str | None:
        return event.project.slug if event.project_id and event.project else None


class ProjectSerializer(serializers.ModelSerializer[Project]):
    """A project."""

    team = serializers.CharField(source="team.slug", read_only=True)

    class Meta:
        model = Project
        fields = [
            "id", "slug", "name", "description", "team", "timezone", "own_code", "created_at", "updated_at"
        ]  # fmt: skip
        read_only_fields = ["id", "slug", "team", "created_at", "updated_at"]


class ProjectCreate(serializers.Serializer[Any]):
    """What a new project needs."""

    slug = serializers.CharField()
    name = serializers.CharField(required=False, default="", allow_blank=True)
    team = serializers.CharField(required=False, allow_null=True, default=None)
    description = serializers.CharField(required=False, default="", allow_blank=True)
    timezone = serializers.CharField(required=False, default="UTC")


class ProjectChange(serializers.Serializer[Any]):
    """What can be changed of a project."""

    name = serializers.CharField(required=False)
    description = serializers.CharField(required=False, allow_blank=True)
    timezone = serializers.CharField(required=False)
    own_code = serializers.BooleanField(
        required=False, help_text="Whether contributors may run Python files of their own"
    )


class MeSerializer(serializers.Serializer[Any]):
    """The caller."""

    username = serializers.CharField()
    email = serializers.CharField()
    is_admin = serializers.BooleanField()
    scope = serializers.CharField()
    project = serializers.CharField(allow_null=True)
    teams = serializers.ListField(child=serializers.DictField())


def checked(serializer_class: type[serializers.Serializer[Any]], request: Any) -> dict[str, Any]:
    """The request's body, validated. Raises Invalid "request.unknown_field"; other problems leave as request.invalid."""
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    check_fields(request.data, list(serializer.fields))
    data: dict[str, Any] = dict(serializer.validated_data)
    return data


def paged(view: Any, queryset: Any, serializer_class: Any, **context: Any) -> Response:
    """One keyset page of a list, in the view's orders."""
    paginator = KeysetPagination()
    items = paginator.paginate_queryset(queryset, view.request, view=view)
    return paginator.get_paginated_response(serializer_class(items, many=True, context=context).data)


SEARCH = OpenApiParameter("q", str, description="Part of the name")


def _etag(row: Team | Project) -> str:
    return etag_of(row.pk, iso(row.updated_at))


class MeView(StudioAPIView):
    """Who the caller is."""

    @extend_schema(operation_id="me", responses=MeSerializer)
    def get(self, request: Any) -> Response:
        return Response(queries.describe_actor(self.actor))


class TeamsView(StudioAPIView):
    """The caller's teams."""

    order_fields = ("created_at", "slug", "name")

    @extend_schema(operation_id="teams_list", parameters=[SEARCH], responses=TeamSerializer(many=True))
    def get(self, request: Any) -> Response:
        found = queries.search(visible_teams(self.actor).distinct(), request.query_params.get("q", ""))
        return paged(self, found, TeamSerializer)

    @extend_schema(operation_id="teams_create", request=TeamSerializer, responses={201: TeamSerializer})
    def post(self, request: Any) -> Response:
        data = checked(_TeamCreate, request)
        return _team_response(actions.create_team(actor=self.actor, **data), status=201)


class _TeamCreate(serializers.Serializer[Any]):
    slug = serializers.CharField()
    name = serializers.CharField(required=False, default="", allow_blank=True)
    description = serializers.CharField(required=False, default="", allow_blank=True)


def _team_response(team: Team, status: int = 200) -> Response:
    return Response(TeamSerializer(team).data, status=status, headers={"ETag": _etag(team)})


class TeamView(StudioAPIView):
    """One team."""

    @extend_schema(operation_id="teams_get", responses=TeamSerializer)
    def get(self, request: Any, team: str) -> Response:
        return _team_response(get_visible_team(self.actor, team))

    @extend_schema(operation_id="teams_update", request=TeamChange, responses=TeamSerializer)
    def patch(self, request: Any, team: str) -> Response:
        found = get_editable_team(self.actor, team)
        changes = checked(TeamChange, request)
        with unchanged(request, found, _etag):
            return _team_response(actions.update_team(actor=self.actor, team=found, **changes))


class MembersView(StudioAPIView):
    """The members of a team."""

    order_fields = ("created_at",)
    default_order = ("created_at",)

    @extend_schema(operation_id="members_list", parameters=[SEARCH], responses=MemberSerializer(many=True))
    def get(self, request: Any, team: str) -> Response:
        found = get_visible_team(self.actor, team)
        members = found.memberships.select_related("user")
        q = request.query_params.get("q", "").replace("\x00", "")
        return paged(self, members.filter(user__username__icontains=q) if q else members, MemberSerializer)

    @extend_schema(operation_id="members_set", request=MemberChange, responses={201: MemberSerializer})
    def post(self, request: Any, team: str) -> Response:
        found = get_editable_team(self.actor, team)
        member = actions.set_member(actor=self.actor, team=found, **checked(MemberChange, request))
        return Response(MemberSerializer(member).data, status=201)


class MemberView(StudioAPIView):
    """One member of a team."""

    @extend_schema(operation_id="members_remove", responses={204: None})
    def delete(self, request: Any, team: str, username: str) -> Response:
        found = get_editable_team(self.actor, team)
        actions.remove_member(actor=self.actor, team=found, username=username)
        return Response(status=204)


class TeamTokensView(StudioAPIView):
    """The caller's own tokens; owners see the tokens of all members that reach the team."""

    order_fields = ("created_at", "name")

    @extend_schema(operation_id="tokens_list", parameters=[SEARCH], responses=TokenSerializer(many=True))
    def get(self, request: Any, team: str) -> Response:
        found = get_visible_team(self.actor, team)
        tokens = queries.team_tokens(self.actor, found)
        q = request.query_params.get("q", "").replace("\x00", "")
        return paged(self, tokens.filter(name__icontains=q) if q else tokens, TokenSerializer)

    @extend_schema(operation_id="tokens_create", request=TokenCreate, responses={201: TokenCreated})
    def post(self, request: Any, team: str) -> Response:
        get_visible_team(self.actor, team)
        data = checked(TokenCreate, request)
        slug = data.pop("project")
        project = get_visible_project(self.actor, slug) if slug else None
        token, secret = actions.create_token(
            actor=self.actor, user=require_user(self.actor), project=project, **data
        )
        return Response({**TokenSerializer(token).data, "secret": secret}, status=201)


class TeamTokenView(StudioAPIView):
    """One token."""

    @extend_schema(operation_id="tokens_revoke", responses={204: None})
    def delete(self, request: Any, team: str, token_id: str) -> Response:
        found = get_visible_team(self.actor, team)
        token = queries.team_tokens(self.actor, found).filter(pk=token_id).first()
        if token is None:
            raise NotFound("token.not_found", "There is no such token, or it is not yours.")
        actions.revoke_token(actor=self.actor, token=token)
        return Response(status=204)


class TeamAuditView(StudioAPIView):
    """What has been changed in a team, newest first (maintainers and owners)."""

    order_fields = ("at",)
    default_order = ("-at",)

    @extend_schema(
        operation_id="audit_list",
        parameters=[
            OpenApiParameter("project", str, description="A project's slug"),
            OpenApiParameter(
                "action", str, description="How the action begins, as dataset or dataset.create"
            ),
            OpenApiParameter("actor", str, description="A user name"),
            OpenApiParameter("q", str, description="Part of the object's title"),
        ],
        responses=AuditSerializer(many=True),
    )
    def get(self, request: Any, team: str) -> Response:
        found = queries.auditable_team(self.actor, team)
        return paged(self, queries.audit_of_team(found, request.query_params), AuditSerializer)


class ProjectsView(StudioAPIView):
    """The caller's projects."""

    order_fields = ("created_at", "slug", "name")

    @extend_schema(
        operation_id="projects_list",
        parameters=[
            SEARCH,
            OpenApiParameter("trashed", str, enum=["true"], description="Those in the trash that you own"),
        ],
        responses=ProjectSerializer(many=True),
    )
    def get(self, request: Any) -> Response:
        asked = request.query_params
        visible = trashed_projects if asked.get("trashed") == "true" else visible_projects
        found = queries.search(visible(self.actor).select_related("team").distinct(), asked.get("q", ""))
        return paged(self, found, ProjectSerializer)

    @extend_schema(operation_id="projects_create", request=ProjectCreate, responses={201: ProjectSerializer})
    def post(self, request: Any) -> Response:
        data = checked(ProjectCreate, request)
        slug = data.pop("team")
        team = get_visible_team(self.actor, slug) if slug else None
        project = actions.create_project(actor=self.actor, team=team, **data)
        return Response(ProjectSerializer(project).data, status=201)


def _project_response(project: Project, status: int = 200) -> Response:
    response = Response(ProjectSerializer(project).data, status=status)
    response["ETag"] = _etag(project)
    return response


class ProjectView(StudioAPIView):
    """One project."""

    @extend_schema(operation_id="projects_get", responses=ProjectSerializer)
    def get(self, request: Any, project: str) -> Response:
        return _project_response(get_visible_project(self.actor, project))

    @extend_schema(operation_id="projects_update", request=ProjectChange, responses=ProjectSerializer)
    def patch(self, request: Any, project: str) -> Response:
        found = get_editable_project(self.actor, project, role=Role.MAINTAINER)
        changes = checked(ProjectChange, request)
        with unchanged(request, found, _etag):
            return _project_response(actions.update_project(actor=self.actor, project=found, **changes))

    @extend_schema(operation_id="projects_trash", responses={204: None})
    def delete(self, request: Any, project: str) -> Response:
        actions.trash_project(
            actor=self.actor, project=get_editable_project(self.actor, project, role=Role.OWNER)
        )
        return Response(status=204)


class ProjectRestoreView(StudioAPIView):
    """Take a project out of the trash."""

    @extend_schema(operation_id="projects_restore", request=None, responses=ProjectSerializer)
    def post(self, request: Any, project: str) -> Response:
        return _project_response(
            actions.restore_project(actor=self.actor, project=get_trashed_project(self.actor, project))
        )


_TEAM = r"teams/(?P<team>[^/]+)"
api_root_urlpatterns = [
    api_path("me", MeView.as_view(), name="me"),
    api_path("teams", TeamsView.as_view(), name="teams"),
    api_path(_TEAM, TeamView.as_view(), name="team"),
    api_path(f"{_TEAM}/members", MembersView.as_view(), name="members"),
    api_path(rf"{_TEAM}/members/(?P<username>[^/]+)", MemberView.as_view(), name="member"),
    api_path(f"{_TEAM}/tokens", TeamTokensView.as_view(), name="tokens"),
    api_path(rf"{_TEAM}/tokens/(?P<token_id>[0-9a-f-]{{32,36}})", TeamTokenView.as_view(), name="token"),
    api_path(f"{_TEAM}/audit", TeamAuditView.as_view(), name="audit"),
    api_path("projects", ProjectsView.as_view(), name="projects"),
    api_path(r"projects/(?P<project>[^/]+)", ProjectView.as_view(), name="project"),
    api_path(r"projects/(?P<project>[^/]+)/restore", ProjectRestoreView.as_view(), name="project-restore"),
]
