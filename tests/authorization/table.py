"""The authorization table: route × method → the smallest role that may.

API and PAGES: inside a project or team, by role. SIGNED_IN: anybody with an account; the view itself shows only
what is theirs. PUBLIC: nobody needed.
"""

from __future__ import annotations

_V, _C, _M, _O = "viewer", "contributor", "maintainer", "owner"
_P = "api/v1/projects/{project}"

PUBLIC = {"healthz", "readyz", "api/schema", "api/docs", "api{}"}
SIGNED_IN: set[str] = set()
READS_BY_POST: set[tuple[str, str]] = set()

API: dict[str, dict[str, str]] = {
    _P: {"GET": _V, "PATCH": _M, "DELETE": _O},
    f"{_P}/restore": {"POST": _O},
    f"{_P}/lineage": {"GET": _V},
    f"{_P}/jobs": {"GET": _V},
    f"{_P}/jobs/{{job}}": {"GET": _V},
    f"{_P}/jobs/{{job}}/logs": {"GET": _V},
    f"{_P}/jobs/{{job}}/cancel": {"POST": _C},
}

PAGES: dict[str, dict[str, str]] = {
    "p/{project}/jobs/": {"GET": _V},
    "p/{project}/jobs/{job}/": {"GET": _V},
    "p/{project}/jobs/{job}/progress": {"GET": _V},
    "p/{project}/jobs/{job}/log": {"GET": _V},
    "p/{project}/jobs/{job}/log/download": {"GET": _V},
    "p/{project}/jobs/{job}/cancel": {"POST": _C},
}
