"""Users, teams, projects, roles, API tokens, login limits and the audit trail.

Public modules: models, access (objects reach a request only through it), actions (writes), queries,
api (base classes of project-scoped REST views), pages (the decorator of project pages).
Events: ProjectCreated, ProjectTrashed, MemberRemoved, TokenRevoked.
"""
