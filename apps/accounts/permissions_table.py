"""Who may do what, read from the views that enforce it: the table of roles cannot say anything else than they do.

`rules` finds every address of the REST API below a team or a project with the role that its view asks for;
`permissions` puts those that matter to people into sentences. An address that no app has is left out.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.permissions import SAFE_METHODS

from apps.accounts.access import ANONYMOUS
from apps.accounts.actions.projects import ROLE_TO_CREATE
from apps.accounts.states import Role

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_GROUP = re.compile(r"\(\?P<(\w+)>((?:[^()]|\([^()]*\))*)\)")
_WORDS = re.compile(r"\w+(\|\w+)+")
_T, _P = "teams/{team}", "projects/{project}"

#: (area, what, the address that shows who may). The role stands nowhere here.
_SENTENCES = (
    ("Team", "See the team, its members and its projects", f"GET {_T}"),
    ("Team", "Create and revoke tokens of one's own", f"POST {_T}/tokens"),
    ("Team", "Create a project", "POST projects"),
    ("Team", "Read and export the audit trail; see and revoke everybody's tokens", f"GET {_T}/audit"),
    ("Team", "Add, invite and remove members, change their roles", f"POST {_T}/members"),
    ("Team", "Rename and describe the team", f"PATCH {_T}"),
    ("Project", "Look at everything in it", f"GET {_P}"),
    ("Project", "Change its settings, allow own scripts", f"PATCH {_P}"),
    ("Project", "Move it to the trash and restore it", f"DELETE {_P}"),
    ("Data", "Download datasets", f"GET {_P}/datasets/{{name}}/versions/{{number}}/download"),
    ("Data", "Register datasets and versions, describe, trash and restore them", f"POST {_P}/datasets"),
    ("Data", "Delete a dataset for good", f"POST {_P}/datasets/{{name}}/purge"),
    ("Training", "Start, cancel, rename and trash runs", f"POST {_P}/runs"),
    ("Training", "Create and change experiments", f"POST {_P}/experiments"),
    ("Training", "Start and stop studies", f"POST {_P}/studies"),
    ("Training", "Cancel jobs", f"POST {_P}/jobs/{{job}}/cancel"),
    ("Pipelines", "Define and run pipelines", f"POST {_P}/pipelines"),
    ("Pipelines", "Create and change schedules", f"POST {_P}/schedules"),
    ("Models", "Register models and versions, describe and trash them", f"POST {_P}/models"),
    (
        "Models",
        "Ask for a promotion, take one's own back",
        f"POST {_P}/models/{{model}}/versions/{{number}}/promotions",
    ),
    ("Models", "Approve a promotion to production", f"POST {_P}/promotions/{{promotion}}/approve"),
    ("Models", "Take an alias away", f"DELETE {_P}/models/{{model}}/aliases/{{alias}}"),
    ("Serving", "Read recorded inferences and events", f"GET {_P}/deployments/{{name}}/inferences"),
    ("Serving", "Send labels and past events", f"POST {_P}/deployments/{{name}}/labels"),
    ("Serving", "Deploy, change, start and stop", f"POST {_P}/deployments"),
    ("Watching", "Create monitors, compute reports, acknowledge and close alerts", f"POST {_P}/monitors"),
)


@dataclass(frozen=True)
class Rule:
    """An address below /api/v1/, a method, and the smallest role that may."""

    method: str
    route: str
    role: Role


@dataclass(frozen=True)
class Permission:
    """A sentence of the table of roles."""

    area: str
    text: str
    role: Role

    def allows(self, role: Role) -> bool:
        """Whether that role may."""
        return role.rank >= self.role.rank


@functools.cache
def rules() -> tuple[Rule, ...]:
    """Every address of the REST API below a team or project, in the order of the addresses."""
    found = [
        Rule(method, route, role)
        for route, callback in _routes(get_resolver().url_patterns, "")
        if route.startswith((_T, _P))
        for method, role in roles_of(callback).items()
    ]
    found.append(Rule("POST", "projects", ROLE_TO_CREATE))
    return tuple(sorted(found, key=lambda rule: (rule.route, METHODS.index(rule.method))))


@functools.cache
def permissions() -> tuple[Permission, ...]:
    """The table of roles."""
    known = {f"{rule.method} {rule.route}": rule.role for rule in rules()}
    return tuple(
        Permission(area, text, known[address]) for area, text, address in _SENTENCES if address in known
    )


def _routes(patterns: list[Any], before: str) -> Iterator[tuple[str, Any]]:
    for entry in patterns:
        text = str(getattr(entry.pattern, "_regex", None) or entry.pattern)
        for name in _names(text.removeprefix("^").removesuffix("$").removesuffix("/?")):
            route = before + name
            if not "api/v1/".startswith(route[:7]):
                continue
            if isinstance(entry, URLResolver):
                yield from _routes(entry.url_patterns, route)
            elif isinstance(entry, URLPattern):
                yield route.removeprefix("api/v1/"), entry.callback


def _names(pattern: str) -> list[str]:
    """A route as people write it: {name} for a group, and for a group of plain words one route for each word."""
    found = [pattern]
    for group in _GROUP.finditer(pattern):
        words = (
            group.group(2).split("|") if _WORDS.fullmatch(group.group(2)) else ["{" + group.group(1) + "}"]
        )
        found = [text.replace(group.group(0), word) for text in found for word in words]
    return [text.replace("\\.", ".") for text in found]


def roles_of(callback: Any) -> dict[str, Role]:
    """method -> smallest role, as the view behind a route of the API enforces it; empty for views outside teams
    and projects."""
    cls = getattr(callback, "cls", None)
    if cls is None:
        return {}
    actions: dict[str, str] = getattr(callback, "actions", None) or {}
    offered = [m for m in METHODS if (m.lower() in actions if actions else hasattr(cls, m.lower()))]
    return {
        method: role
        for method in offered
        if (role := _role(cls, method, actions.get(method.lower(), ""))) is not None
    }


def _role(cls: Any, method: str, action: str) -> Role | None:
    from apps.accounts.api_base import ProjectAPIView, ProjectViewSet

    in_project = issubclass(cls, (ProjectAPIView, ProjectViewSet))
    if in_project and (method in SAFE_METHODS or getattr(cls, "reads_by_post", False)):
        return Role.VIEWER
    if not hasattr(cls, "role_for"):
        declared = getattr(cls, "roles", {}).get(method)
        return Role(declared) if declared else None
    view = cls()
    view.action, view.kwargs, view.args = action, {}, ()
    view.request = SimpleNamespace(method=method, _request=SimpleNamespace(actor=ANONYMOUS), data={})
    return Role(view.role_for(view.request))
