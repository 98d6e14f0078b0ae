"""Pages and actions that the search knows by their words."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import NoReverseMatch, reverse

from apps.accounts.access import Actor, role_in_project
from apps.accounts.states import Role
from atelier.home.navigation import SECTIONS
from foundation.search import Hit, Needle, Scope


@dataclass(frozen=True)
class Place:
    """A page or an action: its name, further words that mean it, its URL name, and the role it needs."""

    title: str
    name: str
    words: str = ""
    role: Role = Role.VIEWER


#: outside any project
ANYWHERE = (
    Place("All projects", "home:projects", "home start"),
    Place("New project", "home:project-new", "create make"),
    Place("New team", "accounts:team-new", "create make"),
    Place("Inbox", "inbox:inbox", "notifications news"),
    Place("Notification settings", "inbox:preferences", "e-mail email mail preferences"),
    Place("Account and tokens", "accounts:account", "profile api key password"),
    Place("Change the password", "accounts:password", "account"),
    Place("API documentation", "api-docs", "rest openapi swagger"),
)
#: inside the project one is in
HERE = (
    Place("Upload a dataset", "datasets:new", "new data csv parquet", Role.CONTRIBUTOR),
    Place("New run", "experiments:new-run", "train start model", Role.CONTRIBUTOR),
    Place("New experiment", "experiments:create", "create", Role.CONTRIBUTOR),
    Place("New study", "tuning:new", "tune optimise optimize hyperparameters", Role.CONTRIBUTOR),
    Place("Register a model", "registry:register", "new version", Role.CONTRIBUTOR),
    Place("New deployment", "deployments:new", "deploy serve", Role.MAINTAINER),
    Place("New monitor", "monitoring:new", "watch drift", Role.CONTRIBUTOR),
    Place("New pipeline", "pipelines:new", "automate", Role.CONTRIBUTOR),
    Place("All runs", "experiments:runs", "table"),
    Place("Activity", "home:activity", "who did what feed history audit"),
    Place("Project settings", "home:settings", "name time zone trash"),
)
SHOWN = 5


def find_places(actor: Actor, scope: Scope, needle: Needle) -> list[Hit]:
    """Pages and actions that fit, at most five; a page that does not exist (yet) is not found."""
    project = scope.projects.get(scope.near) if scope.near else None
    hits: list[Hit] = []
    if project is not None:
        role = role_in_project(actor, project)
        pages = [Place(label, name) for _, entries in SECTIONS for label, name, *_ in entries]
        for place in (*HERE, *pages):
            if role is not None and role.rank >= place.role.rank:
                hits += _hit(place, needle, project.slug, project.name)
    for place in ANYWHERE:
        hits += _hit(place, needle)
    unique = {hit.url: hit for hit in hits}
    return list(unique.values())[:SHOWN]


def _hit(place: Place, needle: Needle, slug: str = "", project_name: str = "") -> list[Hit]:
    if not needle.among(f"{place.title} {place.words}"):
        return []
    try:
        url = reverse(place.name, args=[slug] if slug else [])
    except NoReverseMatch:
        return []
    return [Hit("place", place.name, place.title, url, slug, project_name)]
