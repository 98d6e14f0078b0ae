"""Idempotency-Key: a POST that is repeated with the same key is done once and answered alike.

The key's row and the effect of the request commit together, under an advisory lock that dies with the session:
a process that is killed in the middle leaves neither an effect nor a key that answers for nothing.
"""
