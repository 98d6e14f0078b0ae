"""REST: teams, their tokens, audit trail and usage."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response

from apps.accounts import actions, queries
from apps.accounts.access import get_visible_project, require_user, visible_projects, visible_teams
from apps.accounts.api_base import StudioAPIView, TeamAPIView, checked, paged
from apps.accounts.audit import record_audit
from apps.accounts.models import Team
from apps.accounts.schemas import (
    AuditSerializer,
    TeamChange,
    TeamCreate,
    TeamSerializer,
    TokenCreate,
    TokenCreated,
    TokenSerializer,
    UsageSerializer,
)
from apps.accounts.states import Role
from apps.accounts.trail import FORMATS, AuditFilter, audit_of_team, export
from apps.accounts.usage import usage_of, work_in
from foundation.api import api_path, etag_of, unchanged
from foundation.clock import iso
from foundation.errors import Invalid
from foundation.streams import stream

SEARCH = OpenApiParameter("q", str, description="Part of the name")
AUDIT_FILTERS = [
    OpenApiParameter("actor", str, description="A user name"),
    OpenApiParameter("action", str, description="How the action begins, as dataset or dataset.create"),
    OpenApiParameter("project", str, description="A project's slug"),
    OpenApiParameter("kind", str, description="Kind of the object, as user or model"),
    OpenApiParameter("object", str, description="Id or title of the object"),
    OpenApiParameter("since", str, description="From this date or time on (UTC)"),
    OpenApiParameter("until", str, description="Up to this date (whole) or before this time"),
    OpenApiParameter("q", str, description="Words in title, actor, action or detail; a request id"),
]


def _etag(team: Team) -> str:
    return etag_of(team.pk, iso(team.updated_at))


def _team_response(team: Team, status: int = 200) -> Response:
    return Response(TeamSerializer(team).data, status=status, headers={"ETag": _etag(team)})


class TeamsView(StudioAPIView):
    """The caller's teams."""

    order_fields = ("created_at", "slug", "name")

    @extend_schema(operation_id="teams_list", parameters=[SEARCH], responses=TeamSerializer(many=True))
    def get(self, request: Any) -> Response:
        found = queries.search(visible_teams(self.actor).distinct(), request.query_params.get("q", ""))
        return paged(self, found, TeamSerializer)

    @extend_schema(operation_id="teams_create", request=TeamCreate, responses={201: TeamSerializer})
    def post(self, request: Any) -> Response:
        return _team_response(
            actions.create_team(actor=self.actor, **checked(TeamCreate, request)), status=201
        )


class TeamView(TeamAPIView):
    """One team."""

    roles: ClassVar = {"GET": Role.MEMBER, "PATCH": Role.OWNER}

    @extend_schema(operation_id="teams_get", responses=TeamSerializer)
    def get(self, request: Any, team: str) -> Response:
        return _team_response(self.team)

    @extend_schema(operation_id="teams_update", request=TeamChange, responses=TeamSerializer)
    def patch(self, request: Any, team: str) -> Response:
        changes = checked(TeamChange, request)
        with unchanged(request, self.team, _etag):
            return _team_response(actions.update_team(actor=self.actor, team=self.team, **changes))


class TeamTokensView(TeamAPIView):
    """The caller's own tokens; maintainers and owners see those of all members that reach the team."""

    roles: ClassVar = {"GET": Role.MEMBER, "POST": Role.MEMBER}
    order_fields = ("created_at", "name")

    @extend_schema(operation_id="tokens_list", parameters=[SEARCH], responses=TokenSerializer(many=True))
    def get(self, request: Any, team: str) -> Response:
        tokens = queries.team_tokens(self.actor, self.team)
        q = request.query_params.get("q", "").replace("\x00", "")
        return paged(self, tokens.filter(name__icontains=q) if q else tokens, TokenSerializer)

    @extend_schema(operation_id="tokens_create", request=TokenCreate, responses={201: TokenCreated})
    def post(self, request: Any, team: str) -> Response:
        data = checked(TokenCreate, request)
        slug = data.pop("project")
        project = get_visible_project(self.actor, slug) if slug else None
        token, secret = actions.create_token(
            actor=self.actor, user=require_user(self.actor), project=project, **data
        )
        return Response({**TokenSerializer(token).data, "secret": secret}, status=201)


class TeamTokenView(TeamAPIView):
    """One token."""

    roles: ClassVar = {"DELETE": Role.MEMBER}

    @extend_schema(operation_id="tokens_revoke", responses={204: None})
    def delete(self, request: Any, team: str, token_id: str) -> Response:
        token = queries.get_team_token(self.actor, self.team, token_id)
        actions.revoke_token(actor=self.actor, token=token)
        return Response(status=204)


class TeamAuditView(TeamAPIView):
    """What has been changed in a team, newest first (maintainers and owners)."""

    roles: ClassVar = {"GET": Role.MAINTAINER}
    order_fields = ("at",)
    default_order = ("-at",)

    @extend_schema(operation_id="audit_list", parameters=AUDIT_FILTERS, responses=AuditSerializer(many=True))
    def get(self, request: Any, team: str) -> Response:
        rows = audit_of_team(self.team, AuditFilter.read(request.query_params))
        return paged(self, rows, AuditSerializer)


class TeamAuditExportView(TeamAPIView):
    """The audit trail as a file, with the filters of the list."""

    roles: ClassVar = {"GET": Role.MAINTAINER}

    @extend_schema(
        operation_id="audit_export",
        parameters=[
            *AUDIT_FILTERS,
            OpenApiParameter("as", str, enum=list(FORMATS), description="csv or jsonl"),
        ],
        responses={(200, kind): OpenApiTypes.BINARY for kind in ("text/csv", "application/jsonl")},
    )
    def get(self, request: Any, team: str) -> StreamingHttpResponse:
        return export_answer(self.actor, request._request, self.team)


def export_answer(actor: Any, request: Any, team: Team) -> StreamingHttpResponse:
    """The download that ?as= and the filters ask for; that it was taken is audited.

    Raises Invalid "audit.format", "audit.filter".
    """
    form = request.GET.get("as") or "csv"
    if form not in FORMATS:
        raise Invalid("audit.format", "The format is 'csv' or 'jsonl'.", {"field": "as"})
    wanted = AuditFilter.read(request.GET)
    asked = {key: value for key, value in request.GET.items() if value}
    record_audit(
        actor=actor,
        team=team,
        action="audit.export",
        subject_kind="team",
        subject_id=team.pk,
        subject_title=team.slug,
        detail=asked,
    )
    return stream(
        request,
        export(audit_of_team(team, wanted), form),
        content_type=FORMATS[form],
        filename=f"{team.slug}-audit.{form}",
    )


class TeamUsageView(TeamAPIView):
    """What the projects of a team use that the caller sees: bytes kept, CPU seconds of this month."""

    roles: ClassVar = {"GET": Role.MEMBER}

    @extend_schema(operation_id="teams_usage", responses=UsageSerializer)
    def get(self, request: Any, team: str) -> Response:
        projects = list(visible_projects(self.actor).filter(team=self.team))
        usage = usage_of(self.team, projects)
        lines = [
            {
                "project": line.project.slug,
                "kept": int(line.kept),
                "values": {gauge.key: value for gauge, value in line.values},
            }
            for line in usage.rows
        ]
        return Response(
            {
                "measured_at": iso(usage.at),
                "kept": int(usage.kept),
                "totals": {gauge.key: value for gauge, value in usage.totals},
                "projects": lines,
                "running": work_in(projects, 1).total,
            }
        )


_TEAM = r"teams/(?P<team>[^/]+)"
urlpatterns = [
    api_path("teams", TeamsView.as_view(), name="teams"),
    api_path(_TEAM, TeamView.as_view(), name="team"),
    api_path(f"{_TEAM}/tokens", TeamTokensView.as_view(), name="tokens"),
    api_path(rf"{_TEAM}/tokens/(?P<token_id>[0-9a-f-]{{32,36}})", TeamTokenView.as_view(), name="token"),
    api_path(f"{_TEAM}/audit", TeamAuditView.as_view(), name="audit"),
    api_path(f"{_TEAM}/audit/export", TeamAuditExportView.as_view(), name="audit-export"),
    api_path(f"{_TEAM}/usage", TeamUsageView.as_view(), name="usage"),
]
