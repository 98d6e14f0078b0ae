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
    """News about new runs that the client need not wait for. Later news about the same run waits for it."""

    def __init__(self) -> None:
        self._on_its_way: dict[str, asyncio.Task[None]] = {}

    async def of_new_run(self, run_id: str, parent: str, news: Coroutine[Any, Any, None]) -> None:
        """Pass on while the client has its answer already; at once when too much is on its way. News of the
        run's parent goes first."""
        if len(self._on_its_way) >= AT_ONCE:
            await tell(news)
            return
        task = asyncio.create_task(self._in_order(parent, news))
        self._on_its_way[run_id] = task
        task.add_done_callback(lambda _: self._on_its_way.pop(run_id, None))

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
        if self._on_its_way:
            await asyncio.wait(set(self._on_its_way.values()), timeout=5)
