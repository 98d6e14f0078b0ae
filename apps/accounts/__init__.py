"""Users, teams, members, invitations, projects, roles, API tokens, login limits and the audit trail.

Public modules: models, access (objects reach a request only through it), actions (writes), queries,
api (base classes of project-scoped REST views), pages (the decorator of project pages), and what apps above
register with: usage (meters), offboarding (what goes on in somebody's name), invitation_links (mail).
Events: ProjectCreated, ProjectTrashed, MemberRemoved, TokenRevoked, InvitationCreated, InvitationAccepted.
"""
