"""News for the studio about what clients did in MLflow. Best effort: the client's work is done by then, so a
failure is logged and the client's answer stands; what is lost is found again when somebody looks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

logger = logging.getLogger(__name__)

AT_ONCE = 100


async def tell(news: Coroutine[Any, Any, None]) -> None:
    """Pass news on to the studio; a failure is logged, not answered."""
    try:
        await news
    except Exception:
        logger.exception("the studio could not note what a client did in MLflow")


class News:
    """News about new runs, for which no client waits. Later news about the same run comes behind it."""

    def __init__(self) -> None:
        self._on_its_way: dict[str, asyncio.Task[None]] = {}
        self._later: set[asyncio.Task[None]] = set()

    async def of_new_run(self, run_id: str, parent: str, news: Coroutine[Any, Any, None]) -> None:
        """Pass on while the client has its answer already; at once when too much is on its way. News of the
        run's parent goes first."""
        if len(self._on_its_way) >= AT_ONCE:
            await tell(news)
            return
        task = asyncio.create_task(self._in_order(parent, news))
        self._on_its_way[run_id] = task
        task.add_done_callback(lambda _: self._on_its_way.pop(run_id, None))

    async def of_run(self, run_id: str, news: Coroutine[Any, Any, None]) -> None:
        """Pass on what happened to a run; behind the news that it was made, if that is still on its way."""
        if run_id in self._on_its_way:
            task = asyncio.create_task(self._in_order(run_id, news))
            self._later.add(task)
            task.add_done_callback(self._later.discard)
        else:
            await tell(news)

    async def _in_order(self, parent: str, news: Coroutine[Any, Any, None]) -> None:
        await self.settled(parent)
        await tell(news)

    async def settled(self, run_id: str) -> None:
        """Wait until the studio knows of a run that was just made."""
        task = self._on_its_way.get(run_id)
        if task is not None:
            await asyncio.wait({task})

    async def close(self) -> None:
        """Wait for all that is on its way."""
        if tasks := {*self._on_its_way.values(), *self._later}:
            await asyncio.wait(tasks, timeout=5)
