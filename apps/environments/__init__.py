"""Environments: packages of somebody's own for scripts, resolved and built once by uv, shared read-only.

Purpose: a text of requirements becomes a lock, and the lock a folder HOME/environments/<digest> on every host that
needs it. Public: `actions` (create, ensure, build again, trash), `uses` (what a run needs of its environment),
`places` (folders of this host), `access`, `queries`.
"""
