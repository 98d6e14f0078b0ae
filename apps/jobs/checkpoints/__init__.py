"""Checkpoints: a folder of an attempt that is kept while it runs, so that the next attempt, on any host, has it.

models (what is kept of which job), keeping (the worker's thread), files (reading a folder that is not trusted).
"""
