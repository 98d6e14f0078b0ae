"""The fault suite: a small studio of its own is broken on purpose, and a checker asks what became of the work."""
