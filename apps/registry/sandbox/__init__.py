"""Programs of the registry that run in the isolated child: they parse or load what people uploaded."""
