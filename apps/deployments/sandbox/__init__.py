"""Programs of deployments that run in the isolated child: no Django, no database."""
