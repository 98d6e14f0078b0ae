"""Programs for the isolated child; they never import Django."""
