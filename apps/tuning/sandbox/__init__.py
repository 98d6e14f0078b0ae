"""Programs that run in the isolated child: no Django, no database."""
