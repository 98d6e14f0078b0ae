"""Errors of the runtime: each is one sentence that says what is wrong and how to mend it."""

from __future__ import annotations


class RuntimeFault(Exception):
    """A studio cannot be started or reached. The text is a sentence for the person at the terminal."""


class ConfigError(RuntimeFault):
    """A setting has a bad value, or one that is needed is missing."""
