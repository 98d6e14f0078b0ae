"""The authorization table: route × method → the smallest role that may.

API and PAGES: inside a project or team, by role. SIGNED_IN: anybody with an account; the view itself shows only
what is theirs. PUBLIC: nobody needed.
"""

from __future__ import annotations

_V, _C, _M, _O = "viewer", "contributor", "maintainer", "owner"
_P = "api/v1/projects/{project}"

PUBLIC = {
    "healthz",
    "readyz",
    "api/schema",
    "api/docs",
    "api(/.*)?",
    "login",
    "admin/login",
    "logout",
    "favicon.ico",
    "patterns",
    "patterns/{part}",
}
SIGNED_IN = {
    "api/v1/me",
    "api/v1/teams",
    "api/v1/projects",
    "/",
    "projects/new",
    "account",
    "account/password",
    "account/tokens/{token}/revoke",
    "teams/new",
}
READS_BY_POST: set[tuple[str, str]] = set()

_T = "api/v1/teams/{team}"

API: dict[str, dict[str, str]] = {
    _T: {"GET": _V, "PATCH": _O},
    f"{_T}/members": {"GET": _V, "POST": _O},
    f"{_T}/members/{{username}}": {"DELETE": _O},
    f"{_T}/tokens": {"GET": _V, "POST": _V},
    f"{_T}/tokens/{{token_id}}": {"DELETE": _V},
    f"{_T}/audit": {"GET": _M},
    _P: {"GET": _V, "PATCH": _M, "DELETE": _O},
    f"{_P}/restore": {"POST": _O},
    f"{_P}/lineage": {"GET": _V},
    f"{_P}/jobs": {"GET": _V},
    f"{_P}/jobs/{{job}}": {"GET": _V},
    f"{_P}/jobs/{{job}}/logs": {"GET": _V},
    f"{_P}/jobs/{{job}}/cancel": {"POST": _C},
    f"{_P}/datasets": {"GET": _V, "POST": _C},
    f"{_P}/datasets/{{name}}": {"GET": _V, "PATCH": _C, "DELETE": _C},
    f"{_P}/datasets/{{name}}/restore": {"POST": _C},
    f"{_P}/datasets/{{name}}/purge": {"POST": _M},
    f"{_P}/datasets/{{name}}/versions": {"GET": _V, "POST": _C},
    f"{_P}/datasets/{{name}}/versions/{{number}}": {"GET": _V, "DELETE": _C},
    f"{_P}/datasets/{{name}}/versions/{{number}}/restore": {"POST": _C},
    f"{_P}/datasets/{{name}}/versions/{{number}}/retry": {"POST": _C},
    f"{_P}/datasets/{{name}}/versions/{{number}}/profile": {"GET": _V},
    f"{_P}/datasets/{{name}}/versions/{{number}}/preview": {"GET": _V},
    f"{_P}/datasets/{{name}}/versions/{{number}}/download": {"GET": _V},
    f"{_P}/algorithms": {"GET": _V},
    f"{_P}/runs": {"GET": _V, "POST": _C},
    f"{_P}/runs/{{run}}": {"GET": _V, "PATCH": _C, "DELETE": _C},
    f"{_P}/runs/{{run}}/cancel": {"POST": _C},
    f"{_P}/runs/{{run}}/trash": {"POST": _C},
    f"{_P}/runs/{{run}}/restore": {"POST": _C},
    f"{_P}/runs/{{run}}/logs": {"GET": _V},
    f"{_P}/runs/{{run}}/metrics": {"GET": _V},
    f"{_P}/runs/{{run}}/metrics/{{key}}": {"GET": _V},
    f"{_P}/runs/{{run}}/artifacts": {"GET": _V},
    f"{_P}/runs/{{run}}/artifacts/{{path}}": {"GET": _V},
    f"{_P}/experiments": {"GET": _V, "POST": _C},
    f"{_P}/experiments/{{experiment}}": {"GET": _V, "PATCH": _C, "DELETE": _C},
    f"{_P}/experiments/{{experiment}}/trash": {"POST": _C},
    f"{_P}/experiments/{{experiment}}/restore": {"POST": _C},
    f"{_P}/deployments": {"GET": _V, "POST": _M},
    f"{_P}/deployments/{{name}}": {"GET": _V, "PATCH": _M, "DELETE": _M},
    **{f"{_P}/deployments/{{name}}/{verb}": {"POST": _M} for verb in ("start", "stop", "restore")},
    **{f"{_P}/deployments/{{name}}/{part}": {"GET": _V} for part in ("revisions", "logs", "inferences")},
    f"{_P}/deployments/{{name}}/inferences/{{inference}}": {"GET": _V},
    f"{_P}/deployments/{{name}}/labels": {"POST": _C},
    f"{_P}/deployments/{{name}}/events": {"GET": _V, "POST": _C},
    f"{_P}/deployments/{{name}}/events/{{record}}": {"GET": _V},
    f"{_P}/models": {"GET": _V, "POST": _C},
    f"{_P}/models/{{model}}": {"GET": _V, "PATCH": _C, "DELETE": _C},
    f"{_P}/models/{{model}}/restore": {"POST": _C},
    f"{_P}/models/{{model}}/aliases/{{alias}}": {"DELETE": _M},
    f"{_P}/models/{{model}}/versions": {"GET": _V, "POST": _C},
    f"{_P}/models/{{model}}/versions/{{number}}": {"GET": _V, "PATCH": _C, "DELETE": _C},
    f"{_P}/models/{{model}}/versions/{{number}}/restore": {"POST": _C},
    f"{_P}/models/{{model}}/versions/{{number}}/promotions": {"GET": _V, "POST": _C},
    f"{_P}/promotions": {"GET": _V},
    f"{_P}/promotions/{{promotion}}": {"GET": _V},
    f"{_P}/promotions/{{promotion}}/approve": {"POST": _M},
    f"{_P}/promotions/{{promotion}}/reject": {"POST": _C},
    f"{_P}/monitors": {"GET": _V, "POST": _C},
    f"{_P}/monitors/{{name}}": {"GET": _V, "PATCH": _C, "DELETE": _C},
    f"{_P}/monitors/{{name}}/restore": {"POST": _C},
    f"{_P}/monitors/{{name}}/reports": {"GET": _V, "POST": _C},
    f"{_P}/monitors/{{name}}/reports/{{report}}": {"GET": _V},
    f"{_P}/monitors/{{name}}/alerts": {"GET": _V},
    f"{_P}/monitors/{{name}}/alerts/{{alert}}": {"GET": _V},
    f"{_P}/monitors/{{name}}/alerts/{{alert}}/acknowledge": {"POST": _C},
    f"{_P}/monitors/{{name}}/alerts/{{alert}}/close": {"POST": _C},
}

PAGES: dict[str, dict[str, str]] = {
    "p/{project}": {"GET": _V},
    "p/{project}/live": {"GET": _V},
    "p/{project}/running": {"GET": _V},
    "p/{project}/settings": {"GET": _V, "POST": _M},
    "p/{project}/settings/trash": {"POST": _O},
    "teams/{team}": {"GET": _V, "POST": _O},
    "teams/{team}/members/remove": {"POST": _O},
    "p/{project}/monitors/": {"GET": _V},
    "p/{project}/monitors/new": {"GET": _V, "POST": _C},
    "p/{project}/monitors/{name}": {"GET": _V},
    "p/{project}/monitors/{name}/live": {"GET": _V},
    "p/{project}/monitors/{name}/reports": {"GET": _V, "POST": _C},
    "p/{project}/monitors/{name}/reports/{report}": {"GET": _V},
    "p/{project}/monitors/{name}/alerts": {"GET": _V},
    "p/{project}/monitors/{name}/alerts/{alert}/acknowledge": {"POST": _C},
    "p/{project}/monitors/{name}/alerts/{alert}/close": {"POST": _C},
    "p/{project}/monitors/{name}/settings": {"GET": _V, "POST": _C},
    "p/{project}/monitors/{name}/trash": {"POST": _C},
    "p/{project}/models/": {"GET": _V},
    "p/{project}/models/new": {"GET": _V, "POST": _C},
    "p/{project}/models/register": {"GET": _V, "POST": _C},
    "p/{project}/models/{model}/": {"GET": _V},
    "p/{project}/models/{model}/edit": {"GET": _V, "POST": _C},
    "p/{project}/models/{model}/release": {"POST": _M},
    "p/{project}/models/{model}/trash": {"POST": _C},
    "p/{project}/models/{model}/restore": {"POST": _C},
    "p/{project}/models/{model}/{number}/": {"GET": _V},
    "p/{project}/models/{model}/{number}/edit": {"GET": _V, "POST": _C},
    "p/{project}/models/{model}/{number}/promote": {"POST": _C},
    "p/{project}/models/{model}/{number}/trash": {"POST": _C},
    "p/{project}/models/{model}/{number}/restore": {"POST": _C},
    "p/{project}/models/promotions/{promotion}/approve": {"POST": _M},
    "p/{project}/models/promotions/{promotion}/reject": {"POST": _C},
    "p/{project}/datasets/": {"GET": _V},
    "p/{project}/datasets/new": {"GET": _V, "POST": _C},
    "p/{project}/datasets/{name}/": {"GET": _V},
    "p/{project}/datasets/{name}/edit": {"GET": _V, "POST": _C},
    "p/{project}/datasets/{name}/trash": {"POST": _C},
    "p/{project}/datasets/{name}/restore": {"POST": _C},
    "p/{project}/datasets/{name}/versions/new": {"GET": _V, "POST": _C},
    "p/{project}/datasets/{name}/versions/{number}/": {"GET": _V},
    "p/{project}/datasets/{name}/versions/{number}/live": {"GET": _V},
    "p/{project}/datasets/{name}/versions/{number}/download": {"GET": _V},
    **{
        f"p/{{project}}/datasets/{{name}}/versions/{{number}}/{tab}": {"GET": _V}
        for tab in ("preview", "columns", "lineage")
    },
    **{
        f"p/{{project}}/datasets/{{name}}/versions/{{number}}/{verb}": {"POST": _C}
        for verb in ("retry", "trash", "restore")
    },
    "p/{project}/deployments/": {"GET": _V},
    "p/{project}/deployments/new": {"GET": _V, "POST": _M},
    "p/{project}/deployments/{name}": {"GET": _V},
    **{f"p/{{project}}/deployments/{{name}}/{part}": {"GET": _V} for part in ("feedback", "logs", "log")},
    "p/{project}/deployments/{name}/inferences": {"GET": _V},
    "p/{project}/deployments/{name}/inferences/{inference}": {"GET": _V, "POST": _C},
    "p/{project}/deployments/{name}/try": {"GET": _V, "POST": _C},
    "p/{project}/deployments/{name}/labels": {"POST": _C},
    "p/{project}/deployments/{name}/events": {"GET": _V, "POST": _C},
    "p/{project}/deployments/{name}/change": {"POST": _M},
    "p/{project}/deployments/{name}/edit": {"GET": _V, "POST": _M},
    **{
        f"p/{{project}}/deployments/{{name}}/{verb}": {"POST": _M}
        for verb in ("start", "stop", "delete", "restore")
    },
    "p/{project}/jobs/": {"GET": _V},
    "p/{project}/jobs/{job}/": {"GET": _V},
    "p/{project}/jobs/{job}/progress": {"GET": _V},
    "p/{project}/jobs/{job}/log": {"GET": _V},
    "p/{project}/jobs/{job}/log/download": {"GET": _V},
    "p/{project}/jobs/{job}/cancel": {"POST": _C},
    "p/{project}/experiments/": {"GET": _V},
    "p/{project}/experiments/create": {"GET": _V, "POST": _C},
    "p/{project}/experiments/new": {"GET": _V, "POST": _C},
    "p/{project}/experiments/new/target": {"GET": _V},
    "p/{project}/experiments/new/parameters": {"GET": _V},
    "p/{project}/experiments/compare": {"GET": _V},
    "p/{project}/experiments/runs/": {"GET": _V},
    "p/{project}/experiments/runs/bulk": {"POST": _C},
    "p/{project}/experiments/runs/{run}/": {"GET": _V},
    "p/{project}/experiments/runs/{run}/download": {"GET": _V},
    "p/{project}/experiments/runs/{run}/edit": {"GET": _V, "POST": _C},
    **{
        f"p/{{project}}/experiments/runs/{{run}}/{verb}": {"POST": _C}
        for verb in ("cancel", "trash", "restore")
    },
    **{
        f"p/{{project}}/experiments/runs/{{run}}/{tab}": {"GET": _V}
        for tab in ("curves", "figures", "artifacts", "logs", "model", "environment", "lineage")
    },
    "p/{project}/experiments/{experiment}/": {"GET": _V},
    "p/{project}/experiments/{experiment}/edit": {"GET": _V, "POST": _C},
    "p/{project}/experiments/{experiment}/trash": {"POST": _C},
    "p/{project}/experiments/{experiment}/restore": {"POST": _C},
}

PAGES = {name.rstrip("/"): methods for name, methods in PAGES.items()}  # pages end in a slash, names do not
