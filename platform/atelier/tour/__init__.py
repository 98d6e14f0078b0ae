"""The tour: the whole loop on real data through the public interfaces, as a user would do it."""
