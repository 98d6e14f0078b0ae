"""Programs of environments for the isolated child: no Django, no database."""
