"""Tracking by SQL on MLflow's own tables (schema `mlflow`), as the pinned release writes and reads them.

Everything goes through Django's default connection and so joins the caller's transaction. The tables are
those of `schema.REVISION`; `check_revision()` refuses any other. tests/tracking compares what is written
here with what MLflow's own store writes and reads.
"""

from __future__ import annotations

from adapters.tracking.sql.experiments import SqlExperiments
from adapters.tracking.sql.logging import SqlRunWrites
from adapters.tracking.sql.reading import SqlRunReads
from adapters.tracking.sql.registry import SqlRegistry
from adapters.tracking.sql.searching import SqlSearch


class SqlTracking(SqlExperiments, SqlRunWrites, SqlRunReads, SqlSearch, SqlRegistry):
    """The real one of the Tracking protocol."""
