"""The domains of the studio, one Django app each."""
