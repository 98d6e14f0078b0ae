"""Every route that Django answers, with its methods and an address that reaches it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern, RoutePattern

GROUP = re.compile(r"\(\?P<(\w+)>((?:[^()]|\([^()]*\))*)\)")
WORDS = re.compile(r"\w+(\|\w+)+")
CONVERTER = re.compile(r"<(?:(\w+):)?(\w+)>")
CANDIDATES = ("nothing", "1", "00000000-0000-7000-8000-000000000000", "0" * 32, "a/b", "nothing.bin")
BY_CONVERTER = {"int": "1", "uuid": "00000000-0000-7000-8000-000000000000", "path": "a/b"}
FIXED = {"project": "shop", "team": "red"}


@dataclass(frozen=True)
class Route:
    """One route: its name in the table, an address, and the methods of a class-based view (else None)."""

    name: str
    address: str
    methods: tuple[str, ...] | None
    in_project: bool


def _value(group: str, pattern: str) -> str:
    if group in FIXED:
        return FIXED[group]
    for candidate in CANDIDATES:
        if re.fullmatch(pattern, candidate):
            return candidate
    raise AssertionError(f"no example for the group {group} of {pattern}: add one to CANDIDATES")


def _pieces(pattern: RegexPattern | RoutePattern) -> list[tuple[str, str]]:
    """(name in the table, example) of one part of a route; a group of plain words gives one for each word."""
    if isinstance(pattern, RoutePattern):
        text = str(pattern._route)
        name = CONVERTER.sub(lambda m: "{" + m.group(2) + "}", text)
        example = CONVERTER.sub(
            lambda m: FIXED.get(m.group(2), BY_CONVERTER.get(m.group(1) or "str", "nothing")), text
        )
        return [(name, example)]
    text = str(pattern._regex).removeprefix("^").removesuffix("$").removesuffix("/?")
    texts = [text]
    for group in GROUP.finditer(text):
        if WORDS.fullmatch(group.group(2)):
            texts = [t.replace(group.group(0), word) for t in texts for word in group.group(2).split("|")]
    found = []
    for text in texts:
        name = GROUP.sub(lambda m: "{" + m.group(1) + "}", text)
        example = GROUP.sub(lambda m: _value(m.group(1), m.group(2)), text)
        found.append((name.replace("\\.", "."), example.replace("\\.", ".")))
    return found


def _methods(callback: Any) -> tuple[str, ...] | None:
    actions = getattr(callback, "actions", None)
    if actions:
        return tuple(sorted(method.upper() for method in actions if method != "head"))
    cls = getattr(callback, "cls", None) or getattr(callback, "view_class", None)
    if cls is None:
        return None
    named = [method for method in cls.http_method_names if method not in ("options", "head", "trace")]
    return tuple(sorted(method.upper() for method in named if hasattr(cls, method)))


def all_routes() -> list[Route]:
    """All of ours; Django's own admin is one subject of its own and left out."""

    def walk(patterns: list[Any], name: str, example: str) -> Iterator[Route]:
        for entry in patterns:
            if getattr(entry, "namespace", None) == "admin":
                continue
            for more_name, more_example in _pieces(entry.pattern):
                full = name + more_name
                if isinstance(entry, URLResolver):
                    yield from walk(entry.url_patterns, full, example + more_example)
                elif isinstance(entry, URLPattern):
                    yield Route(
                        full.strip("/") or "/",
                        "/" + example + more_example,
                        _methods(entry.callback),
                        "{project}" in full,
                    )

    return list(walk(get_resolver().url_patterns, "", ""))
