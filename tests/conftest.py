"""Fixtures of the whole suite: databases, a running studio, a browser.

- database tests (`@pytest.mark.django_db`, `db`): a temporary PostgreSQL and Valkey, started on first need;
- `mlflow_schema`: the same, with MLflow's tables in schema mlflow, emptied after transactional tests;
- `studio` (marker engine): a whole studio by `manage.py up`, one for the session;
- `page`, `browser` (marker browser): the system's Chromium.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from runtime.testing import Cluster
from tests.settings import TEST_HOME
from tests.support.spread import group_of

pytest_plugins = [
    "tests.support.spread",
    "tests.support.studio",
    "tests.support.browser",
    "tests.support.people",
]

_CLUSTER = Cluster(TEST_HOME)
DATABASE_FIXTURES = {"db", "transactional_db", "studio_cluster", "mlflow_schema", "django_db_setup"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--scale` and `--faults long` add the tests that take long; `--seed` replays a run of the fault suite."""
    parser.addoption("--scale", action="store_true", help="also run the tests marked scale")
    parser.addoption(
        "--faults", choices=("short", "long"), default="short", help="how long the fault suite is"
    )
    parser.addoption("--seed", type=int, default=None, help="of what the fault suite draws at random")
    parser.addoption("--minutes", type=float, default=10.0, help="how long the fault suite's nemesis rages")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes are named by their length: a gzip header holds the time, and every process of the suite must
    collect the very same names, or pytest-xdist refuses to run any of them."""
    return f"{len(val)} bytes" if isinstance(val, bytes) else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what was not asked for; after the shuffle, browser tests go last in their file.

    Playwright's synchronous interface keeps an event loop running in this thread for as long as the browser
    lives, and no other loop can then be run in it, as tests of the gateway do.
    """
    kept, left = [], []
    for item in items:
        fault = item.get_closest_marker("fault")
        too_long = fault is not None and "long" in fault.args and config.getoption("--faults") != "long"
        too_big = item.get_closest_marker("scale") is not None and not config.getoption("--scale")
        (left if too_long or too_big else kept).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
    place = {path: number for number, path in enumerate(dict.fromkeys(item.path for item in kept))}
    items[:] = sorted(
        kept,
        key=lambda item: (
            group_of(item.nodeid)[0],
            place[item.path],
            "browser" in getattr(item, "fixturenames", ()),
        ),
    )


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start MLflow's migrations while other tests run, when any test needs them."""
    if session.config.option.collectonly:
        return
    if any("mlflow_schema" in getattr(item, "fixturenames", ()) for item in session.items):
        _CLUSTER.begin_mlflow()


def pytest_unconfigure() -> None:
    """Stop the servers, also after an interrupt."""
    _CLUSTER.stop()


@pytest.fixture(scope="session")
def studio_cluster() -> Cluster:
    """PostgreSQL with roles and schemas, and Valkey, as runtime.config.load() describes them."""
    _CLUSTER.start()
    return _CLUSTER


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment: None, studio_cluster: Cluster, django_db_blocker: Any) -> None:
    """Django's tables in the temporary cluster. The database is thrown away whole, so none is created."""
    from django.core.management import call_command

    with django_db_blocker.unblock():
        call_command("migrate", interactive=False, verbosity=0, run_syncdb=True)


@pytest.fixture(scope="session")
def _mlflow_tables(studio_cluster: Cluster) -> None:
    studio_cluster.finish_mlflow()


@pytest.fixture
def mlflow_schema(_mlflow_tables: None, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The cluster with MLflow's tables. What a transactional test leaves in them is removed after it."""
    yield _CLUSTER
    marker = request.node.get_closest_marker("django_db")
    transactional = marker is not None and marker.kwargs.get("transaction", False)
    if transactional or "transactional_db" in request.fixturenames:
        _CLUSTER.clear_mlflow()
