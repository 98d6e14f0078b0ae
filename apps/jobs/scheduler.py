"""The scheduler process: outbox relay, reaper, sweeper and the chores of all apps. Safe on every node."""

from __future__ import annotations

import logging
import signal
import threading
from typing import TYPE_CHECKING

from django.db import connection

from apps.jobs import nodes
from apps.jobs.chores import ChoreRunner, Locks
from apps.jobs.doorbell import make_celery
from apps.jobs.relay import Relay
from apps.jobs.sessions import open_session

if TYPE_CHECKING:
    from runtime.config import Config

logger = logging.getLogger(__name__)
BEAT_SECONDS = 5.0


class Scheduler:
    """The threads of the process, and its sign of life."""

    def __init__(self, broker_url: str, generation: str) -> None:
        self.stop = threading.Event()
        self.locks = Locks(open_session)
        self.relay = Relay(make_celery(broker_url), self.stop)
        self.chores = ChoreRunner(self.stop, self.locks)
        self.generation = generation

    def run(self) -> None:
        """Until `stop` is set. A database that is away is waited for."""
        threads = [
            threading.Thread(target=self.relay.run, name="relay", daemon=True),
            threading.Thread(target=self.chores.run, name="chores", daemon=True),
        ]
        for thread in threads:
            thread.start()
        name = ""
        while not self.stop.is_set():
            try:
                if not name:
                    name = nodes.register(kind="scheduler", generation=self.generation).name
                    logger.info("%s is ready", name)
                nodes.beat(name)
            except Exception as error:
                logger.warning("no sign of life could be given: %s: %s", type(error).__name__, error)
            finally:
                connection.close()
            self.stop.wait(BEAT_SECONDS)
        for thread in threads:
            thread.join(5)
        try:
            nodes.say_stopped(name)
        except Exception as error:
            logger.info("the end could not be recorded: %s: %s", type(error).__name__, error)
        finally:
            connection.close()
            self.locks.close()


def main(config: Config) -> None:
    """Be the scheduler until SIGTERM or SIGINT."""
    scheduler = Scheduler(config.broker_url, config.generation)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: scheduler.stop.set())
    scheduler.run()
