"""MLflow's tables, made or brought up to date by MLflow's own migrations.

A program: `python -m adapters.tracking.migrate` reads the SQLAlchemy address on standard input (it holds a
password, so it is kept off the command line) and prints the revision it reached. It runs in a process of its
own because importing mlflow takes seconds and hundreds of megabytes.
"""

from __future__ import annotations

import sys


def upgrade(url: str) -> str:
    """Create or upgrade MLflow's tables in the schema that `url`'s search path names.

    Returns the revision reached. Raises sqlalchemy and alembic errors as they come.
    """
    import sqlalchemy
    from mlflow.store.db import utils

    engine = utils.create_sqlalchemy_engine_with_retry(url)
    try:
        if utils._is_empty_database(engine):
            utils._initialize_tables(engine)
        else:
            utils._upgrade_db(engine)
        with engine.connect() as connection:
            revision = connection.execute(sqlalchemy.text("select version_num from alembic_version")).scalar()
    finally:
        engine.dispose()
    return str(revision)


def main() -> int:
    """Read the address from standard input, upgrade, print the revision."""
    print(upgrade(sys.stdin.read().strip()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
