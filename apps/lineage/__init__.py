"""Where everything came from and where it went: nodes (kind, id, title, URL, state) and edges.

Any page draws its line from here without importing the app that owns the node. Public modules: actions, queries.
"""
