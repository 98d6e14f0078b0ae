"""Pipelines: a definition of nodes whose outputs feed inputs, its runs, and the coordinator that advances them."""
