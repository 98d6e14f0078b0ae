"""What the rail shows: only features that exist, each at the address its app gave it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import SimpleLazyObject

from apps.inbox.queries import COUNTED, unread_count
from foundation.clock import now

#: running jobs and news are looked at as if they had been watched for a while: every 5 s while something runs,
#: else every 15
BUSY, CALM = datetime.timedelta(seconds=61), datetime.timedelta(seconds=601)


@dataclass(frozen=True)
class Item:
    """A link of the rail; ``key`` is the letter after ``g`` that goes there."""

    label: str
    url: str
    icon: str
    key: str = ""
    current: bool = False
    exact: bool = False


@dataclass(frozen=True)
class Group:
    """A labelled group of links."""

    label: str
    items: list[Item]


@dataclass(frozen=True)
class Navigation:
    """The frame of a page: groups of links, the settings link, running jobs, unread news, the user's teams."""

    home: str = "/"
    groups: list[Group] = field(default_factory=list)
    settings: Item | None = None
    running: int = 0
    running_url: str = ""
    unread: int = 0
    now_poll: str = ""
    now_since: datetime.datetime | None = None
    teams: Any = ()

    @property
    def unread_label(self) -> str:
        """As the bell shows it; counting ends at 100."""
        return str(self.unread) if self.unread < COUNTED else f"{COUNTED - 1}+"


#: group → (label, URL name, icon, key); a URL name that no app has leaves its item out.
SECTIONS: tuple[tuple[str, tuple[tuple[str, str, str, str], ...]], ...] = (
    ("", (("Home", "home:project", "home", "h"),)),
    (
        "Build",
        (
            ("Datasets", "datasets:list", "dataset", "d"),
            ("Experiments", "experiments:list", "experiment", "e"),
            ("Studies", "tuning:list", "study", "t"),
            ("Environments", "environments:list", "environment", "v"),
        ),
    ),
    (
        "Ship",
        (("Models", "registry:list", "model", "m"), ("Deployments", "deployments:list", "deployment", "s")),
    ),
    (
        "Run",
        (
            ("Pipelines", "pipelines:list", "pipeline", "p"),
            ("Jobs", "jobs:list", "job", "j"),
            ("Monitors", "monitoring:list", "monitor", "w"),
        ),
    ),
)


def navigation_for(request: HttpRequest) -> Navigation:
    """The navigation of this request; outside a project it has no groups."""
    project = getattr(request, "project", None)
    teams = _teams(request)
    unread = unread_count(request.actor)  # type: ignore[attr-defined]  # set by the middleware
    if project is None:
        return Navigation(teams=teams, unread=unread, now_poll=reverse("home:now"), now_since=now() - CALM)
    home = _reverse("home:project", project.slug) or "/"
    groups: list[Group] = []
    for label, entries in SECTIONS:
        items = [item for entry in entries if (item := _item(request, project.slug, *entry)) is not None]
        if items:
            groups.append(Group(label, items))
    running = _running(project)
    return Navigation(
        home=home,
        groups=groups,
        settings=_item(request, project.slug, "Settings", "home:settings", "settings", ""),
        running=running,
        running_url=f"{_reverse('jobs:list', project.slug)}?state=live" if running else "",
        unread=unread,
        now_poll=_reverse("home:running", project.slug) or "",
        now_since=now() - (BUSY if running else CALM),
        teams=teams,
    )


def _reverse(name: str, slug: str) -> str | None:
    try:
        return reverse(name, kwargs={"project": slug})
    except NoReverseMatch:
        return None


def _item(request: HttpRequest, slug: str, label: str, name: str, icon: str, key: str) -> Item | None:
    url = _reverse(name, slug)
    if url is None:
        return None
    exact = request.path == url
    inside = exact or (name != "home:project" and request.path.startswith(url.rstrip("/") + "/"))
    return Item(label, url, icon, key, current=inside, exact=exact)


def _running(project: Any) -> int:
    if not apps.is_installed("apps.jobs"):
        return 0
    from apps.jobs.queries import count_running

    return count_running(project)


def _teams(request: HttpRequest) -> Any:
    actor = getattr(request, "actor", None)
    if actor is None or actor.user is None:
        return ()
    from apps.accounts.access import visible_teams

    return SimpleLazyObject(lambda: list(visible_teams(actor).distinct().order_by("name")[:20]))
