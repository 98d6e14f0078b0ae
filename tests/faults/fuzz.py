"""Requests drawn at random from the OpenAPI document: right ones, nearly right ones, and absurd ones."""

from __future__ import annotations

import json
import random
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

DEPTH = 6
WORDS = (
    "",
    " ",
    "a",
    "churn",
    "a\x00b",
    "\ud800",
    "é" * 300,
    "../../etc/passwd",
    "=1+1",
    "<script>alert(1)</script>",
    "'; drop table jobs_job; --",
    "${jndi:ldap://x}",
    "x" * 20_000,
    "9" * 400,
    "-1",
    "1e309",
    "2026-13-45T99:00:00Z",
    "null",
    "%00",
    "‮\u200b",
)
NUMBERS = (0, -1, 1, 2, 100, 2**31, 2**63, -(2**63) - 1, 10**400, 0.5, 1e308, -0.0)
TRASH: tuple[bytes, ...] = (
    b"",
    b"{",
    b"[]",
    b"null",
    b'"x"',
    b"\xff\xfe",
    b"[" * 5000,
    b'{"a":NaN}',
    b"1e99999",
)


@dataclass(frozen=True)
class Drawn:
    """One request. body None: none."""

    method: str
    path: str
    body: bytes | None
    content_type: str
    operation: str


class Fuzzer:
    """Draws requests for a document. names: what path parameters may truly be called, such as {"project": "shop"}."""

    def __init__(self, document: dict[str, Any], names: dict[str, str], rng: random.Random) -> None:
        self.document = document
        self.names = names
        self.random = rng
        self.known: list[str] = []

    def draw(self, each: int) -> Iterator[Drawn]:
        """`each` requests for every operation, in random order."""
        operations = [
            (path, method, operation)
            for path, methods in self.document["paths"].items()
            for method, operation in methods.items()
            if method in ("get", "post", "put", "patch", "delete")
        ]
        operations *= each
        self.random.shuffle(operations)
        for path, method, operation in operations:
            yield self._request(path, method.upper(), operation)

    def learn(self, text: str) -> None:
        """Remember what things of an answer are called, to ask for them later."""
        for found in re.findall(r'"(?:id|name|slug|number|version)":\s*"?([^",}]{1,80})', text)[:20]:
            if found not in self.known:
                self.known.append(found)

    def _request(self, path: str, method: str, operation: dict[str, Any]) -> Drawn:
        query = {}
        for parameter in operation.get("parameters", []):
            name, schema = parameter["name"], parameter.get("schema", {})
            if parameter["in"] == "path":
                path = path.replace("{" + name + "}", self._name(name))
            elif parameter["in"] == "query" and self.random.random() < 0.5:
                value = self._value(schema, 0)
                query[name] = value if isinstance(value, str) else json.dumps(value)
        if query:
            path += "?" + urlencode(query, errors="surrogatepass")
        body, kind = self._body(operation)
        return Drawn(method, path, body, kind, operation.get("operationId", ""))

    def _name(self, name: str) -> str:
        if name in self.names and self.random.random() < 0.9:
            return self.names[name]
        if self.known and self.random.random() < 0.7:
            return quote(self.random.choice(self.known), safe="")
        drawn = self.random.choice([*WORDS, str(uuid.UUID(int=self.random.getrandbits(128))), "1"])
        return quote(drawn, safe="", errors="surrogatepass") or "-"

    def _body(self, operation: dict[str, Any]) -> tuple[bytes | None, str]:
        contents = operation.get("requestBody", {}).get("content", {})
        if not contents:
            return None, ""
        if self.random.random() < 0.15:
            return self.random.choice(TRASH), self.random.choice(
                ["application/json", "text/plain", "image/png"]
            )
        schema = contents.get("application/json", next(iter(contents.values()))).get("schema", {})
        return json.dumps(self._value(schema, 0)).encode(), "application/json"

    def _value(self, schema: dict[str, Any], depth: int) -> Any:
        if "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        for union in ("allOf", "oneOf", "anyOf"):
            if schema.get(union):
                return self._value(self.random.choice(schema[union]), depth)
        if depth > DEPTH or self.random.random() < 0.1:
            return self._absurd()
        if schema.get("enum") and self.random.random() < 0.8:
            return self.random.choice(schema["enum"])
        kind = schema.get("type", "object" if "properties" in schema else "any")
        kind = self.random.choice(kind) if isinstance(kind, list) else kind
        if kind == "object":
            made = {
                name: self._value(inner, depth + 1)
                for name, inner in schema.get("properties", {}).items()
                if self.random.random() < (0.9 if name in schema.get("required", ()) else 0.4)
            }
            if self.random.random() < 0.05:
                made["surprise"] = self._absurd()
            return made
        if kind == "array":
            inner = schema.get("items", {})
            return [self._value(inner, depth + 1) for _ in range(self.random.choice((0, 1, 1, 2)))]
        if kind == "string":
            return self.random.choice(WORDS)
        if kind in ("integer", "number"):
            return self.random.choice(NUMBERS)
        return self.random.random() < 0.5 if kind == "boolean" else self._absurd()

    def _absurd(self) -> Any:
        deep: Any = []
        for _ in range(60):
            deep = [deep]
        return self.random.choice([None, True, deep, {}, [], {"a": {"b": None}}, *WORDS, *NUMBERS])
