"""The worker's executor for a handler that has to run a program of its own before the job's: with the same isolation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from adapters.executors.protocol import Executor

_lent: ContextVar[Executor | None] = ContextVar("executor of this worker", default=None)


@contextmanager
def lending(executor: Executor) -> Iterator[None]:
    """What runs in the block may borrow the executor."""
    token = _lent.set(executor)
    try:
        yield
    finally:
        _lent.reset(token)


def borrowed() -> Executor | None:
    """The executor of the worker that prepares a job now; None outside of a worker."""
    return _lent.get()
